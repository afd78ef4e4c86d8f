-- The newest message of a room ($1) up to a seq ($2), and how many messages the
-- user $3 had sent up to it. At the newest message that is all of them. Below,
-- the user's last one is looked for downwards, never past the user's read mark,
-- where the number is known.
SELECT target.seq, target.ordinal,
       CASE WHEN own.user_id IS NULL OR own.sent = 0 THEN 0
            WHEN target.ordinal = rooms.messages THEN own.sent
            ELSE coalesce(
                (SELECT sender_ordinal
                 FROM (SELECT sender, sender_ordinal FROM messages
                       WHERE messages.room = $1 AND messages.seq <= target.seq
                         AND messages.seq > CASE WHEN own.read_seq <= target.seq THEN own.read_seq ELSE 0 END
                       ORDER BY messages.seq DESC OFFSET 0) AS below
                 WHERE below.sender = $3 LIMIT 1),
                CASE WHEN own.read_seq <= target.seq THEN own.read_sent ELSE 0 END)
       END AS sent
FROM (SELECT seq, ordinal FROM messages WHERE room = $1 AND seq <= $2 ORDER BY seq DESC LIMIT 1) AS target
JOIN rooms ON rooms.id = $1
LEFT JOIN members AS own ON own.room = $1 AND own.user_id = $3

-- The newest message of room ?1 up to seq ?2, and how many messages ?3 had sent up
-- to it. At the newest message that is all of them. Below, the user's last one is
-- looked for downwards, never past the user's read mark, where the number is known.
SELECT target.seq, target.ordinal,
       CASE WHEN own.user_id IS NULL OR own.sent = 0 THEN 0
            WHEN target.ordinal = rooms.messages THEN own.sent
            ELSE coalesce(
                (SELECT below.sender_ordinal FROM messages AS below
                 WHERE below.place <= target.place
                   AND below.place > (rooms.number << 36) + iif(own.read_seq <= target.seq, own.read_seq, 0)
                   AND +below.sender = ?3
                 ORDER BY below.place DESC LIMIT 1),
                iif(own.read_seq <= target.seq, own.read_sent, 0))
       END AS sent
FROM rooms
CROSS JOIN messages AS target
    ON target.place >= rooms.number << 36 AND target.place <= (rooms.number << 36) + ?2
LEFT JOIN members AS own ON own.room = rooms.number AND own.user_id = ?3
WHERE rooms.id = ?1
ORDER BY target.place DESC LIMIT 1

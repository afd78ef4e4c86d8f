-- May these users ($2) hear these rooms ($1), and is the change that each cursor
-- names ($3: its seq, 0 or less for none to look up) still the one it was?
SELECT rooms.kind, rooms.deleted_at, rooms.head, rooms.head_check, members.active,
       created.id AS created_id, other.check_value AS other_check
FROM unnest($1::text[], $2::text[], $3::bigint[]) WITH ORDINALITY AS ask (room, user_id, since, n)
LEFT JOIN rooms ON rooms.id = ask.room
LEFT JOIN members ON members.room = ask.room AND members.user_id = ask.user_id
-- A range of one value in the order of the primary key, which no other index has:
-- planned while the table was empty, it would else be any index that leads with
-- the room, and whole rooms would be read for one row.
LEFT JOIN LATERAL (
    SELECT id FROM messages
    WHERE messages.room = ask.room AND messages.seq BETWEEN ask.since AND ask.since
      AND ask.since > 0 AND ask.since < rooms.head
    ORDER BY messages.seq LIMIT 1
) AS created ON true
LEFT JOIN room_changes AS other
       ON other.room = ask.room AND other.seq = ask.since AND ask.since > 0 AND ask.since < rooms.head
ORDER BY ask.n

SELECT members.room, members.user_id, members.read_seq
FROM json_each(?1) AS item
CROSS JOIN members ON members.room = item.value
WHERE members.active
ORDER BY members.room, members.user_id

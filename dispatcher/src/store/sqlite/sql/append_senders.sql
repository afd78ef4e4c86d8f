-- Rooms and senders, with the place of each pair in the list ?1 of [room, sender].
SELECT item.key AS n, rooms.number, rooms.head, rooms.messages, rooms.deleted_at, members.active, members.sent
FROM json_each(?1) AS item
JOIN rooms ON rooms.id = item.value ->> 0
JOIN members ON members.room = rooms.number AND members.user_id = item.value ->> 1

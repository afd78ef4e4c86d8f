-- Rooms that are not deleted, with the place in the list ?1 of [user, room or null].
SELECT item.key AS n, coalesce(members.active, 0) AS active, rooms.*
FROM json_each(?1) AS item
JOIN rooms ON rooms.id = item.value ->> 1
LEFT JOIN members ON members.room = rooms.number AND members.user_id = item.value ->> 0
WHERE rooms.deleted_at = 0

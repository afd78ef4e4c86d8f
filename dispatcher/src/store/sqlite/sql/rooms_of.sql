-- Active rooms of at most ?2 members, with the user's place in the list ?1.
SELECT item.key AS n, rooms.id
FROM json_each(?1) AS item
CROSS JOIN members INDEXED BY members_by_user ON members.user_id = item.value
JOIN rooms ON rooms.number = members.room
WHERE members.active AND rooms.deleted_at = 0 AND rooms.members <= ?2

SELECT members.*, coalesce(users.name, '') AS name
FROM rooms
CROSS JOIN json_each(?2) AS item
CROSS JOIN members ON members.room = rooms.number AND members.user_id = item.value
LEFT JOIN users ON users.id = members.user_id
WHERE rooms.id = ?1
ORDER BY item.key

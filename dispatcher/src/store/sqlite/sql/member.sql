SELECT members.*, coalesce(users.name, '') AS name
FROM rooms
JOIN members ON members.room = rooms.number AND members.user_id = ?2
LEFT JOIN users ON users.id = members.user_id
WHERE rooms.id = ?1 AND rooms.deleted_at = 0

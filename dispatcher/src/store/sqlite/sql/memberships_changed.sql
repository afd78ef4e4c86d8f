SELECT members.*, '' AS name, rooms.id AS room_id, rooms.messages
FROM members INDEXED BY members_by_user
JOIN rooms ON rooms.number = members.room
WHERE members.user_id = ?1 AND members.user_changed > ?2
ORDER BY members.user_changed LIMIT ?3

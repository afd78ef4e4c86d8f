SELECT messages.*, rooms.id AS room_id
FROM messages
JOIN rooms ON rooms.number = messages.room
WHERE messages.id = ?1

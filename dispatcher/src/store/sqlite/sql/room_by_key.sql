SELECT rooms.id
FROM room_keys
JOIN rooms ON rooms.number = room_keys.room
WHERE room_keys.creator = ?1 AND room_keys.key = ?2

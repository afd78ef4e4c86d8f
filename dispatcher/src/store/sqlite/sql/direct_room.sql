SELECT rooms.id
FROM direct_rooms
JOIN rooms ON rooms.number = direct_rooms.room
WHERE direct_rooms.low_user = ?1 AND direct_rooms.high_user = ?2

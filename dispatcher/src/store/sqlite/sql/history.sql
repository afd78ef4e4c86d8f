-- Messages of room ?1 below seq ?2, newest first.
SELECT messages.*
FROM rooms
CROSS JOIN messages
    ON messages.place >= rooms.number << 36 AND messages.place < (rooms.number << 36) + ?2
WHERE rooms.id = ?1
ORDER BY messages.place DESC LIMIT ?3

-- Messages with a seq from ?2 up to below ?3 of the room with the number ?1, newest first.
SELECT messages.*
FROM messages
WHERE place >= (?1 << 36) + ?2 AND place < (?1 << 36) + ?3 AND deleted_at = 0
ORDER BY place DESC

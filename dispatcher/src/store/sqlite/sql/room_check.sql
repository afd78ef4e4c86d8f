-- The change at place ?1: the creation of a message, or another.
SELECT id, NULL AS check_value FROM messages WHERE place = ?1
UNION ALL
SELECT NULL, check_value FROM room_changes WHERE place = ?1

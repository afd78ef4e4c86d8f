-- Unread ones, newest first, older than the one with id ?2 if it is not empty.
SELECT * FROM notifications INDEXED BY notifications_unread
WHERE user_id = ?1 AND read_at = 0
    AND (?2 = '' OR (created_at, id) < (SELECT created_at, id FROM notifications WHERE user_id = ?1 AND id = ?2))
ORDER BY created_at DESC, id DESC LIMIT ?3

SELECT * FROM notifications INDEXED BY notifications_unread
WHERE user_id = ?1 AND read_at = 0
ORDER BY created_at, id LIMIT ?2

SELECT * FROM notifications INDEXED BY notifications_by_change
WHERE user_id = ?1 AND changed > ?2
ORDER BY changed LIMIT ?3

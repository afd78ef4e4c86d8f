UPDATE messages
SET text = ?2, data = ?3, edited_at = ?4, deleted_at = ?5, changed = ?6, check_value = ?7
WHERE id = ?1

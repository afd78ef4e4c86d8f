UPDATE messages
SET text = $3, data = $4, edited_at = $5, deleted_at = $6, changed = $7, check_value = $8
WHERE room = $1 AND seq = $2

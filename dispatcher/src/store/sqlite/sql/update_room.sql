UPDATE rooms
SET name = ?2, deleted_at = ?3, members = ?4, head = ?5, head_check = ?6, messages = ?7, changed = ?8,
    check_value = ?9
WHERE number = ?1

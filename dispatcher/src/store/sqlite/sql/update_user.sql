UPDATE users
SET head = ?2, head_check = ?3, revoked_before = ?4, revocation_changed = ?5
WHERE id = ?1

SELECT id, name, head, head_check, revoked_before, revocation_changed, last_seen
FROM users WHERE id = ANY ($1)
ORDER BY id FOR NO KEY UPDATE

INSERT INTO rooms (
    id, kind, name, created_at, created_by, deleted_at, members, head, head_check, messages, active_at, changed,
    check_value
)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?4, ?11, ?12)

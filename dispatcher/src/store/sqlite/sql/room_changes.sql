-- What changed in room ?1 after seq ?2: at most ?3 messages as they were sent, as
-- many that were edited or deleted later, as many members, and the room itself.
-- The columns are a message's; other things borrow them.
SELECT * FROM (
    SELECT 0 AS thing, changed, check_value, id, seq, ordinal, sender, name, key, type, text, data, sent_at,
           edited_at, deleted_at, 1 AS active
    FROM messages
    WHERE place > (?1 << 36) + ?2 AND place < (?1 + 1) << 36 AND changed = seq
    ORDER BY place LIMIT ?3
)
UNION ALL
SELECT * FROM (
    SELECT 0, changed, check_value, id, seq, ordinal, sender, name, key, type, text, data, sent_at,
           edited_at, deleted_at, 1
    FROM messages INDEXED BY messages_by_change
    WHERE room = ?1 AND changed > ?2 AND changed <> seq
    ORDER BY changed LIMIT ?3
)
UNION ALL
SELECT * FROM (
    SELECT 1, members.changed, members.check_value, members.user_id, 0, 0, '', coalesce(users.name, ''), '',
           members.role, '', '', 0, 0, 0, members.active
    FROM members INDEXED BY members_by_change
    LEFT JOIN users ON users.id = members.user_id
    WHERE members.room = ?1 AND members.changed > ?2
    ORDER BY members.changed LIMIT ?3
)
UNION ALL
SELECT 2, changed, check_value, id, 0, members, created_by, name, '', kind, '', '', created_at, 0, deleted_at, 1
FROM rooms
WHERE number = ?1 AND changed > ?2

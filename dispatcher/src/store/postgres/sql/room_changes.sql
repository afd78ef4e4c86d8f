-- For each room ($1) what changed after a seq ($2), by rising seq, at most $3
-- things of each. The columns are a message's; other things borrow them.
SELECT ask.n, rooms.head, rooms.head_check, change.*
FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY AS ask (room, since, n)
JOIN rooms ON rooms.id = ask.room
LEFT JOIN LATERAL (
    SELECT * FROM (
        -- Messages as they were sent: a piece of the primary key.
        (SELECT 0 AS thing, changed AS at, check_value, id, seq, ordinal, sender, name, key, type,
                text, data, sent_at, edited_at, deleted_at, true AS active
         FROM messages
         WHERE messages.room = ask.room AND messages.seq > ask.since AND messages.changed = messages.seq
         ORDER BY messages.seq LIMIT $3)
        UNION ALL
        -- Messages edited or deleted later.
        (SELECT 0, changed, check_value, id, seq, ordinal, sender, name, key, type,
                text, data, sent_at, edited_at, deleted_at, true
         FROM messages
         WHERE messages.room = ask.room AND messages.changed > ask.since AND messages.changed <> messages.seq
         ORDER BY messages.changed LIMIT $3)
        UNION ALL
        (SELECT 1, changed, check_value, user_id, 0, 0, '', coalesce(users.name, ''), '', role,
                '', '', 0, 0, 0, active
         FROM members LEFT JOIN users ON users.id = members.user_id
         WHERE members.room = ask.room AND members.changed > ask.since
         ORDER BY members.changed LIMIT $3)
        UNION ALL
        (SELECT 2, rooms.changed, rooms.check_value, rooms.id, 0, rooms.members, rooms.created_by, rooms.name,
                '', rooms.kind, '', '', rooms.created_at, 0, rooms.deleted_at, true
         WHERE rooms.changed > ask.since)
    ) AS changes
    ORDER BY at LIMIT $3
) AS change ON true
ORDER BY ask.n, change.at

-- For each user ($1) what changed after a seq ($2), by rising seq, at most $3
-- things of each. The columns are those of room_changes.sql.
SELECT ask.n, users.head, users.head_check, change.*
FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY AS ask (user_id, since, n)
JOIN users ON users.id = ask.user_id
LEFT JOIN LATERAL (
    SELECT * FROM (
        (SELECT 3 AS thing, changed AS at, check_value, id, 0::bigint AS seq, 0::bigint AS ordinal, '' AS sender,
                type AS name, '' AS key, 0::smallint AS type, '' AS text, data, created_at AS sent_at,
                read_at AS edited_at, 0::bigint AS deleted_at, true AS active
         FROM notifications
         WHERE notifications.user_id = ask.user_id AND notifications.changed > ask.since
         ORDER BY notifications.changed LIMIT $3)
        UNION ALL
        -- No index has user_changed, which every read mark moves: all rooms of
        -- the user are looked at, and only when something did change.
        (SELECT 4, user_changed, user_check, room, read_seq,
                greatest(greatest(rooms.messages - read_ordinal, 0) - greatest(sent - read_sent, 0), 0),
                '', '', '', role, '', '', 0, 0, 0, active
         FROM members JOIN rooms ON rooms.id = members.room
         WHERE members.user_id = ask.user_id AND members.user_changed > ask.since
         ORDER BY members.user_changed LIMIT $3)
        UNION ALL
        (SELECT 5, users.revocation_changed, past.check_value, '', 0, 0, '', '', '', 0::smallint, '', '',
                users.revoked_before, 0, 0, true
         FROM user_changes AS past
         WHERE past.user_id = ask.user_id AND past.seq = users.revocation_changed
           AND users.revocation_changed > ask.since)
    ) AS changes
    ORDER BY at LIMIT $3
) AS change ON true
ORDER BY ask.n, change.at

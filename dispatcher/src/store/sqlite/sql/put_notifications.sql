INSERT INTO notifications (user_id, id, key, type, data, created_at, read_at, changed, check_value)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7,
       value ->> 8
FROM json_each(?1) WHERE true
ON CONFLICT (user_id, id) DO UPDATE
SET key = excluded.key, type = excluded.type, data = excluded.data, created_at = excluded.created_at,
    read_at = excluded.read_at, changed = excluded.changed, check_value = excluded.check_value

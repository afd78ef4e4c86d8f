INSERT INTO notifications (user_id, id, key, type, data, created_at, read_at, changed, check_value)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[],
                     $8::bigint[], $9::bigint[])
ON CONFLICT (user_id, id) DO UPDATE
SET key = excluded.key, type = excluded.type, data = excluded.data, created_at = excluded.created_at,
    read_at = excluded.read_at, changed = excluded.changed, check_value = excluded.check_value

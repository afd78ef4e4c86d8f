-- `sent` is counted by append alone.
INSERT INTO members (room, user_id, role, active, read_seq, read_ordinal, read_sent,
                     changed, check_value, user_changed, user_check)
SELECT * FROM unnest($1::text[], $2::text[], $3::smallint[], $4::boolean[], $5::bigint[], $6::bigint[],
                     $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[])
ON CONFLICT (room, user_id) DO UPDATE
SET role = excluded.role, active = excluded.active, read_seq = excluded.read_seq,
    read_ordinal = excluded.read_ordinal, read_sent = excluded.read_sent, changed = excluded.changed,
    check_value = excluded.check_value, user_changed = excluded.user_changed, user_check = excluded.user_check

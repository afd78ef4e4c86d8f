INSERT INTO members (
    room, user_id, role, active, read_seq, read_ordinal, read_sent, changed, check_value, user_changed, user_check
)
SELECT rooms.number, item.value ->> 1, item.value ->> 2, item.value ->> 3, item.value ->> 4, item.value ->> 5,
       item.value ->> 6, item.value ->> 7, item.value ->> 8, item.value ->> 9, item.value ->> 10
FROM json_each(?1) AS item
CROSS JOIN rooms ON rooms.id = item.value ->> 0
WHERE true
ON CONFLICT (room, user_id) DO UPDATE
SET role = excluded.role, active = excluded.active, read_seq = excluded.read_seq,
    read_ordinal = excluded.read_ordinal, read_sent = excluded.read_sent, changed = excluded.changed,
    check_value = excluded.check_value, user_changed = excluded.user_changed, user_check = excluded.user_check

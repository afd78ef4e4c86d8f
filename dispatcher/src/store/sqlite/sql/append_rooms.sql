UPDATE OR ROLLBACK rooms
SET head = item.value ->> 1, head_check = item.value ->> 2, messages = item.value ->> 3, active_at = item.value ->> 4
FROM json_each(?) AS item
WHERE rooms.number = item.value ->> 0

UPDATE OR ROLLBACK members
SET sent = item.value ->> 2
FROM json_each(?) AS item
WHERE members.room = item.value ->> 0 AND members.user_id = item.value ->> 1

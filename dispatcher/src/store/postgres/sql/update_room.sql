WITH noted AS (
    INSERT INTO feed_activity (second, kind, feed)
    VALUES (floor(extract(epoch FROM clock_timestamp()))::bigint, 0, $1)
    ON CONFLICT DO NOTHING
), recorded AS (
    INSERT INTO room_changes (room, seq, check_value)
    SELECT $1, $10 + change.n - 1, change.check_value
    FROM unnest($11::bigint[]) WITH ORDINALITY AS change (check_value, n)
)
UPDATE rooms
SET name = $2, deleted_at = $3, members = $4, head = $5, head_check = $6, messages = $7, changed = $8,
    check_value = $9
WHERE id = $1

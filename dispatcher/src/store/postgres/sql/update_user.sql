WITH noted AS (
    INSERT INTO feed_activity (second, kind, feed)
    VALUES (floor(extract(epoch FROM clock_timestamp()))::bigint, 1, $1)
    ON CONFLICT DO NOTHING
), recorded AS (
    INSERT INTO user_changes (user_id, seq, check_value)
    SELECT $1, $6 + change.n - 1, change.check_value
    FROM unnest($7::bigint[]) WITH ORDINALITY AS change (check_value, n)
)
UPDATE users SET head = $2, head_check = $3, revoked_before = $4, revocation_changed = $5
WHERE id = $1

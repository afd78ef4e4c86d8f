-- A page of a user's ($1) notifications, newest first, older than $2 (empty: from
-- the newest), at most $3; every row, and one without a notification where there
-- is none, says how many are unread.
SELECT (SELECT count(*) FROM notifications WHERE user_id = $1 AND read_at = 0) AS unread, page.*
FROM (SELECT) AS once
LEFT JOIN (
    SELECT id, type, data, created_at, read_at
    FROM notifications
    WHERE user_id = $1
      AND ($2 = '' OR (created_at, id) < (SELECT created_at, id FROM notifications WHERE user_id = $1 AND id = $2))

-- Those of $2 who are $1 or in a room with them.
WITH shared AS MATERIALIZED (
    SELECT rooms.id FROM members JOIN rooms ON rooms.id = members.room
    WHERE members.user_id = $1 AND members.active AND rooms.deleted_at = 0
)
SELECT ask.id, coalesce(users.last_seen, 0) AS last_seen
FROM unnest($2::text[]) WITH ORDINALITY AS ask (id, n)
LEFT JOIN users ON users.id = ask.id
WHERE ask.id = $1
   OR EXISTS (SELECT FROM members
              WHERE members.user_id = ask.id AND members.active AND members.room IN (SELECT shared.id FROM shared))
ORDER BY ask.n

-- Locked in the order of ids, as everything that locks users.
WITH later AS MATERIALIZED (
    SELECT users.id, seen.at
    FROM unnest($1::text[], $2::bigint[]) AS seen (id, at) JOIN users ON users.id = seen.id
    WHERE users.last_seen < seen.at
    ORDER BY users.id FOR NO KEY UPDATE OF users
)
UPDATE users SET last_seen = greatest(users.last_seen, later.at) FROM later WHERE users.id = later.id

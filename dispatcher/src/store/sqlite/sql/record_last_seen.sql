UPDATE users
SET last_seen = seen.time
FROM (SELECT value ->> 0 AS id, max(value ->> 1) AS time FROM json_each(?1) GROUP BY 1) AS seen
WHERE users.id = seen.id AND users.last_seen < seen.time

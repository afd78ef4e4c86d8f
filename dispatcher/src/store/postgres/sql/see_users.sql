-- Users seen for the first time, or under a new name. In the order of ids, as
-- everything that locks users.
INSERT INTO users (id, name)
SELECT seen.id, seen.name FROM unnest($1::text[], $2::text[]) AS seen (id, name) ORDER BY seen.id
ON CONFLICT (id) DO UPDATE SET name = excluded.name
WHERE excluded.name <> '' AND users.name <> excluded.name

INSERT INTO users (id, name)
SELECT value ->> 0, value ->> 1 FROM json_each(?1) WHERE true
ON CONFLICT (id) DO UPDATE SET name = excluded.name WHERE excluded.name NOT IN ('', users.name)

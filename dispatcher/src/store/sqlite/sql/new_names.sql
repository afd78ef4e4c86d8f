-- Any of the list ?1 of [user, name] that is not known, or by another name.
SELECT 1
FROM json_each(?1) AS item
LEFT JOIN users ON users.id = item.value ->> 0
WHERE users.id IS NULL OR (item.value ->> 1 <> '' AND item.value ->> 1 <> users.name)
LIMIT 1

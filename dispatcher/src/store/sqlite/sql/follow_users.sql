-- Users who ask for their own feed, with the place in the list ?1 of [user, room or null].
SELECT item.key AS n, users.*
FROM json_each(?1) AS item
JOIN users ON users.id = item.value ->> 0
WHERE item.value ->> 1 IS NULL

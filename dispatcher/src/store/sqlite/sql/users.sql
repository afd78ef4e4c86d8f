SELECT users.*
FROM json_each(?1) AS item
CROSS JOIN users ON users.id = item.value
ORDER BY item.key

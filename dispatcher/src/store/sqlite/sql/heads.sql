-- One row for each of the list ?1 of [kind, id].
SELECT coalesce(rooms.head, users.head, 0) AS head
FROM json_each(?1) AS item
LEFT JOIN rooms ON item.value ->> 0 = 0 AND rooms.id = item.value ->> 1
LEFT JOIN users ON item.value ->> 0 = 1 AND users.id = item.value ->> 1
ORDER BY item.key

-- Those of the list ?2 who share a room with ?1, or are ?1.
SELECT item.value AS id, coalesce(users.last_seen, 0) AS last_seen
FROM json_each(?2) AS item
LEFT JOIN users ON users.id = item.value
WHERE item.value = ?1 OR EXISTS (
    SELECT 1
    FROM members AS mine INDEXED BY members_by_user
    CROSS JOIN members AS theirs ON theirs.room = mine.room AND theirs.user_id = item.value
    JOIN rooms ON rooms.number = mine.room
    WHERE mine.user_id = ?1 AND mine.active AND theirs.active AND rooms.deleted_at = 0
)
ORDER BY item.key

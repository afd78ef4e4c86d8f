-- The newest message of each room of the list ?1 of numbers.
SELECT messages.*
FROM json_each(?1) AS item
CROSS JOIN messages ON messages.place = (
    SELECT max(newest.place) FROM messages AS newest
    WHERE newest.place >= item.value << 36 AND newest.place < (item.value + 1) << 36
)

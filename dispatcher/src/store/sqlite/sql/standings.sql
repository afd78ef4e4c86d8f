-- For each of the list ?1 of [user, room or null, seq] the room, or the user's own
-- feed: whether the user hears it, where it stands, and the check value of the
-- change that the seq names, if there is one below the head.
SELECT item.key AS n, rooms.number, rooms.kind, rooms.deleted_at, coalesce(members.active, 0) AS active,
       rooms.head, rooms.head_check, created.id AS created_id, other.check_value AS other_check,
       '' AS name, 0 AS revoked_before, 0 AS revocation_changed
FROM json_each(?1) AS item
JOIN rooms ON rooms.id = item.value ->> 1
LEFT JOIN members ON members.room = rooms.number AND members.user_id = item.value ->> 0
LEFT JOIN messages AS created
    ON created.place = (rooms.number << 36) + nullif(min(item.value ->> 2, rooms.head), rooms.head)
LEFT JOIN room_changes AS other
    ON other.place = (rooms.number << 36) + nullif(min(item.value ->> 2, rooms.head), rooms.head)
UNION ALL
SELECT item.key, NULL, 0, 0, 1, users.head, users.head_check, NULL, past.check_value,
       users.name, users.revoked_before, users.revocation_changed
FROM json_each(?1) AS item
JOIN users ON users.id = item.value ->> 0
LEFT JOIN user_changes AS past
    ON past.user_id = users.id AND past.seq = nullif(min(item.value ->> 2, users.head), users.head)
WHERE item.value ->> 1 IS NULL

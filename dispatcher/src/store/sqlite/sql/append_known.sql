-- What is known of each item of the list ? of [room, sender, key]: the room, the
-- sender in it, and the message that was stored with the key before.
SELECT item.key AS n, rooms.number, rooms.head, rooms.messages, rooms.deleted_at, members.active, members.sent,
       first.id, first.seq, first.ordinal, first.sent_at, first.digest
FROM json_each(?) AS item
JOIN rooms ON rooms.id = item.value ->> 0
JOIN members ON members.room = rooms.number AND members.user_id = item.value ->> 1
LEFT JOIN messages AS first
    ON first.room = rooms.number AND first.sender = item.value ->> 1 AND first.key = item.value ->> 2

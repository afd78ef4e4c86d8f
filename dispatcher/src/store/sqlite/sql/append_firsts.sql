-- Messages that have a key of the list ?1 of [n, room's number, sender, key].
SELECT item.value ->> 0 AS n, messages.id, messages.seq, messages.ordinal, messages.sent_at, messages.digest
FROM json_each(?1) AS item
JOIN messages
    ON messages.room = item.value ->> 1 AND messages.sender = item.value ->> 2 AND messages.key = item.value ->> 3

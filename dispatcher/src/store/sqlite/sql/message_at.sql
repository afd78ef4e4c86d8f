-- The newest message of room ?1 up to seq ?2, and how many ?3 had sent by then.
SELECT messages.seq, messages.ordinal, coalesce((
    SELECT own.sender_ordinal FROM messages AS own INDEXED BY messages_by_sender
    WHERE own.room = rooms.number AND own.sender = ?3 AND own.ordinal <= messages.ordinal
    ORDER BY own.ordinal DESC LIMIT 1
), 0) AS sent
FROM rooms
CROSS JOIN messages
    ON messages.place >= rooms.number << 36 AND messages.place <= (rooms.number << 36) + ?2
WHERE rooms.id = ?1
ORDER BY messages.place DESC LIMIT 1

-- Messages that were edited or deleted after seq ?2.
SELECT * FROM messages INDEXED BY messages_by_change
WHERE room = ?1 AND changed > ?2 AND changed <> seq
ORDER BY changed LIMIT ?3

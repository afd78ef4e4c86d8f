SELECT id, seq, ordinal, sender, name, key, type, text, data, sent_at, edited_at, deleted_at
FROM messages WHERE room = $1 AND seq < $2
ORDER BY seq DESC LIMIT $3

SELECT room, id, seq, ordinal, sender, name, key, type, text, data, sent_at, edited_at, deleted_at,
       changed, check_value
FROM messages WHERE id = $1

-- Messages of a room ($1) with a seq from $2 up to below $3 that hold all of the
-- words $4. The patterns $5 (each word between %) say quickly which cannot.
SELECT id, seq, ordinal, sender, name, key, type, text, data, sent_at, edited_at, deleted_at
FROM messages
WHERE room = $1 AND seq >= $2 AND seq < $3 AND deleted_at = 0
  AND lower(text) LIKE ALL ($5)
  AND regexp_split_to_array(lower(text), '[^[:alnum:]]+') @> $4
ORDER BY seq DESC LIMIT $6

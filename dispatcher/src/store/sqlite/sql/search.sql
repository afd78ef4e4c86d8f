-- Messages of room ?1 that match ?2, below seq ?3, newest first.
SELECT messages.*
FROM message_words
CROSS JOIN messages ON messages.place = message_words.rowid
WHERE message_words MATCH ?2
    AND message_words.rowid >= (SELECT number << 36 FROM rooms WHERE id = ?1)
    AND message_words.rowid < (SELECT number << 36 FROM rooms WHERE id = ?1) + ?3
ORDER BY message_words.rowid DESC LIMIT ?4

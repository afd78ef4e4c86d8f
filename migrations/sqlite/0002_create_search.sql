-- The words of messages. The index keeps no text of its own; triggers keep it
-- in step with the messages. Accents count, as in every other store. Matches
-- are never ranked, so no sizes are kept.
CREATE VIRTUAL TABLE message_words USING fts5 (
    text,
    content = 'messages',
    content_rowid = 'place',
    columnsize = 0,
    tokenize = 'unicode61 remove_diacritics 0'
);

-- A deleted message's words leave the index at once, not only its results.
INSERT INTO message_words (message_words, rank) VALUES ('secure-delete', 1);

CREATE TRIGGER messages_inserted AFTER INSERT ON messages WHEN new.text <> '' BEGIN
    INSERT INTO message_words (rowid, text) VALUES (new.place, new.text);
END;

CREATE TRIGGER messages_updated AFTER UPDATE OF text ON messages WHEN old.text <> new.text BEGIN
    INSERT INTO message_words (message_words, rowid, text)
    SELECT 'delete', old.place, old.text WHERE old.text <> '';
    INSERT INTO message_words (rowid, text)
    SELECT new.place, new.text WHERE new.text <> '';
END;

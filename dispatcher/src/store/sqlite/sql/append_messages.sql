-- The values of one row or several follow.
INSERT OR ROLLBACK INTO messages (
    place, id, ordinal, sender, sender_ordinal, name, key, type, text, data, digest, sent_at, changed, check_value
)

INSERT INTO messages (
    place, id, ordinal, sender, sender_ordinal, name, key, type, text, data, digest, sent_at, changed, check_value
)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6,
       value ->> 7, value ->> 8, value ->> 9, value ->> 10, value ->> 11, value ->> 12, value ->> 13
FROM json_each(?1)

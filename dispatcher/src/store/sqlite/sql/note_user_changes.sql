INSERT INTO user_changes (user_id, seq, check_value)
SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?1)

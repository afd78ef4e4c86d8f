INSERT INTO room_changes (place, check_value)
SELECT value ->> 0, value ->> 1 FROM json_each(?1)

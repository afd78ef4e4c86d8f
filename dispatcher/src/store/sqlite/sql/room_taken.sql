-- Whether the id ?1, the pair ?2 and ?3, or the key ?5 of ?4 is taken.
SELECT EXISTS (SELECT 1 FROM rooms WHERE id = ?1)
    OR EXISTS (SELECT 1 FROM direct_rooms WHERE low_user = ?2 AND high_user = ?3)
    OR EXISTS (SELECT 1 FROM room_keys WHERE creator = ?4 AND key = ?5) AS taken

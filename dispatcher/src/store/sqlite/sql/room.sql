SELECT rooms.*, members.role, members.sent, members.read_seq, members.read_ordinal, members.read_sent
FROM rooms
JOIN members ON members.room = rooms.number AND members.user_id = ?1
WHERE rooms.id = ?2 AND members.active AND rooms.deleted_at = 0

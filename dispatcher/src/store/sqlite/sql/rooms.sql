SELECT rooms.*, members.role, members.sent, members.read_seq, members.read_ordinal, members.read_sent
FROM members INDEXED BY members_by_user
JOIN rooms ON rooms.number = members.room
WHERE members.user_id = ?1 AND members.active AND rooms.deleted_at = 0
ORDER BY rooms.active_at DESC, rooms.number DESC LIMIT ?2 OFFSET ?3

SELECT members.*, coalesce(users.name, '') AS name
FROM members INDEXED BY members_by_change
LEFT JOIN users ON users.id = members.user_id
WHERE members.room = ?1 AND members.changed > ?2
ORDER BY members.changed LIMIT ?3

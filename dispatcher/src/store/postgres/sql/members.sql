SELECT members.*, coalesce(users.name, '') AS name
FROM members LEFT JOIN users ON users.id = members.user_id

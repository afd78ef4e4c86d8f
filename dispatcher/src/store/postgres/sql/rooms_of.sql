-- For each of the users $1 the rooms of at most $2 members.
SELECT ask.n, rooms.id
FROM unnest($1::text[]) WITH ORDINALITY AS ask (user_id, n)
JOIN members ON members.user_id = ask.user_id AND members.active
JOIN rooms ON rooms.id = members.room AND rooms.deleted_at = 0 AND rooms.members <= $2
ORDER BY ask.n, rooms.id

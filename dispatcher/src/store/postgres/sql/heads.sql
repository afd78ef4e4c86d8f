-- kind 0: a room, 1: a user.
SELECT coalesce(rooms.head, users.head, 0) AS head
FROM unnest($1::smallint[], $2::text[]) WITH ORDINALITY AS ask (kind, feed, n)
LEFT JOIN rooms ON ask.kind = 0 AND rooms.id = ask.feed
LEFT JOIN users ON ask.kind = 1 AND users.id = ask.feed
ORDER BY ask.n

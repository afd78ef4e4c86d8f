-- The heads of these users' feeds ($1), and whether the change that each cursor
-- names ($2: its seq, 0 or less for none to look up) is still the one it was.
SELECT users.name, users.head, users.head_check, users.revoked_before, past.check_value AS other_check
FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY AS ask (user_id, since, n)
LEFT JOIN users ON users.id = ask.user_id
LEFT JOIN user_changes AS past
       ON past.user_id = ask.user_id AND past.seq = ask.since AND ask.since > 0 AND ask.since < users.head
ORDER BY ask.n

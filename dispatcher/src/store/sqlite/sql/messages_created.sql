-- Messages after place ?1 that are as they were created.
SELECT * FROM messages
WHERE place > ?1 AND place <= ?2 AND changed = seq
ORDER BY place LIMIT ?3

SELECT outcome, id, seq, ordinal, sent_at
FROM carillon_append_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)

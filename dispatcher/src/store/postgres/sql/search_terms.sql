-- The words of a search ($2), split as search.sql splits messages, and where to begin.
SELECT array_remove(regexp_split_to_array(lower($2), '[^[:alnum:]]+'), '') AS words,
       coalesce((SELECT head FROM rooms WHERE id = $1), 0) AS head

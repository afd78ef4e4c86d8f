-- Looks keys and members up by their own indexes, whatever the tables hold.
--
-- Plans are kept (see the settings of our connections), and on a database that is
-- still empty an index that leads to one row costs as much as one that leads to all
-- rows of a room: messages (room, seq), members (room, changed). A connection that
-- had planned with those read whole rooms for every message, until statistics were
-- gathered a minute later. A range of one value, in the order of the column that only
-- the right index is sorted by, makes the difference: the other plan has to sort.
--
-- Else the function is that of 0002, and does the same.
CREATE OR REPLACE FUNCTION carillon_append_v1(
    p_rooms text[], p_ids text[], p_senders text[], p_names text[], p_keys text[], p_types smallint[],
    p_texts text[], p_data text[], p_digests bigint[], p_times bigint[], p_checks bigint[]
) RETURNS TABLE (outcome smallint, id text, seq bigint, ordinal bigint, sent_at bigint)
LANGUAGE plpgsql VOLATILE AS $function$
#variable_conflict use_column
BEGIN
    PERFORM 1 FROM rooms WHERE rooms.id = ANY (p_rooms) ORDER BY rooms.id FOR NO KEY UPDATE;

    RETURN QUERY
    WITH judged AS MATERIALIZED (
        SELECT item.*, rooms.head, rooms.messages, members.sent,
               first.id AS first_id, first.seq AS first_seq, first.ordinal AS first_ordinal,
               first.sent_at AS first_sent_at, first.digest AS first_digest,
               (first.id IS NULL AND rooms.deleted_at = 0 AND members.active) IS TRUE AS fresh
        FROM unnest(p_rooms, p_ids, p_senders, p_names, p_keys, p_types, p_texts, p_data, p_digests, p_times,
                    p_checks) WITH ORDINALITY
             AS item (room, id, sender, name, key, type, text, data, digest, sent_at, check_value, n)
        LEFT JOIN rooms ON rooms.id = item.room
        LEFT JOIN LATERAL (
            SELECT sent, active FROM members
            WHERE members.room = item.room AND members.user_id BETWEEN item.sender AND item.sender
            ORDER BY members.user_id LIMIT 1
        ) AS members ON true
        LEFT JOIN LATERAL (
            SELECT id, seq, ordinal, sent_at, digest FROM messages
            WHERE messages.room = item.room AND messages.sender = item.sender
              AND messages.key BETWEEN item.key AND item.key
            ORDER BY messages.key LIMIT 1
        ) AS first ON true
    ), placed AS MATERIALIZED (
        -- Counts fresh items only: what is refused takes no seq.
        SELECT judged.*,
               count(*) FILTER (WHERE fresh) OVER (PARTITION BY room ORDER BY n) AS nth,
               count(*) FILTER (WHERE fresh) OVER (PARTITION BY room, sender ORDER BY n) AS nth_of_sender
        FROM judged
    ), inserted AS (
        INSERT INTO messages (room, seq, id, ordinal, sender, sender_ordinal, name, key, type, text, data,
                              digest, sent_at, changed, check_value)
        SELECT room, head + nth, id, messages + nth, sender, sent + nth_of_sender, name, key, type, text, data,
               digest, sent_at, head + nth, check_value
        FROM placed WHERE fresh
    ), raised AS (
        UPDATE rooms
        SET head = last.seq, head_check = last.check_value, messages = last.ordinal, active_at = last.sent_at
        FROM (SELECT DISTINCT ON (room) room, head + nth AS seq, messages + nth AS ordinal, check_value, sent_at
              FROM placed WHERE fresh ORDER BY room, nth DESC) AS last
        WHERE rooms.id = last.room
    ), counted AS (
        UPDATE members SET sent = members.sent + by_sender.messages
        FROM (SELECT room, sender, count(*) AS messages FROM placed WHERE fresh GROUP BY room, sender) AS by_sender
        WHERE members.room = by_sender.room AND members.user_id = by_sender.sender
    ), noted AS (
        INSERT INTO feed_activity (second, kind, feed)
        SELECT DISTINCT floor(extract(epoch FROM clock_timestamp()))::bigint, 0, room FROM placed WHERE fresh
        ON CONFLICT DO NOTHING
    )
    SELECT (CASE WHEN fresh THEN 0 WHEN first_id IS NULL THEN 3 WHEN first_digest = digest THEN 1 ELSE 2 END)::smallint,
           CASE WHEN fresh THEN id ELSE first_id END,
           CASE WHEN fresh THEN head + nth ELSE first_seq END,
           CASE WHEN fresh THEN messages + nth ELSE first_ordinal END,
           CASE WHEN fresh THEN sent_at ELSE first_sent_at END
    FROM placed ORDER BY n;
END
$function$;

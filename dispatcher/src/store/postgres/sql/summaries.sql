SELECT chosen.*,
       greatest(greatest(chosen.messages - chosen.read_ordinal, 0) - greatest(chosen.sent - chosen.read_sent, 0), 0)
           AS unread,
       marks.users AS mark_users, marks.seqs AS mark_seqs,
       last.id AS last_id, last.seq AS last_seq, last.ordinal AS last_ordinal, last.sender AS last_sender,
       last.name AS last_name, last.key AS last_key, last.type AS last_type, last.text AS last_text,
       last.data AS last_data, last.sent_at AS last_sent_at, last.edited_at AS last_edited_at,
       last.deleted_at AS last_deleted_at
FROM chosen
LEFT JOIN LATERAL (
    SELECT * FROM messages WHERE messages.room = chosen.id ORDER BY messages.seq DESC LIMIT 1
) AS last ON true
LEFT JOIN LATERAL (
    SELECT array_agg(members.user_id ORDER BY members.user_id) AS users,
           array_agg(members.read_seq ORDER BY members.user_id) AS seqs
    FROM members WHERE members.room = chosen.id AND members.active AND chosen.members <= $4
) AS marks ON true
ORDER BY chosen.active_at DESC, chosen.id

-- Rooms of a user ($1) with newest activity first. The newest ones are chosen
-- before their last messages are fetched. Read marks for rooms of at most $4 members.
WITH chosen AS MATERIALIZED (
    SELECT rooms.id, rooms.kind, rooms.name, rooms.created_at, rooms.created_by, rooms.deleted_at, rooms.members,
           rooms.head, rooms.head_check, rooms.messages, rooms.active_at,
           own.role, own.sent, own.read_seq, own.read_ordinal, own.read_sent
    FROM members AS own JOIN rooms ON rooms.id = own.room
    WHERE own.user_id = $1 AND own.active AND rooms.deleted_at = 0
    ORDER BY rooms.active_at DESC, rooms.id LIMIT $2 OFFSET $3
)

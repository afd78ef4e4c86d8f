-- One room ($2) of a user ($1). $3 is for the form's sake; read marks for a room
-- of at most $4 members.
WITH chosen AS MATERIALIZED (
    SELECT rooms.id, rooms.kind, rooms.name, rooms.created_at, rooms.created_by, rooms.deleted_at, rooms.members,
           rooms.head, rooms.head_check, rooms.messages, rooms.active_at,
           own.role, own.sent, own.read_seq, own.read_ordinal, own.read_sent
    FROM members AS own JOIN rooms ON rooms.id = own.room
    WHERE own.room = $2 AND own.user_id = $1 AND own.active AND rooms.deleted_at = 0
    LIMIT $3
)

-- Rooms, members, messages, users, notifications, and the feeds they form.
--
-- Every primary key and unique constraint leads with the room or the user, so
-- that a distributed PostgreSQL can place the rows of one feed together. Ids
-- are compared byte by byte: cheaper, and the same order on every system.
-- Times are milliseconds since the Unix epoch, seqs and counts start at 1.
-- A check value is an unsigned number of 32 bits in a bigint.

-- Every change raises a head in place. No index may name a column that changes
-- with it (head, head_check, messages, active_at, members), and pages keep room
-- for the next version of a row: then an update touches no index at all.
CREATE TABLE rooms (
    id          text COLLATE "C" PRIMARY KEY,
    kind        smallint NOT NULL,
    name        text NOT NULL,
    created_at  bigint NOT NULL,
    created_by  text COLLATE "C" NOT NULL,
    deleted_at  bigint NOT NULL DEFAULT 0,
    members     integer NOT NULL,
    head        bigint NOT NULL,
    head_check  bigint NOT NULL,
    messages    bigint NOT NULL,
    -- Time of the newest message, else of the creation.
    active_at   bigint NOT NULL,
    changed     bigint NOT NULL,
    check_value bigint NOT NULL
) WITH (fillfactor = 50);

-- The one direct room of two users; the lower id first.
CREATE TABLE direct_rooms (
    low_user  text COLLATE "C" NOT NULL,
    high_user text COLLATE "C" NOT NULL,
    room      text COLLATE "C" NOT NULL,
    PRIMARY KEY (low_user, high_user)
);

-- Idempotency keys of room creations.
CREATE TABLE room_keys (
    creator text COLLATE "C" NOT NULL,
    key     text COLLATE "C" NOT NULL,
    room    text COLLATE "C" NOT NULL,
    PRIMARY KEY (creator, key)
);

-- `sent` is raised by every message and the read mark by every reader: neither
-- they nor user_changed, which moves with the read mark, are in an index.
CREATE TABLE members (
    room         text COLLATE "C" NOT NULL,
    user_id      text COLLATE "C" NOT NULL,
    role         smallint NOT NULL,
    active       boolean NOT NULL,
    sent         bigint NOT NULL DEFAULT 0,
    read_seq     bigint NOT NULL,
    read_ordinal bigint NOT NULL,
    read_sent    bigint NOT NULL,
    changed      bigint NOT NULL,
    check_value  bigint NOT NULL,
    user_changed bigint NOT NULL,
    user_check   bigint NOT NULL,
    PRIMARY KEY (room, user_id)
) WITH (fillfactor = 70);
CREATE INDEX members_by_user ON members (user_id, room);
CREATE INDEX members_by_change ON members (room, changed);

CREATE TABLE messages (
    room           text COLLATE "C" NOT NULL,
    seq            bigint NOT NULL,
    id             text COLLATE "C" NOT NULL,
    ordinal        bigint NOT NULL,
    sender         text COLLATE "C" NOT NULL,
    -- How many messages the sender had sent to the room, this one included.
    sender_ordinal bigint NOT NULL,
    name           text NOT NULL,
    key            text COLLATE "C" NOT NULL,
    type           smallint NOT NULL,
    text           text NOT NULL,
    data           text NOT NULL,
    digest         bigint NOT NULL,
    sent_at        bigint NOT NULL,
    edited_at      bigint NOT NULL DEFAULT 0,
    deleted_at     bigint NOT NULL DEFAULT 0,
    changed        bigint NOT NULL,
    check_value    bigint NOT NULL,
    PRIMARY KEY (room, seq),
    UNIQUE (room, sender, key)
);
CREATE INDEX messages_by_id ON messages (id);
-- Creations are found by their seq; this holds later changes only.
CREATE INDEX messages_by_change ON messages (room, changed) WHERE changed <> seq;

-- Check values of changes that are not the creation of a message: those are
-- kept with the message.
CREATE TABLE room_changes (
    room        text COLLATE "C" NOT NULL,
    seq         bigint NOT NULL,
    check_value bigint NOT NULL,
    PRIMARY KEY (room, seq)
);

CREATE TABLE users (
    id                 text COLLATE "C" PRIMARY KEY,
    name               text NOT NULL,
    head               bigint NOT NULL DEFAULT 0,
    head_check         bigint NOT NULL DEFAULT 0,
    revoked_before     bigint NOT NULL DEFAULT 0,
    revocation_changed bigint NOT NULL DEFAULT 0,
    last_seen          bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 70);

CREATE TABLE notifications (
    user_id     text COLLATE "C" NOT NULL,
    id          text COLLATE "C" NOT NULL,
    key         text COLLATE "C" NOT NULL,
    type        text NOT NULL,
    data        text NOT NULL,
    created_at  bigint NOT NULL,
    read_at     bigint NOT NULL,
    changed     bigint NOT NULL,
    check_value bigint NOT NULL,
    PRIMARY KEY (user_id, id)
);
CREATE UNIQUE INDEX notifications_by_key ON notifications (user_id, key) WHERE key <> '';
CREATE INDEX notifications_by_change ON notifications (user_id, changed);
CREATE INDEX notifications_by_time ON notifications (user_id, created_at, id);
CREATE INDEX notifications_unread ON notifications (user_id, created_at, id) WHERE read_at = 0;

CREATE TABLE user_changes (
    user_id     text COLLATE "C" NOT NULL,
    seq         bigint NOT NULL,
    check_value bigint NOT NULL,
    PRIMARY KEY (user_id, seq)
);

-- Which feeds changed in which second of this server's clock: one row per feed
-- and second, kept for a minute. kind 0: a room, 1: a user.
CREATE TABLE feed_activity (
    second bigint NOT NULL,
    kind   smallint NOT NULL,
    feed   text COLLATE "C" NOT NULL,
    PRIMARY KEY (second, kind, feed)
);

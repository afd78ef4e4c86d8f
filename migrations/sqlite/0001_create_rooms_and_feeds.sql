-- Rooms, members, messages, users, notifications, and the feeds they form.
--
-- Within the file a room is a number. A place in its feed is one integer,
-- number * 2^36 + seq: messages lie in the order of their feed without an index
-- of their own, and a search looks at one room's part of the index alone.
-- 2^27 rooms of 2^36 changes each fit.
--
-- Ids are compared byte by byte. Times are milliseconds since the Unix epoch,
-- seqs and counts start at 1. A check value is an unsigned number of 32 bits.

CREATE TABLE rooms (
    number      INTEGER PRIMARY KEY CHECK (number < 134217728),
    id          TEXT NOT NULL UNIQUE,
    kind        INTEGER NOT NULL,
    name        TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    created_by  TEXT NOT NULL,
    deleted_at  INTEGER NOT NULL DEFAULT 0,
    members     INTEGER NOT NULL,
    head        INTEGER NOT NULL CHECK (head < 68719476736),
    head_check  INTEGER NOT NULL,
    messages    INTEGER NOT NULL,
    -- Time of the newest message, else of the creation.
    active_at   INTEGER NOT NULL,
    changed     INTEGER NOT NULL,
    check_value INTEGER NOT NULL
) STRICT;

-- The one direct room of two users; the lower id first.
CREATE TABLE direct_rooms (
    low_user  TEXT NOT NULL,
    high_user TEXT NOT NULL,
    room      INTEGER NOT NULL,
    PRIMARY KEY (low_user, high_user)
) STRICT, WITHOUT ROWID;

-- Idempotency keys of room creations.
CREATE TABLE room_keys (
    creator TEXT NOT NULL,
    key     TEXT NOT NULL,
    room    INTEGER NOT NULL,
    PRIMARY KEY (creator, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE members (
    room         INTEGER NOT NULL,
    user_id      TEXT NOT NULL,
    role         INTEGER NOT NULL,
    active       INTEGER NOT NULL,
    sent         INTEGER NOT NULL DEFAULT 0,
    read_seq     INTEGER NOT NULL,
    read_ordinal INTEGER NOT NULL,
    read_sent    INTEGER NOT NULL,
    changed      INTEGER NOT NULL,
    check_value  INTEGER NOT NULL,
    user_changed INTEGER NOT NULL,
    user_check   INTEGER NOT NULL,
    PRIMARY KEY (room, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX members_by_change ON members (room, changed);
CREATE INDEX members_by_user ON members (user_id, user_changed);

CREATE TABLE messages (
    place          INTEGER PRIMARY KEY,
    room           INTEGER NOT NULL GENERATED ALWAYS AS (place >> 36) VIRTUAL,
    seq            INTEGER NOT NULL GENERATED ALWAYS AS (place & 68719476735) VIRTUAL,
    id             TEXT NOT NULL UNIQUE,
    ordinal        INTEGER NOT NULL,
    sender         TEXT NOT NULL,
    -- How many messages the sender had sent to the room, this one included.
    sender_ordinal INTEGER NOT NULL,
    name           TEXT NOT NULL,
    key            TEXT NOT NULL,
    type           INTEGER NOT NULL,
    text           TEXT NOT NULL,
    data           TEXT NOT NULL,
    digest         INTEGER NOT NULL,
    sent_at        INTEGER NOT NULL,
    edited_at      INTEGER NOT NULL DEFAULT 0,
    deleted_at     INTEGER NOT NULL DEFAULT 0,
    changed        INTEGER NOT NULL,
    check_value    INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX messages_by_key ON messages (room, sender, key);
CREATE INDEX messages_by_sender ON messages (room, sender, ordinal);
-- Creations are found by their seq; this holds later changes only.
CREATE INDEX messages_by_change ON messages (room, changed) WHERE changed <> seq;

-- Check values of changes that are not the creation of a message: those are
-- kept with the message.
CREATE TABLE room_changes (
    place       INTEGER PRIMARY KEY,
    check_value INTEGER NOT NULL
) STRICT;

CREATE TABLE users (
    id                 TEXT PRIMARY KEY,
    name               TEXT NOT NULL,
    head               INTEGER NOT NULL DEFAULT 0,
    head_check         INTEGER NOT NULL DEFAULT 0,
    revoked_before     INTEGER NOT NULL DEFAULT 0,
    revocation_changed INTEGER NOT NULL DEFAULT 0,
    last_seen          INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE notifications (
    user_id     TEXT NOT NULL,
    id          TEXT NOT NULL,
    key         TEXT NOT NULL,
    type        TEXT NOT NULL,
    data        TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    read_at     INTEGER NOT NULL,
    changed     INTEGER NOT NULL,
    check_value INTEGER NOT NULL,
    PRIMARY KEY (user_id, id)
) STRICT;
CREATE UNIQUE INDEX notifications_by_key ON notifications (user_id, key) WHERE key <> '';
CREATE INDEX notifications_by_change ON notifications (user_id, changed);
CREATE INDEX notifications_by_time ON notifications (user_id, created_at, id);
CREATE INDEX notifications_unread ON notifications (user_id, created_at, id) WHERE read_at = 0;

CREATE TABLE user_changes (
    user_id     TEXT NOT NULL,
    seq         INTEGER NOT NULL,
    check_value INTEGER NOT NULL,
    PRIMARY KEY (user_id, seq)
) STRICT, WITHOUT ROWID;

-- Which feeds changed in which second: one row per feed and second, kept for a
-- minute. kind 0: a room, 1: a user.
CREATE TABLE feed_activity (
    second INTEGER NOT NULL,
    kind   INTEGER NOT NULL,
    feed   TEXT NOT NULL,
    PRIMARY KEY (second, kind, feed)
) STRICT, WITHOUT ROWID;

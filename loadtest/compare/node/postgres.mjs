// Rooms and messages in PostgreSQL, which several processes may share.

import pg from "pg";

/** The most that a client that comes back is sent of a room. */
const MAX_CATCH_UP = 1000;
/** Which of several processes that start makes the tables. */
const SCHEMA_LOCK = 7_203_411;

const SCHEMA = `
CREATE TABLE IF NOT EXISTS rooms (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  direct boolean NOT NULL,
  pair text UNIQUE,
  name text NOT NULL,
  created_by text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS members (
  room_id bigint NOT NULL,
  user_id text NOT NULL,
  PRIMARY KEY (room_id, user_id)
);
CREATE INDEX IF NOT EXISTS members_by_user ON members (user_id);
CREATE TABLE IF NOT EXISTS messages (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  room_id bigint NOT NULL,
  sender_id text NOT NULL,
  sender_name text NOT NULL,
  type text NOT NULL,
  content text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS messages_by_room ON messages (room_id, id);
`;

const STATEMENTS = {
  // The useless update makes the row of an existing pair come back.
  createRoom: `
    WITH made AS (
      INSERT INTO rooms (direct, pair, name, created_by) VALUES ($1, $2, $3, $4)
      ON CONFLICT (pair) DO UPDATE SET direct = rooms.direct
      RETURNING id, direct, name, created_by, created_at
    ), joined AS (
      INSERT INTO members (room_id, user_id) SELECT made.id, unnest($5::text[]) FROM made
      ON CONFLICT DO NOTHING
    )
    SELECT * FROM made`,
  roomsOf: "SELECT room_id FROM members WHERE user_id = $1",
  isMember: "SELECT 1 FROM members WHERE room_id = $1 AND user_id = $2",
  append: `
    INSERT INTO messages (room_id, sender_id, sender_name, type, content) VALUES ($1, $2, $3, $4, $5)
    RETURNING id, created_at`,
  after: "SELECT * FROM messages WHERE room_id = $1 AND id > $2 ORDER BY id LIMIT $3",
  page: `
    SELECT * FROM messages WHERE room_id = $1 AND ($2::bigint = 0 OR id < $2::bigint)
    ORDER BY id DESC LIMIT $3`,
};

const isId = (room) => /^\d{1,18}$/.test(room);

function message(row) {
  return {
    id: row.id,
    room: row.room_id,
    sender: { id: row.sender_id, username: row.sender_name },
    text: row.content,
    type: row.type,
    time: row.created_at.toISOString(),
  };
}

export class PostgresStore {
  #pool;
  #named;

  /** `named`: statements are prepared once for each connection. */
  static async open({ database, pool, named }) {
    const store = new PostgresStore();
    store.#named = named;
    store.#pool = new pg.Pool({ connectionString: database, max: pool });
    // Of an idle connection that was lost: the pool opens another one.
    store.#pool.on("error", (error) => console.error(`postgres: ${error.message}`));
    const client = await store.#pool.connect();
    try {
      await client.query("BEGIN");
      await client.query("SELECT pg_advisory_xact_lock($1)", [SCHEMA_LOCK]);
      await client.query(SCHEMA);
      await client.query("COMMIT");
    } finally {
      client.release();
    }
    return store;
  }

  #query(name, values) {
    const text = STATEMENTS[name];
    return this.#pool.query(this.#named ? { name, text, values } : { text, values });
  }

  async createRoom({ direct, name, members, by }) {
    const pair = direct ? JSON.stringify([...members].sort()) : null;
    const { rows } = await this.#query("createRoom", [direct, pair, name, by, members]);
    const [room] = rows;
    return {
      id: room.id,
      kind: room.direct ? "DIRECT" : "GROUP",
      name: room.name,
      createdAt: room.created_at.getTime(),
      createdBy: room.created_by,
      members: members.length,
    };
  }

  async roomsOf(user) {
    const { rows } = await this.#query("roomsOf", [user]);
    return rows.map((row) => row.room_id);
  }

  async isMember(room, user) {
    if (!isId(room)) return false;
    const { rowCount } = await this.#query("isMember", [room, user]);
    return rowCount > 0;
  }

  async append(room, sender, { text, type }) {
    const { rows } = await this.#query("append", [room, sender.id, sender.username, type, text]);
    const [{ id, created_at: createdAt }] = rows;
    return { id, room, sender, text, type, time: createdAt.toISOString() };
  }

  async after(room, id) {
    const { rows } = await this.#query("after", [room, id, MAX_CATCH_UP]);
    return rows.map(message);
  }

  /** The newest ones before this id (0: of all), oldest first. */
  async page(room, before, limit) {
    const { rows } = await this.#query("page", [room, before, limit]);
    return rows.map(message).reverse();
  }

  async answers() {
    try {
      await this.#pool.query("SELECT 1");
      return true;
    } catch {
      return false;
    }
  }

  async close() {
    await this.#pool.end();
  }
}

// A chat server as a team writes it with Socket.IO: one process, JSON Web
// Tokens, rooms, and messages in memory or in PostgreSQL. It speaks what
// `carillon-loadtest --wire socketio` speaks, and nothing else. README.md of the
// folder above says what each mode does and does not do.

import { createServer } from "node:http";
import { parseArgs } from "node:util";

import { createAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";

import { rest } from "./rest.mjs";
import { connectSockets } from "./sockets.mjs";
import { MemoryStore } from "./memory.mjs";
import { PostgresStore } from "./postgres.mjs";
import { tokens } from "./token.mjs";

const USAGE = `node server.mjs [--mode sio | sio-pg | tuned] [--host 127.0.0.1] [--port 8080]
    [--database URL] [--pool 10] [--redis URL] [--one-by-one]

CARILLON_JWT_SECRET is the HS256 secret. DATABASE_URL stands in for --database.`;

/** The system cuts this to its own limit (net.core.somaxconn). */
const BACKLOG = 4096;
/** Longer than a client or a proxy in front keeps an idle connection. */
const KEEP_ALIVE_MS = 65_000;

function settings() {
  const { values } = parseArgs({
    options: {
      mode: { type: "string", default: "sio" },
      host: { type: "string", default: "127.0.0.1" },
      port: { type: "string", default: "8080" },
      database: { type: "string", default: process.env.DATABASE_URL },
      pool: { type: "string", default: "10" },
      redis: { type: "string" },
      "one-by-one": { type: "boolean", default: false },
    },
  });
  const { mode, database, redis } = values;
  const secret = process.env.CARILLON_JWT_SECRET ?? "";
  if (!["sio", "sio-pg", "tuned"].includes(mode)) throw new Error(`there is no mode ${mode}`);
  if (Buffer.byteLength(secret) < 32) throw new Error("CARILLON_JWT_SECRET is shorter than 32 bytes");
  if (mode !== "sio" && !database) throw new Error(`${mode} needs --database`);
  if (mode === "sio" && redis) throw new Error("two nodes need rooms that both know: --mode sio-pg or tuned");
  const number = (name, least, most) => {
    const value = Number(values[name]);
    if (!Number.isInteger(value) || value < least || value > most) {
      throw new Error(`--${name} is a whole number from ${least} to ${most}`);
    }
    return value;
  };
  return {
    mode,
    host: values.host,
    port: number("port", 0, 65_535),
    database,
    pool: number("pool", 1, 1000),
    redis,
    oneByOne: values["one-by-one"],
    secret,
  };
}

async function run({ mode, host, port, database, pool, redis, oneByOne, secret }) {
  const tuned = mode === "tuned";
  const store = mode === "sio" ? new MemoryStore() : await PostgresStore.open({ database, pool, named: tuned });
  const verify = tokens(secret);
  const http = createServer({ keepAliveTimeout: KEEP_ALIVE_MS });
  // As it comes: WebSocket and long-polling, no compression of frames.
  const io = new Server(http, { serveClient: false });
  const redisClients = [];
  if (redis) {
    const publisher = createClient({ url: redis });
    const subscriber = publisher.duplicate();
    for (const client of [publisher, subscriber]) {
      client.on("error", (error) => console.error(`redis: ${error.message}`));
      await client.connect();
      redisClients.push(client);
    }
    io.adapter(createAdapter(publisher, subscriber));
  }
  connectSockets({ io, store, verify, asksStore: mode === "sio-pg", oneByOne });
  http.on("request", rest({ io, store, verify }));

  await new Promise((resolve, reject) => {
    http.once("error", reject);
    http.listen({ host, port, backlog: BACKLOG }, resolve);
  });
  console.log(`listening on http://${host}:${http.address().port}`);

  await new Promise((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"]) process.once(signal, resolve);
  });
  // Disconnects all sockets, and closes the HTTP server with them.
  const closed = io.close();
  http.closeAllConnections();
  await closed;
  await Promise.all(redisClients.map((client) => client.quit()));
  await store.close();
}

let asked;
try {
  asked = settings();
} catch (error) {
  console.error(`${error.message}\n\n${USAGE}`);
  process.exit(2);
}
await run(asked);

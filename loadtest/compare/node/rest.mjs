// The way in by HTTP: making rooms, sending, reading what is stored.

import { checked, notMember, Refusal, socketsIn, socketsOf, tell } from "./chat.mjs";

const MAX_BODY_BYTES = 256 * 1024;
const MAX_PAGE = 100;

/** Answers requests. */
export function rest({ io, store, verify }) {
  const routes = [
    ["GET", /^\/health$/, async () => ({ status: (await store.answers()) ? "ok" : "unavailable" })],
    [
      "POST",
      /^\/v1\/rooms$/,
      async ({ user, body }) => {
        const { kind = "group", name = "", members = [] } = body;
        const others = kind === "direct" ? [body.user] : members;
        if (!Array.isArray(others) || !others.every((other) => typeof other === "string" && other !== "")) {
          throw new Refusal("invalid", "the members are user ids", 400);
        }
        const all = [...new Set([user.id, ...others])];
        const room = await store.createRoom({ direct: kind === "direct", name: String(name), members: all, by: user.id });
        io.in(all.map(socketsOf)).socketsJoin(socketsIn(room.id));
        return room;
      },
    ],
    [
      "POST",
      /^\/v1\/rooms\/([^/]+)\/messages$/,
      async ({ user, body, room }) => {
        await own(room, user);
        const stored = await store.append(room, user, checked(body));
        tell(io, stored);
        return { message: stored.id, seq: Number(stored.id), time: Date.parse(stored.time), room };
      },
    ],
    [
      "GET",
      /^\/v1\/rooms\/([^/]+)\/messages$/,
      async ({ user, room, query }) => {
        await own(room, user);
        const limit = Math.min(Number(query.get("limit")) || 50, MAX_PAGE);
        const before = Number(query.get("before")) || 0;
        // One more than wanted tells whether there are more.
        const found = await store.page(room, before, limit + 1);
        return { room, messages: found.slice(-limit).map(paged), more: found.length > limit };
      },
    ],
  ];

  async function own(room, user) {
    if (!(await store.isMember(room, user.id))) throw notMember();
  }

  return async (request, response) => {
    // Socket.IO answers its own.
    if (request.url.startsWith("/socket.io/")) return;
    const [path, search] = request.url.split("?");
    try {
      for (const [method, pattern, act] of routes) {
        const found = request.method === method && pattern.exec(path);
        if (!found) continue;
        const user = path === "/health" ? undefined : authenticated(request, verify);
        const body = method === "POST" ? await json(request) : undefined;
        return answer(response, 200, await act({ user, body, room: found[1], query: new URLSearchParams(search) }));
      }
      throw new Refusal("not_found", "there is no such route", 404);
    } catch (error) {
      if (!(error instanceof Refusal)) console.error(error);
      const { code = "unavailable", message, status = 503 } = error instanceof Refusal ? error : {};
      answer(response, status, { code, message });
    }
  };
}

/** A message as a page of history has it. */
const paged = (message) => ({
  id: message.id,
  seq: Number(message.id),
  sender: message.sender.id,
  name: message.sender.username,
  type: message.type,
  text: message.text,
  time: Date.parse(message.time),
});

function authenticated(request, verify) {
  try {
    return verify(request.headers.authorization?.replace(/^Bearer /, ""));
  } catch {
    throw new Refusal("unauthenticated", "the token is refused", 401);
  }
}

async function json(request) {
  const parts = [];
  let length = 0;
  for await (const part of request) {
    length += part.length;
    if (length > MAX_BODY_BYTES) throw new Refusal("too_large", "the body is too long", 413);
    parts.push(part);
  }
  let body;
  try {
    body = JSON.parse(Buffer.concat(parts).toString());
  } catch {
    body = null;
  }
  if (typeof body !== "object" || body === null) throw new Refusal("malformed", "a JSON object is needed", 400);
  return body;
}

function answer(response, status, body) {
  const text = JSON.stringify(body);
  response.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(text) });
  response.end(text);
}

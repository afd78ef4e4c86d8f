// The way in by Socket.IO.

import { checked, notMember, position, Refusal, shown, socketsIn, socketsOf, tell } from "./chat.mjs";

const MAX_POSITIONS = 1000;

/** Serves sockets. `asksStore`: for each message, whether its sender is a member. */
export function connectSockets({ io, store, verify, asksStore, oneByOne }) {
  io.use(async (socket, next) => {
    try {
      socket.data.user = verify(tokenOf(socket.handshake));
    } catch {
      return next(new Error("the token is refused"));
    }
    try {
      socket.data.rooms = await store.roomsOf(socket.data.user.id);
    } catch (error) {
      console.error(error);
      return next(new Error("the database does not answer"));
    }
    next();
  });

  const enqueue = oneByOne ? queues() : (_room, work) => work();

  async function send(socket, { chatId, content, type } = {}) {
    if (typeof chatId !== "string") throw new Refusal("invalid", "chatId is needed", 400);
    const { user } = socket.data;
    const message = checked({ text: content, type });
    // A socket is in the rooms of its user: that is membership, remembered.
    const member = asksStore ? await store.isMember(chatId, user.id) : socket.rooms.has(socketsIn(chatId));
    if (!member) throw notMember();
    const stored = await store.append(chatId, user, message);
    tell(io, stored);
    return { messageId: stored.id, chatId, timestamp: stored.time };
  }

  io.on("connection", (socket) => {
    const { user, rooms } = socket.data;
    // Before anything is awaited, so that nothing is missed from here on.
    socket.join([socketsOf(user.id), ...rooms.map(socketsIn)]);
    delete socket.data.rooms;
    catchUp(socket, rooms).catch((error) => {
      console.error(error);
      socket.disconnect(true);
    });

    socket.on("send_message", async (payload, ack) => {
      const answer = typeof ack === "function" ? ack : undefined;
      try {
        const sent = await enqueue(payload?.chatId, () => send(socket, payload));
        if (answer) answer({ ok: true, ...sent });
        else socket.emit("message_sent", sent);
      } catch (error) {
        const known = error instanceof Refusal;
        if (!known) console.error(error);
        const refusal = known
          ? { code: error.code, message: error.message }
          : { code: "unavailable", message: "try again later" };
        if (answer) answer({ ok: false, error: refusal });
        else socket.emit("error", refusal);
      }
    });
  });

  /**
   * Sends what a client missed that shows where it left off, as the library's
   * own tutorial does it. What is said meanwhile comes live, and may come before
   * this, or twice: clients know messages by their ids.
   */
  async function catchUp(socket, rooms) {
    const { positions } = socket.handshake.auth;
    if (!Array.isArray(positions)) return;
    const own = new Set(rooms);
    for (const text of positions.slice(0, MAX_POSITIONS)) {
      const [room, after] = String(text).split("|");
      if (!own.has(room) || !/^\d{1,18}$/.test(after)) continue;
      for (const message of await store.after(room, after)) {
        socket.emit("message_received", shown(message), position(message));
      }
    }
  }
}

function tokenOf({ auth, headers }) {
  return auth.token ?? headers.authorization?.replace(/^Bearer /, "");
}

/** Does the work of each room one after the other. */
function queues() {
  const last = new Map();
  return (room, work) => {
    const done = (last.get(room) ?? Promise.resolve()).then(work);
    const settled = done.catch(() => {}).then(() => {
      if (last.get(room) === settled) last.delete(room);
    });
    last.set(room, settled);
    return done;
  };
}

// A client of Carillon's native protocol: WebSocket with JSON frames, as
// docs/protocol.md describes it. Runs in browsers, and wherever `WebSocket`,
// `fetch` and `EventTarget` are global. No dependencies.
//
// It keeps a picture of the user's rooms and notifications. The picture is a
// fold: every change carries a thing's newest state, and applying one is an
// upsert guarded by the seq of the thing's last change. So it does not matter
// whether a change came live, in a resume, twice, or late.

const FIRST_BACKOFF = 1_000;
const LAST_BACKOFF = 30_000;
// The server answers every request within 15 seconds, if only with an error.
const ANSWER_TIMEOUT = 20_000;
const QUIET_TIMEOUT = 25_000;
const RENEW_BEFORE_EXPIRY = 60_000;
const LONGEST_TIMER = 2 ** 31 - 1;
// The server ends a typing sign 3 seconds after it was last renewed, and does not
// show renewals; this only covers an end that was lost.
const TYPING_TIMEOUT = 30_000;

/** A request that was refused, or that could not be answered. */
export class CarillonError extends Error {
  constructor({ code, message, retryable = false, retryAfter = 0 }) {
    super(message || code);
    this.name = "CarillonError";
    this.code = code;
    this.retryable = retryable;
    this.retryAfter = retryAfter;
  }
}

const disconnected = () =>
  new CarillonError({ code: "disconnected", message: "the connection is gone", retryable: true });

/** Whether to come back after the server closed with this code. */
export function resumes(code) {
  return !(code === 1002 || code === 1007 || code === 1009 || (code >= 4400 && code < 4500));
}

/** Full jitter: anything up to a bound that doubles with each attempt. */
export function backoff(attempt, random = Math.random) {
  return random() * Math.min(LAST_BACKOFF, FIRST_BACKOFF * 2 ** attempt);
}

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** One room as the user sees it. Read its fields; change it through the client. */
class Room {
  constructor(id) {
    this.id = id;
    this.details = { id, kind: "GROUP", name: "" };
    this.role = "MEMBER";
    this.unread = 0;
    this.readSeq = 0;
    // How far the server knows of it.
    this.readStored = 0;
    this.lastMessage = null;
    /** user -> Member */
    this.members = new Map();
    /** user -> seq of the last message read, also one's own */
    this.readMarks = new Map();
    /** user -> { name, timer } */
    this.typing = new Map();
    /** Older messages are in the store; ask with `history`. */
    this.hasOlder = true;
    this.cursor = "";
    // Everything known by id, and the seq from which on nothing is missing.
    this.things = new Map();
    this.floor = 0;
    // The seq of the last change of what is no message.
    this.detailsChanged = 0;
    this.membershipChanged = 0;
    // For unread: seqs of others' messages since `followedFrom`, and what was
    // unread before that.
    this.followedFrom = null;
    this.arrivals = [];
    this.unreadBefore = 0;
  }

  /** The loaded messages, oldest first, without a gap. */
  messages() {
    const list = [];
    for (const { message } of this.things.values()) {
      if (message.seq >= this.floor) list.push(message);
    }
    return list.sort((a, b) => a.seq - b.seq);
  }

  countUnread() {
    const before = this.readSeq >= (this.followedFrom ?? Infinity) ? 0 : this.unreadBefore;
    this.unread = before + this.arrivals.filter((seq) => seq > this.readSeq).length;
  }
}

/**
 * A user's connection to Carillon.
 *
 * Emits `change` whenever the picture changed, with `detail.room` where it
 * concerns one room; `state` with the state of the connection; `signal` with
 * an application's own ephemeral events; `reset` when the picture was dropped.
 */
export class Carillon extends EventTarget {
  /**
   * `base`: the server, such as `https://chat.example.org`. `token`: a JWT, or
   * a function that returns one (or a promise of one): it is called for every
   * connection and before expiry. `storage`: where unsent messages survive a
   * reload (like `sessionStorage`), or null.
   */
  constructor({ base, token, storage = null }) {
    super();
    this.base = base.replace(/\/$/, "");
    this.token = token;
    this.storage = storage;
    this.user = "";
    this.name = "";
    /** "stopped", "connecting", "online", or "waiting" before the next attempt. */
    this.state = "stopped";
    /** Why it stopped or waits: { code, reason, until } */
    this.why = null;
    this.rooms = new Map();
    this.notifications = new Map();
    /** user -> { status, lastSeen } */
    this.presence = new Map();
    /** user -> display name, as far as seen */
    this.names = new Map();
    /** Messages not yet stored, in the order of sending. */
    this.outbox = [];
    this.cursor = "";

    this.socket = null;
    this.pending = new Map();
    this.nextId = 1;
    this.attempt = 0;
    this.timers = {};
    // Deliveries of the own feed that wait for a snapshot; null: none is awaited.
    this.held = null;
    // Outbox entry -> the socket it was last given to.
    this.underWay = new WeakMap();
    this.outboxLoaded = false;
  }

  // ---- connection ----------------------------------------------------------

  /** Connects, and stays connected until `stop`. */
  start() {
    if (this.state === "stopped") this.#connect();
  }

  /** Says goodbye. The outbox is kept. */
  stop() {
    const socket = this.socket;
    this.socket = null;
    socket?.close(1000);
    this.#rejectPending();
    this.#setState("stopped", { code: 1000, reason: "normal" });
  }

  /** Does not wait for the next attempt: the network or the user is back. */
  hurry() {
    if (this.state === "waiting") this.#connect();
    else if (this.state === "online") this.#probe();
  }

  async #connect() {
    clearTimeout(this.timers.reconnect);
    this.#setState("connecting", null);
    let token;
    let socket;
    try {
      token = await this.#currentToken();
      if (this.state !== "connecting") return;
      socket = new WebSocket(`${this.base.replace(/^http/, "ws")}/v1/ws`, "carillon.v1.json");
    } catch (error) {
      this.#reconnectLater({ code: 0, reason: String(error) });
      return;
    }
    this.socket = socket;
    this.timers.connect = setTimeout(() => {
      if (this.socket === socket) this.#abandon(new Error("no connection in time"));
    }, ANSWER_TIMEOUT);
    socket.onopen = () => this.#begin(socket, token);
    socket.onmessage = (event) => {
      if (this.socket !== socket) return;
      this.#heard();
      this.#receive(JSON.parse(event.data));
    };
    socket.onclose = ({ code, reason }) => {
      if (this.socket === socket) this.#lost(code, reason);
    };
  }

  async #currentToken() {
    return typeof this.token === "function" ? this.token() : this.token;
  }

  // Authenticates, then resumes where the last connection ended, or starts
  // from a snapshot.
  async #begin(socket, token) {
    try {
      const fresh = !this.cursor;
      this.held = fresh ? [] : null;
      const { ready } = await this.request("auth", { token, since: this.cursor });
      this.user = ready.user;
      this.name = ready.name;
      this.names.set(ready.user, ready.name);
      this.#loadOutbox();
      this.#renewBefore(ready.expiresAt);
      if (fresh || ready.reset) await this.#startOver();
      else await this.#catchUp(ready);
      if (this.socket !== socket) return;
      clearTimeout(this.timers.connect);
      this.attempt = 0;
      this.#setState("online", null);
      for (const room of this.rooms.values()) this.#join(room, socket);
      this.#flush();
    } catch (error) {
      if (this.socket !== socket) return;
      // A cursor that the server cannot read: start afresh.
      if (error.code === "invalid") this.cursor = "";
      // A refused token: the server closes, and its close code says how to go on.
      if (!error.code?.startsWith("token_")) this.#abandon(error);
    }
  }

  // The user's own feed, from `ready` on and page by page.
  async #catchUp(page) {
    for (;;) {
      for (const change of page.changes ?? []) this.#applyOwn(change, change.seq);
      this.cursor = page.cursor;
      if (!page.more) return;
      page = (await this.request("join", { room: "", since: this.cursor })).joined;
      if (page.reset) return this.#startOver();
    }
  }

  // Drops the picture and takes a new one. Deliveries that come before the
  // snapshot are held and applied after it: those it already contains do no harm.
  async #startOver() {
    const held = (this.held ??= []);
    const { snapshot } = await this.request("snapshot", {});
    this.rooms.clear();
    this.notifications.clear();
    this.cursor = snapshot.cursor;
    for (const summary of snapshot.rooms ?? []) this.#putSummary(summary);
    for (const notification of snapshot.notifications ?? []) {
      this.notifications.set(notification.id, { notification, changed: 0 });
    }
    this.held = null;
    for (const frame of held) this.#deliverOwn(frame);
    this.#emit("reset");
    this.#changed();
  }

  async #join(room, socket) {
    for (;;) {
      if (this.socket !== socket || this.rooms.get(room.id) !== room) return;
      try {
        const { joined } = await this.request("join", { room: room.id, since: room.cursor });
        if (joined.reset) {
          // The store was set back: nothing kept can be trusted.
          this.cursor = "";
          return this.#abandon(new Error("reset"));
        }
        room.followedFrom ??= joined.from;
        for (const change of joined.changes ?? []) {
          this.#applyRoom(room, change, change.seq);
        }
        room.cursor = joined.cursor;
        this.#changed(room);
        if (!joined.more) return this.#storeMark(room);
      } catch (error) {
        if (this.socket !== socket) return;
        if (error.code === "not_member") return this.#forget(room);
        if (error.code === "invalid") this.cursor = "";
        if (!error.retryable) return this.#abandon(error);
        await wait(error.retryAfter || backoff(1));
      }
    }
  }

  #lost(code, reason) {
    this.socket = null;
    this.#rejectPending();
    // Who types and who is online is not known any more.
    for (const room of this.rooms.values()) {
      for (const user of room.typing.keys()) this.#stopTyping(room, user);
    }
    this.presence.clear();
    const canRenew = code === 4403 && typeof this.token === "function";
    if (resumes(code) || canRenew) this.#reconnectLater({ code, reason });
    else this.#setState("stopped", { code, reason });
  }

  // Gives up on a connection that does not do what it should.
  #abandon(error) {
    const socket = this.socket;
    this.socket = null;
    this.#rejectPending();
    socket?.close(1000);
    this.#reconnectLater({ code: 0, reason: error.message });
  }

  #reconnectLater(why) {
    // A draining node says how long to stay away, so that not all return at once.
    const told = why.code === 4504 ? Number.parseInt(/\d+/.exec(why.reason)?.[0] ?? "0", 10) : 0;
    const delay = told || backoff(this.attempt++);
    for (const timer of Object.values(this.timers)) clearTimeout(timer);
    this.timers.reconnect = setTimeout(() => this.#connect(), delay);
    this.#setState("waiting", { ...why, until: Date.now() + delay });
  }

  #setState(state, why) {
    if (state === "stopped") {
      for (const timer of Object.values(this.timers)) clearTimeout(timer);
    }
    this.state = state;
    this.why = why;
    this.#emit("state", { state, why });
  }

  // Browsers do not show WebSocket pings to programs: after some silence ask.
  #heard() {
    clearTimeout(this.timers.quiet);
    this.timers.quiet = setTimeout(() => this.#probe(), QUIET_TIMEOUT);
  }

  #probe() {
    this.request("ping", {}).catch(() => {});
  }

  #renewBefore(expiresAt) {
    clearTimeout(this.timers.renew);
    if (!expiresAt || typeof this.token !== "function") return;
    const delay = Math.max(10_000, expiresAt - Date.now() - RENEW_BEFORE_EXPIRY);
    this.timers.renew = setTimeout(async () => {
      if (delay <= LONGEST_TIMER && this.state === "online") {
        try {
          const token = await this.#currentToken();
          const { ready } = await this.request("auth", { token });
          expiresAt = ready.expiresAt;
        } catch {
          // The next attempt follows; the server closes when time is up.
        }
      }
      this.#renewBefore(expiresAt);
    }, Math.min(delay, LONGEST_TIMER));
  }

  // ---- requests ------------------------------------------------------------

  /** Sends one request; resolves to its answer frame, rejects with a CarillonError. */
  request(kind, body) {
    const socket = this.socket;
    if (socket?.readyState !== 1) return Promise.reject(disconnected());
    const id = this.nextId++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        if (this.socket === socket) this.#abandon(new Error("no answer in time"));
      }, ANSWER_TIMEOUT);
      this.pending.set(id, { resolve, reject, timer });
      socket.send(JSON.stringify({ id, [kind]: body }));
    });
  }

  // Fire and forget: for signs that are worth nothing later.
  #hint(kind, body) {
    if (this.state === "online" && this.socket?.readyState === 1) {
      this.socket.send(JSON.stringify({ [kind]: body }));
    }
  }

  #rejectPending() {
    for (const { reject, timer } of this.pending.values()) {
      clearTimeout(timer);
      reject(disconnected());
    }
    this.pending.clear();
  }

  /** Calls the REST API with the same token. */
  async rest(method, path, body) {
    const response = await fetch(this.base + path, {
      method,
      headers: {
        authorization: `Bearer ${await this.#currentToken()}`,
        ...(body && { "content-type": "application/json" }),
      },
      body: body && JSON.stringify(body),
    });
    const text = await response.text();
    const value = text ? JSON.parse(text) : null;
    if (response.ok) return value;
    throw new CarillonError({
      code: value?.code ?? `http_${response.status}`,
      message: value?.detail ?? value?.title ?? response.statusText,
      retryable: response.status === 429 || response.status >= 500,
    });
  }

  // ---- what comes in -------------------------------------------------------

  #receive(frame) {
    if (frame.re) {
      const waiting = this.pending.get(frame.re);
      if (!waiting) return;
      this.pending.delete(frame.re);
      clearTimeout(waiting.timer);
      // Who awaits it may run after frames that follow: the fold does not mind.
      if (frame.error) waiting.reject(new CarillonError(frame.error));
      else waiting.resolve(frame);
    } else if (frame.seq) {
      if (frame.room) this.#deliverRoom(frame);
      else if (this.held) this.held.push(frame);
      else this.#deliverOwn(frame);
    } else if (frame.room) {
      this.#ephemeral(frame);
    }
  }

  #deliverRoom(frame) {
    const room = this.rooms.get(frame.room);
    if (!room) return;
    this.#applyRoom(room, frame, frame.seq);
    room.cursor = frame.cursor;
    this.#changed(room);
  }

  #deliverOwn(frame) {
    this.#applyOwn(frame, frame.seq);
    this.cursor = frame.cursor;
    this.#changed();
  }

  #applyRoom(room, { message, member, details }, changed) {
    if (message) {
      this.#stopTyping(room, message.sender);
      // Not `seq === changed`: what was sent and edited meanwhile comes as one change.
      const isNew = message.seq > room.followedFrom && !room.things.has(message.id);
      this.#putMessage(room, message, changed);
      if (isNew && message.sender !== this.user) {
        room.arrivals.push(message.seq);
        room.countUnread();
      }
    } else if (member) {
      this.#putMember(room, member, changed);
    } else if (details) {
      if (changed < room.detailsChanged) return;
      room.detailsChanged = changed;
      room.details = details;
      if (details.deletedAt) this.#forget(room);
    }
  }

  #applyOwn({ notification, membership }, changed) {
    if (notification) {
      const known = this.notifications.get(notification.id);
      if (!known || known.changed < changed) this.notifications.set(notification.id, { notification, changed });
    } else if (membership) {
      const room = this.rooms.get(membership.room);
      if (!membership.active) {
        if (room) this.#forget(room);
      } else if (!room) {
        this.open(membership.room).catch(() => {});
      } else if (changed > room.membershipChanged) {
        room.membershipChanged = changed;
        room.role = membership.role;
        this.#putStoredMark(room, membership.readSeq, membership.unread);
        this.#changed(room);
      }
    }
  }

  #putMessage(room, message, changed) {
    this.names.set(message.sender, message.name || this.names.get(message.sender) || message.sender);
    const known = room.things.get(message.id);
    if (known && known.changed >= changed) return;
    room.things.set(message.id, { message, changed });
    if (message.seq >= (room.lastMessage?.seq ?? 0)) room.lastMessage = message;
    if (message.sender === this.user && message.key) {
      this.#dropFromOutbox((entry) => entry.key === message.key && entry.room === room.id);
    }
  }

  #putMember(room, member, changed = 0) {
    const known = room.members.get(member.user);
    if (known && known.changed > changed) return;
    room.members.set(member.user, { ...member, changed });
    if (member.name) this.names.set(member.user, member.name);
  }

  #putStoredMark(room, seq, unread) {
    room.readStored = Math.max(room.readStored, seq);
    this.#putOwnMark(room, seq, unread);
  }

  #putOwnMark(room, seq, unread) {
    if (seq < room.readSeq) return;
    room.readSeq = seq;
    room.arrivals = room.arrivals.filter((arrival) => arrival > seq);
    if (seq < (room.followedFrom ?? Infinity) && unread !== undefined) {
      room.unreadBefore = Math.max(0, unread - room.arrivals.length);
    }
    room.countUnread();
  }

  #putSummary(summary) {
    const room = new Room(summary.details.id);
    room.details = summary.details;
    room.role = summary.role;
    room.readSeq = room.readStored = summary.readSeq ?? 0;
    room.unread = room.unreadBefore = summary.unread ?? 0;
    room.cursor = summary.cursor;
    for (const mark of summary.readMarks ?? []) room.readMarks.set(mark.user, mark.seq);
    this.rooms.set(room.id, room);
    if (summary.lastMessage) {
      this.#putMessage(room, summary.lastMessage, 0);
      room.floor = summary.lastMessage.seq;
    } else {
      room.hasOlder = false;
    }
    return room;
  }

  #forget(room) {
    for (const { timer } of room.typing.values()) clearTimeout(timer);
    this.rooms.delete(room.id);
    this.#changed();
  }

  #ephemeral(frame) {
    const room = this.rooms.get(frame.room);
    if (!room) return;
    const { typing, presence, readMark, signal } = frame;
    if (typing && typing.user !== this.user) {
      this.#stopTyping(room, typing.user);
      if (!typing.stopped) {
        const timer = setTimeout(() => {
          room.typing.delete(typing.user);
          this.#changed(room);
        }, TYPING_TIMEOUT);
        room.typing.set(typing.user, { name: typing.name, timer });
      }
    } else if (presence) {
      this.#putPresence(presence.users);
    } else if (readMark) {
      if (readMark.seq > (room.readMarks.get(readMark.user) ?? 0)) room.readMarks.set(readMark.user, readMark.seq);
      if (readMark.user === this.user) this.#putStoredMark(room, readMark.seq);
    } else if (signal) {
      this.#emit("signal", { room: room.id, ...signal });
    }
    this.#changed(room);
  }

  #stopTyping(room, user) {
    clearTimeout(room.typing.get(user)?.timer);
    room.typing.delete(user);
  }

  #putPresence(users) {
    for (const { user, status, lastSeen } of users ?? []) {
      this.presence.set(user, { status, lastSeen: lastSeen || this.presence.get(user)?.lastSeen || 0 });
    }
  }

  // ---- messages ------------------------------------------------------------

  /**
   * Sends a message: it is in the outbox at once, and in the room when it is
   * stored. Its key makes every repeat safe, also after a reload.
   */
  send(roomId, text, { type = "TEXT", data } = {}) {
    const entry = { key: crypto.randomUUID(), room: roomId, type, text, data, time: Date.now(), state: "sending" };
    this.outbox.push(entry);
    this.#saveOutbox();
    this.#hint("typing", { room: roomId, stopped: true });
    this.#flush();
    this.#changed(this.rooms.get(roomId));
    return entry;
  }

  /** Tries a failed message again. */
  retry(entry) {
    if (entry.error?.code === "key_conflict") entry.key = crypto.randomUUID();
    entry.state = "sending";
    delete entry.error;
    this.underWay.delete(entry);
    this.#saveOutbox();
    this.#flush();
    this.#changed(this.rooms.get(entry.room));
  }

  /** Gives up on a failed message. */
  discard(entry) {
    this.#dropFromOutbox((each) => each === entry);
    this.#changed(this.rooms.get(entry.room));
  }

  // One send per room is on the way at a time: a repeat cannot be overtaken by
  // what was written after it.
  #flush() {
    if (this.state !== "online") return;
    const busy = new Set();
    for (const entry of this.outbox) {
      if (entry.state === "failed" || busy.has(entry.room)) continue;
      busy.add(entry.room);
      if (this.underWay.get(entry) !== this.socket) this.#submit(entry, this.socket);
    }
  }

  async #submit(entry, socket) {
    const { key, room: roomId, type, text, data } = entry;
    this.underWay.set(entry, socket);
    try {
      const { sent } = await this.request("send", { room: roomId, key, type, text, data });
      this.#dropFromOutbox((each) => each === entry);
      const room = this.rooms.get(roomId);
      if (room) {
        const { message: id, seq, ordinal, time } = sent;
        const message = { id, seq, ordinal, sender: this.user, name: this.name, type, text, data, time, key };
        this.#putMessage(room, message, seq);
        this.#changed(room);
      }
    } catch (error) {
      if (!this.outbox.includes(entry) || entry.key !== key) return;
      if (!error.retryable) {
        entry.state = "failed";
        entry.error = { code: error.code, message: error.message };
        this.#saveOutbox();
        this.#changed(this.rooms.get(roomId));
      } else if (this.socket === socket) {
        await wait(error.retryAfter || backoff(2));
        if (this.underWay.get(entry) === socket) this.underWay.delete(entry);
      }
    }
    this.#flush();
  }

  #dropFromOutbox(predicate) {
    const kept = this.outbox.filter((entry) => !predicate(entry));
    if (kept.length === this.outbox.length) return;
    this.outbox = kept;
    this.#saveOutbox();
  }

  #saveOutbox() {
    if (!this.outboxLoaded) return;
    this.storage?.setItem(`carillon.outbox.${this.user}`, JSON.stringify(this.outbox));
  }

  // Once, as soon as it is known whose it is.
  #loadOutbox() {
    if (this.outboxLoaded) return;
    this.outboxLoaded = true;
    const saved = this.storage?.getItem(`carillon.outbox.${this.user}`);
    if (saved) this.outbox.unshift(...JSON.parse(saved));
    this.#saveOutbox();
  }

  /** Changes the text of one's own message, within the time allowed for it. */
  edit(roomId, message, text) {
    return this.request("edit", { room: roomId, message, text });
  }

  /** Deletes a message; a tombstone stays. */
  remove(roomId, message) {
    return this.request("delete", { room: roomId, message });
  }

  /** Loads a page of older messages. */
  async loadOlder(roomId, limit = 50) {
    const room = this.rooms.get(roomId);
    if (!room?.hasOlder || room.loading) return;
    room.loading = true;
    try {
      const { history } = await this.request("history", { room: roomId, before: room.floor, limit });
      const page = history.messages ?? [];
      // What a delivery brought is at least as new as the page.
      for (const message of page) {
        if (!room.things.has(message.id)) this.#putMessage(room, message, 0);
      }
      room.hasOlder = Boolean(history.more) && page.length > 0;
      room.floor = room.hasOlder ? page[0].seq : 0;
    } finally {
      room.loading = false;
      this.#changed(room);
    }
  }

  /** Marks everything of a room that has arrived as read, on all devices. */
  async markRead(roomId) {
    const room = this.rooms.get(roomId);
    const seq = room?.lastMessage?.seq ?? 0;
    if (!room || seq <= room.readSeq) return;
    this.#putOwnMark(room, seq, 0);
    this.#changed(room);
    await this.#storeMark(room);
  }

  // What fails here is tried again with the next mark, or after the next join.
  async #storeMark(room) {
    if (room.readSeq <= room.readStored) return;
    try {
      const { readMark } = await this.request("read", { room: room.id, seq: room.readSeq });
      this.#putStoredMark(room, readMark.seq, readMark.unread);
    } catch (error) {
      if (!error.retryable) room.readStored = room.readSeq;
    }
  }

  /** Shows the others that the user is typing; repeat it at most every two seconds. */
  typing(roomId, stopped = false) {
    this.#hint("typing", { room: roomId, stopped });
  }

  /** Sends an ephemeral event of the application's own to everyone in the room. */
  signal(roomId, name, data) {
    return this.request("signal", { room: roomId, name, data });
  }

  // ---- rooms, people, notifications ---------------------------------------

  /** Opens the direct room with a user, or creates it. */
  async openDirect(user) {
    const { id } = await this.rest("POST", "/v1/rooms", { kind: "direct", user });
    return this.open(id);
  }

  /** Creates a group. */
  async createGroup(name, members) {
    const { id } = await this.rest("POST", "/v1/rooms", { kind: "group", name, members });
    return this.open(id);
  }

  /** Adds a room of the user's to the picture and follows it. */
  async open(roomId) {
    const path = `/v1/rooms/${encodeURIComponent(roomId)}`;
    const known = this.rooms.get(roomId);
    if (known) return known;
    const summary = await this.rest("GET", path);
    // The own feed's delivery and the caller of `openDirect` both ask.
    if (this.rooms.has(roomId)) return this.rooms.get(roomId);
    const room = this.#putSummary(summary);
    if (this.state === "online") this.#join(room, this.socket);
    this.#changed(room);
    return room;
  }

  /** Brings up to date what is not part of the feed: members' names, read marks, presence. */
  async refresh(roomId) {
    const room = this.rooms.get(roomId);
    if (!room) return;
    const path = `/v1/rooms/${encodeURIComponent(roomId)}`;
    const [summary, members] = await Promise.all([this.rest("GET", path), this.rest("GET", `${path}/members`)]);
    for (const mark of summary.readMarks ?? []) {
      if (mark.seq > (room.readMarks.get(mark.user) ?? 0)) room.readMarks.set(mark.user, mark.seq);
    }
    for (const member of members.members) this.#putMember(room, member);
    await this.#askPresence(room);
    this.#changed(room);
  }

  /** Adds users to a group; in a public room only oneself. */
  async addMembers(roomId, users) {
    await this.rest("POST", `/v1/rooms/${encodeURIComponent(roomId)}/members`, { users });
  }

  /** Leaves a room for good. */
  async leaveRoom(roomId) {
    const me = encodeURIComponent(this.user);
    await this.rest("DELETE", `/v1/rooms/${encodeURIComponent(roomId)}/members/${me}`);
  }

  async #askPresence(room) {
    const users = [...room.members.values()].filter((member) => member.active).map((member) => member.user);
    if (users.length === 0) return;
    const { presence } = await this.request("presence", { room: room.id, users: users.slice(0, 100) });
    this.#putPresence(presence.users);
  }

  /** "online", "away", "busy" or "invisible". */
  setStatus(status) {
    return this.request("presence", { status });
  }

  /** Marks one notification as read on all devices, or without an id all of them. */
  readNotification(notification = "") {
    return this.request("readNotification", { notification });
  }

  /** Unread notifications, newest first. */
  unreadNotifications() {
    return [...this.notifications.values()]
      .map((known) => known.notification)
      .filter((notification) => !notification.readAt)
      .sort((a, b) => b.time - a.time);
  }

  #changed(room) {
    this.#emit("change", { room: room?.id });
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

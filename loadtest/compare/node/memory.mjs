// Rooms and messages of one process, gone with it.

/** The most that a client that comes back is sent of a room. */
const MAX_CATCH_UP = 1000;

export class MemoryStore {
  #rooms = new Map();
  #ofUser = new Map();
  #direct = new Map();
  #next = 1;

  async createRoom({ direct, name, members, by }) {
    const pair = direct ? JSON.stringify([...members].sort()) : undefined;
    const id = this.#direct.get(pair) ?? String(this.#next++);
    const room = this.#rooms.get(id) ?? { id, direct, name, by, at: Date.now(), members: new Set(members), messages: [] };
    if (!this.#rooms.has(id)) {
      this.#rooms.set(id, room);
      if (pair) this.#direct.set(pair, id);
      for (const member of room.members) {
        const rooms = this.#ofUser.get(member);
        if (rooms) rooms.push(id);
        else this.#ofUser.set(member, [id]);
      }
    }
    return {
      id,
      kind: room.direct ? "DIRECT" : "GROUP",
      name: room.name,
      createdAt: room.at,
      createdBy: room.by,
      members: room.members.size,
    };
  }

  async roomsOf(user) {
    return this.#ofUser.get(user) ?? [];
  }

  async isMember(room, user) {
    return this.#rooms.get(room)?.members.has(user) ?? false;
  }

  // Ids count a room's messages from 1. Not `async`: there is nothing to wait for.
  append(room, sender, { text, type }) {
    const { messages } = this.#rooms.get(room);
    const message = { id: String(messages.length + 1), room, sender, text, type, time: new Date().toISOString() };
    messages.push(message);
    return message;
  }

  async after(room, id) {
    return this.#rooms.get(room).messages.slice(Number(id)).slice(0, MAX_CATCH_UP);
  }

  /** The newest ones before this id (0: of all), oldest first. */
  async page(room, before, limit) {
    const { messages } = this.#rooms.get(room);
    const end = before > 0 ? Math.min(before - 1, messages.length) : messages.length;
    return messages.slice(Math.max(end - limit, 0), end);
  }

  async answers() {
    return true;
  }

  async close() {}
}

// What both ways in, sockets and REST, say and refuse.

/** What a client hears when it is refused. */
export class Refusal extends Error {
  constructor(code, message, status) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

const TYPES = ["TEXT", "IMAGE", "FILE", "VOICE"];
const MAX_TEXT_BYTES = 16 * 1024;

/** Checks what a client wants to say. */
export function checked({ text, type = "TEXT" }) {
  if (typeof text !== "string" || text === "") throw new Refusal("invalid", "a text is needed", 400);
  if (Buffer.byteLength(text) > MAX_TEXT_BYTES) throw new Refusal("too_large", "the text is too long", 413);
  if (!TYPES.includes(type)) throw new Refusal("invalid", "there is no such type", 400);
  return { text, type };
}

export const notMember = () => new Refusal("not_member", "not a member of this chat", 403);

/** The names, for Socket.IO, of all sockets of a user, and of all in a chat. */
export const socketsOf = (user) => `user:${user}`;
export const socketsIn = (chat) => `chat:${chat}`;

/** A message as Socket.IO clients hear it. */
export const shown = (message) => ({
  id: message.id,
  chatId: message.room,
  sender: message.sender,
  content: message.text,
  type: message.type,
  timestamp: message.time,
});

/** Where a message stands: what a client shows when it comes back. */
export const position = (message) => `${message.room}|${message.id}`;

/** Says a stored message to everybody in its room, its sender too. */
export const tell = (io, message) =>
  io.to(socketsIn(message.room)).emit("message_received", shown(message), position(message));

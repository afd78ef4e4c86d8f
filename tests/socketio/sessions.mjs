// Direct and group chats, the full set: every row of its tables.

import assert from "node:assert/strict";
import { binary, edge, entrance, inOrder, nonsense } from "./common.mjs";
import { User, call, count, finish, given, iso, meanwhile, rest, same, step, text } from "./harness.mjs";

const ERROR = { code: text, message: text };
const ID = given.ids;
const BASE = "/api/v1/chat";
// Who comes and goes is told at any time, and looked at in steps of its own.
const PRESENCE = ["user_online", "user_offline", "presence_update"];

const maybe = (shape) => (value) => value === null || shape(value);
const ids = (value) => Array.isArray(value) && value.every((id) => typeof id === "string");
const message = (chatId, sender, content, more = {}) => ({
  id: text,
  chatId,
  sender: { id: ID[sender], username: sender },
  content,
  type: "TEXT",
  data: null,
  timestamp: iso,
  editedAt: null,
  deletedAt: null,
  status: (status) => ["sent", "delivered", "read"].includes(status),
  readBy: ids,
  ...more,
});
const participant = ({ id, username, role }) =>
  text(id) && typeof username === "string" && ["ADMIN", "MODERATOR", "MEMBER"].includes(role);
const chat = (type, names) => ({
  id: text,
  type,
  name: (name) => typeof name === "string",
  participants: (found) =>
    found.every(participant) && same(found.map(({ id }) => id).sort(), names.map((name) => ID[name]).sort()) === undefined,
  createdBy: text,
  createdAt: iso,
  lastMessage: (last) => last === null || text(last.id),
  unreadCount: count,
  role: (role) => ["ADMIN", "MODERATOR", "MEMBER"].includes(role),
});

await edge(`${BASE}/sessions`, ERROR);
await entrance({ mayBeNobody: true });

await step("authenticate: a connection may start without a token and must then authenticate first", async () => {
  const late = await User.connect("eve", { auth: {} });
  assert.equal(await late.refused(ERROR, "send_message", { chatId: "x", content: "x" }), "unauthenticated");
  for (const token of ["nonsense", given.tokens.forged, given.tokens.expired]) {
    await late.refused(ERROR, "authenticate", { token });
  }
  await late.refused(ERROR, "create_chat", { type: "DIRECT", targetUserId: ID.ana });
  await late.done("authenticate", { token: given.tokens.eve }, { userId: ID.eve });
  await late.hears("authenticated", { userId: ID.eve });
  await late.refused(ERROR, "authenticate", { token: given.tokens.ana });
  late.leave();
});

meanwhile("typing_start: a sign that is not renewed stops by itself", async () => {
  const nora = await User.connect("nora", { gateway: 0 });
  const zoe = await User.connect("zoe", { gateway: 1 });
  const { chat } = await nora.ask("create_chat", { type: "DIRECT", targetUserId: ID.zoe });
  await zoe.hears("chat_created");
  const sign = (isTyping) => ({ chatId: chat.id, userId: ID.nora, username: "nora", isTyping });
  await nora.done("typing_start", { chatId: chat.id });
  await zoe.hears("user_typing", sign(true));
  await zoe.hears("user_stopped_typing", sign(false));
});

meanwhile("connecting and leaving: user_online, user_offline with last seen to the others", async () => {
  const ida = await User.connect("ida", { gateway: 0 });
  await ida.ask("create_chat", { type: "DIRECT", targetUserId: ID.otto });
  const presence = (status) => ({ userId: ID.otto, status, lastSeen: maybe(iso) });
  const ottos = (payload) => payload.userId === ID.otto;
  const otto = await User.connect("otto", { gateway: 1 });
  await ida.hears("user_online", presence("online"), ottos);
  otto.leave();
  const gone = await ida.hears("user_offline", presence("offline"), ottos);
  assert.ok(iso(gone.lastSeen));
});

const ana = await User.connect("ana", { gateway: 0 });
const ben = await User.connect("ben", { gateway: 1 });
const eve = await User.connect("eve", { gateway: 1 });
let direct;
let groupId;
let withEve;

await step("create_chat: chat_created to every participant; one direct chat per pair", async () => {
  const wanted = chat("DIRECT", ["ana", "ben"]);
  const made = await ana.done("create_chat", { type: "DIRECT", targetUserId: ID.ben }, { chat: wanted });
  direct = made.chat.id;
  for (const user of [ana, ben]) assert.equal((await user.hears("chat_created", wanted)).id, direct);
  const again = await ben.done("create_chat", { type: "DIRECT", targetUserId: ID.ana }, { chat: wanted });
  assert.equal(again.chat.id, direct);

  const group = chat("GROUP", ["ana", "ben", "cleo"]);
  const participantIds = [ID.ben, ID.cleo];
  const asked = { type: "GROUP", name: "Ringers", participantIds };
  const { chat: created } = await ana.done("create_chat", asked, { chat: group });
  groupId = created.id;
  assert.equal(created.name, "Ringers");
  assert.equal(created.participants.find(({ id }) => id === ID.ana).role, "ADMIN");
  for (const user of [ana, ben]) assert.equal((await user.hears("chat_created", group)).id, groupId);

  withEve = (await eve.ask("create_chat", { type: "DIRECT", targetUserId: ID.ana })).chat.id;
  for (const user of [ana, eve]) assert.equal((await user.hears("chat_created")).id, withEve);
  eve.assertHeardNothingElse(...PRESENCE);
});

/** What everybody hears later shows what they did not hear before. */
async function nothingElse() {
  for (const [sender, chatId, heardBy] of [[ben, groupId, [ana, ben]], [eve, withEve, [ana, eve]]]) {
    await sender.ask("send_message", { chatId, content: "marker", type: "TEXT" });
    await sender.hears("message_sent");
    for (const user of heardBy) await user.hears("message_received", message(chatId, sender.name, "marker"));
  }
  for (const user of [ana, ben, eve]) user.assertHeardNothingElse(...PRESENCE);
}

await step("send_message: message_received to the room, message_sent to the sender", async () => {
  const sent = { messageId: text, chatId: direct, timestamp: iso };
  const { messageId } = await ana.done("send_message", { chatId: direct, content: "hi", type: "TEXT" }, sent);
  assert.equal((await ana.hears("message_sent", sent)).messageId, messageId);
  for (const user of [ana, ben]) {
    assert.equal((await user.hears("message_received", message(direct, "ana", "hi"))).id, messageId);
  }
  await nothingElse();
});

await step("send_message: types TEXT, IMAGE, FILE, VOICE", async () => {
  for (const type of ["IMAGE", "FILE", "VOICE"]) {
    const content = `https://files.example/${type}`;
    await ana.ask("send_message", { chatId: direct, content, type });
    const shape = message(direct, "ana", content, { type, data: (data) => data === null || typeof data === "object" });
    for (const user of [ana, ben]) await user.hears("message_received", shape);
    await ana.hears("message_sent");
  }
  await ana.refused(ERROR, "send_message", { chatId: direct, content: "x", type: "SMELL" });
  await ana.refused(ERROR, "send_message", { chatId: direct, content: "", type: "TEXT" });
  await eve.refused(ERROR, "send_message", { chatId: direct, content: "let me in", type: "TEXT" });
  await nothingElse();
});

await step("edit_message: message_edited; own messages only", async () => {
  const { messageId } = await ana.ask("send_message", { chatId: direct, content: "a typo", type: "TEXT" });
  await ana.hears("message_sent");
  for (const user of [ana, ben]) await user.hears("message_received");
  await ben.refused(ERROR, "edit_message", { messageId, content: "not mine" });
  await eve.refused(ERROR, "edit_message", { messageId, content: "not mine" });
  await ana.refused(ERROR, "edit_message", { messageId, content: "" });
  await ana.done("edit_message", { messageId, content: "no typo" }, { messageId, chatId: direct, editedAt: iso });
  const edited = message(direct, "ana", "no typo", { id: messageId, editedAt: iso });
  for (const user of [ana, ben]) await user.hears("message_edited", edited);
  await nothingElse();
});

await step("delete_message: message_deleted; author, moderator, admin", async () => {
  const say = async (user, content) => {
    const { messageId } = await user.ask("send_message", { chatId: groupId, content, type: "TEXT" });
    await user.hears("message_sent");
    for (const hearer of [ana, ben]) await hearer.hears("message_received");
    return messageId;
  };
  const [own, byAna, byBen] = [await say(ben, "own"), await say(ana, "by ana"), await say(ben, "by ben")];
  await ben.refused(ERROR, "delete_message", { messageId: byAna });
  await eve.refused(ERROR, "delete_message", { messageId: byAna });
  for (const [user, messageId] of [[ben, own], [ana, byBen]]) {
    await user.done("delete_message", { messageId }, { messageId, chatId: groupId });
    for (const hearer of [ana, ben]) {
      await hearer.hears("message_deleted", { messageId, chatId: groupId, deletedAt: iso });
    }
  }
  await call(200, "ana", "PATCH", `/v1/rooms/${groupId}/members/${ID.ben}`, { role: "moderator" });
  await ben.done("delete_message", { messageId: byAna }, { messageId: byAna, chatId: groupId });
  for (const hearer of [ana, ben]) await hearer.hears("message_deleted");
  await nothingElse();
});

await step("mark_as_read: messages_read with user and position", async () => {
  const { messageId } = await ana.ask("send_message", { chatId: direct, content: "read me", type: "TEXT" });
  await ana.hears("message_sent");
  const received = await ben.hears("message_received");
  await ana.hears("message_received");
  assert.equal(received.status, "sent");
  const unread = () => call(200, "ben", "GET", `${BASE}/sessions/${direct}/unread`);
  assert.ok((await unread()).unreadCount > 0);
  const position = count;
  const mark = { chatId: direct, userId: ID.ben, readAt: iso, position };
  for (const payload of [{ chatId: direct, messageId }, { chatId: direct }]) {
    await ben.done("mark_as_read", payload, { chatId: direct, readAt: iso, position, unreadCount: 0 });
    await ben.hears("messages_read", mark);
  }
  await ana.hears("messages_read", mark);
  assert.equal((await unread()).unreadCount, 0);
  const { messages } = await call(200, "ana", "GET", `${BASE}/sessions/${direct}/messages?limit=1`);
  same(messages[0], message(direct, "ana", "read me", { id: messageId, status: "read" }));
  assert.deepEqual(messages[0].readBy, [ID.ben]);
  await eve.refused(ERROR, "mark_as_read", { chatId: direct });
  await ben.ask("mark_as_read", { chatId: groupId });
  await ben.hears("messages_read");
  await ana.hears("messages_read", undefined, ({ chatId }) => chatId === groupId);
  // Marks that did not move may be told again.
  ana.assertHeardNothingElse("messages_read", ...PRESENCE);
  await nothingElse();
});

await step("typing_start, typing_stop, typing_indicator: user_typing, user_stopped_typing to the others", async () => {
  const sign = (isTyping) => ({ chatId: direct, userId: ID.ana, username: "ana", isTyping });
  const ways = [["typing_start", {}, "typing_stop", {}], ["typing_indicator", { isTyping: true }, "typing_indicator", { isTyping: false }]];
  for (const [start, active, stop, inactive] of ways) {
    await ana.done(start, { chatId: direct, ...active });
    await ben.hears("user_typing", sign(true));
    await ana.done(stop, { chatId: direct, ...inactive });
    await ben.hears("user_stopped_typing", sign(false));
  }
  await eve.refused(ERROR, "typing_start", { chatId: direct });
  await nothingElse();
});

await step("user_online, user_offline, presence_update: the same events to the others", async () => {
  const presence = (userId, status) => ({ userId, status, lastSeen: maybe(iso) });
  const is = (status) => (payload) => payload.userId === ID.ben && payload.status === status;
  ana.assertHeardNothingElse(...PRESENCE);
  await ben.done("presence_update", { status: "away" }, { status: "away" });
  await ana.hears("presence_update", presence(ID.ben, "away"), is("away"));
  await ben.done("user_offline");
  await ana.hears("user_offline", presence(ID.ben, "offline"), is("offline"));
  await ben.done("user_online");
  await ana.hears("user_online", presence(ID.ben, "online"), is("online"));
  await ben.refused(ERROR, "presence_update", { status: "floating" });
  // Eve has nothing to do with ben.
  await nothingElse();
  eve.assertHeardNothingElse();
});

await step("get_online_users: online_users", async () => {
  const both = (users) => users.length === 2 && users.every(({ status }) => status === "online");
  const online = { chatId: groupId, users: both };
  const answer = await ana.done("get_online_users", { chatId: groupId }, online);
  assert.deepEqual(answer.users.map(({ userId }) => userId).sort(), [ID.ana, ID.ben].sort());
  await ana.hears("online_users", online);
  await eve.refused(ERROR, "get_online_users", { chatId: groupId });
});

await step("join_chat, leave_chat: chat_joined, chat_left; to the others user_joined_chat, user_left_chat", async () => {
  const joined = { chatId: groupId, userId: ID.ben, username: "ben" };
  await ben.done("join_chat", { chatId: groupId }, { chatId: groupId });
  await ben.hears("chat_joined", { chatId: groupId });
  await ana.hears("user_joined_chat", joined);
  await ben.done("leave_chat", { chatId: groupId }, { chatId: groupId });
  await ben.hears("chat_left", { chatId: groupId });
  await ana.hears("user_left_chat", joined);
  await ana.ask("send_message", { chatId: groupId, content: "ben is not here", type: "TEXT" });
  await ana.hears("message_received");
  await ana.hears("message_sent");
  await ben.done("join_chat", { chatId: groupId }, { chatId: groupId });
  await ben.hears("chat_joined");
  await ana.hears("user_joined_chat", joined);
  await eve.refused(ERROR, "join_chat", { chatId: groupId });
  await nothingElse();
});

await step("on connect the user is in all own chats without joining", async () => {
  const cleo = await User.connect("cleo", { gateway: 1 });
  await ana.ask("send_message", { chatId: groupId, content: "for cleo too", type: "TEXT" });
  await cleo.hears("message_received", message(groupId, "ana", "for cleo too"));
  cleo.leave();
  await ana.hears("message_sent");
  for (const user of [ana, ben]) await user.hears("message_received");
});

await step("GET, POST /sessions", async () => {
  const found = await call(201, "eve", "POST", `${BASE}/sessions`, { targetUserId: ID.ben, type: "DIRECT" });
  same(found, chat("DIRECT", ["eve", "ben"]));
  for (const user of [eve, ben]) await user.hears("chat_created");
  const asked = { type: "GROUP", name: "By REST", participantIds: [ID.ana, ID.ben] };
  const made = await call(201, "eve", "POST", `${BASE}/sessions`, asked);
  same(made, chat("GROUP", ["eve", "ana", "ben"]));
  for (const user of [ana, eve, ben]) await user.hears("chat_created");
  const list = await call(200, "eve", "GET", `${BASE}/sessions?limit=2`);
  same(list, { sessions: (sessions) => sessions.length === 2, more: true });
  const next = await call(200, "eve", "GET", `${BASE}/sessions?limit=2&page=2`);
  same(next, { sessions: (sessions) => sessions.length === 1, more: false });
  const all = [...list.sessions, ...next.sessions].map(({ id }) => id);
  assert.deepEqual(all.sort(), [found.id, made.id, withEve].sort());
});

await step("GET, PUT, DELETE /sessions/:id; participant_left", async () => {
  const path = `${BASE}/sessions/${groupId}`;
  same(await call(200, "ben", "GET", path), { ...chat("GROUP", ["ana", "ben", "cleo"]), role: "MODERATOR" });
  const renamed = await call(200, "ana", "PUT", path, { name: "Bell ringers" });
  assert.equal(renamed.name, "Bell ringers");
  for (const method of ["GET", "PUT", "DELETE"]) {
    const refused = await rest("eve", method, path, method === "PUT" ? { name: "mine" } : undefined);
    assert.ok([403, 404].includes(refused.status), `${method}: ${refused.status}`);
    same(refused.body, ERROR);
  }
  await call(200, "cleo", "DELETE", path);
  for (const user of [ana, ben]) {
    await user.hears("participant_left", { chatId: groupId, userId: ID.cleo, username: (name) => typeof name === "string" });
  }
  await nothingElse();
});

await step("GET, POST /sessions/:id/messages; PUT, DELETE /messages/:id", async () => {
  const path = `${BASE}/sessions/${direct}/messages`;
  const sent = await call(201, "ana", "POST", path, { content: "by REST", type: "TEXT" });
  same(sent, message(direct, "ana", "by REST"));
  for (const user of [ana, ben]) assert.equal((await user.hears("message_received")).id, sent.id);
  const edited = await call(200, "ana", "PUT", `${BASE}/messages/${sent.id}`, { content: "by REST, edited" });
  same(edited, message(direct, "ana", "by REST, edited", { id: sent.id, editedAt: iso }));
  for (const user of [ana, ben]) await user.hears("message_edited", edited);
  const page = await call(200, "ben", "GET", `${path}?limit=2`);
  same(page, { messages: (messages) => messages.length === 2, more: true });
  same(page.messages[1], { ...edited, status: text, readBy: ids });
  const before = await call(200, "ben", "GET", `${path}?limit=1&before=${page.messages[1].id}`);
  assert.equal(before.messages[0].id, page.messages[0].id);
  same(await call(200, "ana", "DELETE", `${BASE}/messages/${sent.id}`), { messageId: sent.id, chatId: direct });
  for (const user of [ana, ben]) await user.hears("message_deleted");
  for (const [method, other, body] of [["GET", path], ["POST", path, { content: "x" }], ["PUT", `${BASE}/messages/${sent.id}`, { content: "x" }]]) {
    const refused = await rest("eve", method, other, body);
    assert.ok([403, 404].includes(refused.status), `${method}: ${refused.status} ${refused.text}`);
    same(refused.body, ERROR);
  }
  for (const body of ["", "{", "[]", "7", '{"content":7}', '{"content":""}']) {
    const refused = await rest("ana", "POST", path, body);
    assert.ok([400, 422].includes(refused.status), `${body}: ${refused.status}`);
    same(refused.body, ERROR);
  }
  await nothingElse();
});

await step("POST /sessions/:id/read, GET /sessions/:id/unread, GET /sessions/:id/search?q=", async () => {
  await ben.ask("mark_as_read", { chatId: direct });
  await ben.hears("messages_read");
  const { messageId } = await ana.ask("send_message", { chatId: direct, content: "find the carillon", type: "TEXT" });
  await ana.hears("message_sent");
  for (const user of [ana, ben]) await user.hears("message_received");
  same(await call(200, "ben", "GET", `${BASE}/sessions/${direct}/unread`), { chatId: direct, unreadCount: 1 });
  const read = await call(200, "ben", "POST", `${BASE}/sessions/${direct}/read`, {});
  same(read, { chatId: direct, readAt: iso, position: count, unreadCount: 0 });
  await ana.hears("messages_read", undefined, ({ position }) => position === read.position);
  same(await call(200, "ben", "GET", `${BASE}/sessions/${direct}/unread`), { chatId: direct, unreadCount: 0 });
  const found = await call(200, "ben", "GET", `${BASE}/sessions/${direct}/search?q=carillon`);
  same(found, { messages: [message(direct, "ana", "find the carillon", { id: messageId })], more: false });
  const none = await call(200, "ben", "GET", `${BASE}/sessions/${direct}/search?q=nowhere`);
  assert.deepEqual(none.messages, []);
  assert.ok([403, 404].includes((await rest("eve", "GET", `${BASE}/sessions/${direct}/search?q=carillon`)).status));
  for (const user of [ana, ben]) user.assertHeardNothingElse("messages_read", ...PRESENCE);
});

await inOrder(ana, ben, {
  emit: "send_message",
  payload: (content) => ({ chatId: direct, content, type: "TEXT" }),
  hear: "message_received",
  text: (payload) => payload.content,
});
await binary(eve, "send_message", { chatId: withEve, type: "TEXT" }, "content");

const late = await User.connect("cleo", { auth: {} });
await late.done("authenticate", { token: given.tokens.cleo }, { userId: ID.cleo });
await late.hears("authenticated");
const own = (await late.ask("create_chat", { type: "DIRECT", targetUserId: "nobody" })).chat.id;
const { messageId } = await late.ask("send_message", { chatId: own, content: "x", type: "TEXT" });
for (const event of ["chat_created", "message_sent", "message_received"]) await late.hears(event);
await nonsense(late, ERROR, [
  ["authenticate", { token: given.tokens.cleo }],
  ["join_chat", { chatId: own }],
  ["leave_chat", { chatId: own }],
  ["send_message", { chatId: own, content: "x" }, ["type"]],
  ["edit_message", { messageId, content: "x" }],
  ["delete_message", { messageId }],
  ["mark_as_read", { chatId: own }, ["messageId"]],
  ["typing_start", { chatId: own }],
  ["typing_stop", { chatId: own }],
  ["typing_indicator", { chatId: own, isTyping: true }],
  ["presence_update", { status: "away" }],
  ["create_chat", { targetUserId: ID.ana }, ["type", "name"]],
  ["get_online_users", { chatId: own }],
  ["user_online"],
  ["user_offline"],
], PRESENCE);
await finish();

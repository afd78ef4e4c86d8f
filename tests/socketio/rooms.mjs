// One-to-one chat with notifications: every row of its table.

import assert from "node:assert/strict";
import { binary, edge, entrance, inOrder, nonsense } from "./common.mjs";
import { User, call, finish, given, iso, rest, same, step, text } from "./harness.mjs";

const ERROR = { code: text, message: text };
const ID = given.ids;

const message = (chatRoomId, sender, said) => ({
  id: text,
  chatRoomId,
  sender: { id: ID[sender], username: sender },
  text: said,
  createdAt: iso,
});
const notification = (type, data) => ({ id: text, type, data, createdAt: iso, read: false, readAt: null });
const notify = (name, type, data) =>
  call(200, "service", "POST", "/v1/notifications", { user: ID[name], type, data }, { gateway: 1 });

let room;
await step("POST /api/chat/rooms: the same room for the same pair, whoever asks", async () => {
  const asked = await call(200, "ana", "POST", "/api/chat/rooms", { otherUserId: ID.ben });
  const participants = (found) =>
    found.length === 2 && found.every(({ id, username }) => typeof username === "string" && [ID.ana, ID.ben].includes(id));
  same(asked, { chatRoomId: text, participants, createdAt: iso });
  room = asked.chatRoomId;
  const again = await call(200, "ana", "POST", "/api/chat/rooms", { otherUserId: ID.ben });
  const other = await call(200, "ben", "POST", "/api/chat/rooms", { otherUserId: ID.ana }, { gateway: 1 });
  assert.equal(again.chatRoomId, room);
  assert.equal(other.chatRoomId, room);
  assert.equal(other.createdAt, asked.createdAt);
});

await edge("/api/chat/rooms", ERROR);
await entrance();

const ana = await User.connect("ana", { gateway: 0 });
const ben = await User.connect("ben", { gateway: 1 });
const eve = await User.connect("eve", { gateway: 1 });
let withEve;

await step("join_room: participants only", async () => {
  await ana.done("join_room", { chatRoomId: room }, { chatRoomId: room });
  await ben.done("join_room", { chatRoomId: room }, { chatRoomId: room });
  await eve.refused(ERROR, "join_room", { chatRoomId: room });
  await eve.refused(ERROR, "join_room", { chatRoomId: "no-such-room" });
  withEve = (await call(200, "eve", "POST", "/api/chat/rooms", { otherUserId: ID.ana })).chatRoomId;
  assert.notEqual(withEve, room);
  await eve.done("join_room", { chatRoomId: withEve }, { chatRoomId: withEve });
});

await step("send_message: receive_message to all participants, sender included, and to nobody else", async () => {
  const acknowledged = { message: message(room, "ana", "hi") };
  const { message: sent } = await ana.done("send_message", { chatRoomId: room, text: "hi" }, acknowledged);
  assert.equal((await ana.hears("receive_message", message(room, "ana", "hi"))).id, sent.id);
  assert.deepEqual(await ben.hears("receive_message"), sent);
  // What eve hears later shows that she did not hear what came before.
  await ana.ask("send_message", { chatRoomId: withEve, text: "for eve" });
  await eve.hears("receive_message", message(withEve, "ana", "for eve"));
  await ana.hears("receive_message", message(withEve, "ana", "for eve"));
  for (const user of [ana, ben, eve]) user.assertHeardNothingElse();
});

await step("send_message: empty text and foreign rooms are an error, and stored nowhere", async () => {
  for (const nothing of ["", "   ", "\n"]) await ana.refused(ERROR, "send_message", { chatRoomId: room, text: nothing });
  await eve.refused(ERROR, "send_message", { chatRoomId: room, text: "let me in" });
  await eve.refused(ERROR, "get_history", { chatRoomId: room });
  const history = await call(200, "ben", "GET", `/api/chat/messages/${room}`);
  same(history, [message(room, "ana", "hi")]);
});

await step("get_history: message_history, in pages", async () => {
  for (let number = 0; number < 5; number += 1) await ben.ask("send_message", { chatRoomId: room, text: `page ${number}` });
  for (let number = 0; number < 5; number += 1) {
    await ana.hears("receive_message", message(room, "ben", `page ${number}`));
    await ben.hears("receive_message", message(room, "ben", `page ${number}`));
  }
  const page = (texts) => ({ chatRoomId: room, messages: texts.map(([sender, said]) => message(room, sender, said)) });
  const all = [["ana", "hi"], ...[0, 1, 2, 3, 4].map((number) => ["ben", `page ${number}`])];
  await ana.done("get_history", { chatRoomId: room }, page(all));
  await ana.hears("message_history", page(all));
  await ana.done("get_history", { chatRoomId: room, limit: 2, skip: 1 }, page(all.slice(3, 5)));
  await ana.hears("message_history", page(all.slice(3, 5)));
  await ana.done("get_history", { chatRoomId: room, limit: 2, skip: 50 }, page([]));
  await ana.hears("message_history", page([]));
});

await step("GET /api/chat/messages/:chatRoomId?limit&skip: message history, pages", async () => {
  const page = await call(200, "ana", "GET", `/api/chat/messages/${room}?limit=2&skip=2`);
  same(page, [message(room, "ben", "page 1"), message(room, "ben", "page 2")]);
  const refused = await rest("eve", "GET", `/api/chat/messages/${room}`);
  assert.ok([403, 404].includes(refused.status), `${refused.status}`);
  same(refused.body, ERROR);
});

await step("GET /api/chat/rooms: the user's rooms, newest activity first", async () => {
  const ids = async () => (await call(200, "ana", "GET", "/api/chat/rooms")).map(({ chatRoomId }) => chatRoomId);
  assert.deepEqual(await ids(), [room, withEve]);
  await eve.ask("send_message", { chatRoomId: withEve, text: "newer" });
  assert.deepEqual(await ids(), [withEve, room]);
  await ana.hears("receive_message", message(withEve, "eve", "newer"));
  await eve.hears("receive_message", message(withEve, "eve", "newer"));
  const [newest] = await call(200, "ana", "GET", "/api/chat/rooms");
  assert.equal(newest.lastMessage.text, "newer");
  assert.equal(newest.participants.length, 2);
  assert.deepEqual((await call(200, "ben", "GET", "/api/chat/rooms")).map(({ chatRoomId }) => chatRoomId), [room]);
});

await step("subscribe_notifications: each as it happens, and those that came before", async () => {
  await notify("ana", "LIKE", { post: 1 });
  await ana.done("subscribe_notifications");
  await ana.hears("notification", notification("LIKE", { post: 1 }));
  for (const [type, data] of [["COMMENT", { post: 2 }], ["EVENT_RSVP", { event: 3 }], ["LIKE", null]]) {
    await notify("ana", type, data ?? undefined);
    await ana.hears("notification", notification(type, data));
  }
  // Ben has not subscribed, and they are not his.
  ben.assertHeardNothingElse();
});

await step("notifications that came while offline are delivered after reconnecting, once", async () => {
  ana.leave();
  await notify("ana", "COMMENT", { offline: true });
  const back = await User.connect("ana", { gateway: 1 });
  await back.done("subscribe_notifications");
  const types = [];
  for (let number = 0; number < 5; number += 1) types.push((await back.hears("notification")).type);
  assert.deepEqual(types, ["LIKE", "COMMENT", "EVENT_RSVP", "LIKE", "COMMENT"]);
  await notify("ana", "EVENT_RSVP", { last: true });
  await back.hears("notification", notification("EVENT_RSVP", { last: true }));
  await back.done("subscribe_notifications");
  await back.done("join_room", { chatRoomId: room }, { chatRoomId: room });
  back.assertHeardNothingElse();
  back.leave();
});

await step("GET /api/notifications: with read state", async () => {
  const unread = await call(200, "ana", "GET", "/api/notifications");
  assert.equal(unread.length, 6);
  same(unread[0], notification("EVENT_RSVP", { last: true }));
  await call(200, "ana", "POST", "/v1/notifications/read", { id: unread[0].id });
  const [read] = await call(200, "ana", "GET", "/api/notifications");
  same(read, { ...notification("EVENT_RSVP", { last: true }), read: true, readAt: iso });
  assert.deepEqual(await call(200, "ben", "GET", "/api/notifications"), []);
});

await step("a room that comes to be while one is connected is heard from its first message on", async () => {
  const { chatRoomId } = await call(200, "eve", "POST", "/api/chat/rooms", { otherUserId: ID.ben });
  await eve.ask("send_message", { chatRoomId, text: "surprise" });
  await eve.hears("receive_message", message(chatRoomId, "eve", "surprise"));
  await ben.hears("receive_message", message(chatRoomId, "eve", "surprise"));
});

const again = await User.connect("ana", { gateway: 0 });
await inOrder(again, ben, {
  emit: "send_message",
  payload: (said) => ({ chatRoomId: room, text: said }),
  hear: "receive_message",
  text: (payload) => payload.text,
});
await binary(eve, "send_message", { chatRoomId: withEve }, "text");

const nora = await User.connect("nora");
const chatRoomId = (await call(200, "nora", "POST", "/api/chat/rooms", { otherUserId: ID.zoe })).chatRoomId;
await nora.done("join_room", { chatRoomId }, { chatRoomId });
await nonsense(nora, ERROR, [
  ["join_room", { chatRoomId }],
  ["send_message", { chatRoomId, text: "x" }],
  ["get_history", { chatRoomId }, ["limit", "skip"]],
  ["subscribe_notifications"],
]);
await finish();

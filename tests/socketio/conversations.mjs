// Customer and provider, sending over REST: every row of its table.

import assert from "node:assert/strict";
import { binary, edge, entrance, inOrder, nonsense } from "./common.mjs";
import { User, call, finish, given, iso, meanwhile, rest, same, step, text } from "./harness.mjs";

const ERROR = { code: text, message: text };
const ID = given.ids;

/** `conv_<a>_<b>` with the two user ids sorted. */
const between = (...names) => `conv_${names.map((name) => ID[name]).sort().join("_")}`;
const conversationId = between("ana", "ben");
const message = (conversation, sender, content) => ({
  id: text,
  conversationId: conversation,
  senderId: ID[sender],
  senderName: sender,
  content,
  createdAt: iso,
  status: text,
  readBy: (ids) => Array.isArray(ids) && ids.every((id) => typeof id === "string"),
});

await edge(`/messages/${conversationId}`, ERROR);
await entrance();

meanwhile("typing: hides without renewal", async () => {
  const ours = between("ida", "otto");
  const ida = await User.connect("ida", { gateway: 0 });
  const otto = await User.connect("otto", { gateway: 1 });
  for (const user of [ida, otto]) await user.done("join_conversation", ours, { conversationId: ours });
  await ida.done("typing", { conversationId: ours });
  await otto.hears("user_typing", { conversationId: ours, userId: ID.ida });
  await otto.hears("user_stop_typing", { conversationId: ours, userId: ID.ida });
});

const ana = await User.connect("ana", { gateway: 0 });
const ben = await User.connect("ben", { gateway: 1 });
const phone = await User.connect("ben", { gateway: 0 });
const eve = await User.connect("eve", { gateway: 1 });

/** What eve hears later shows what she did not hear before. */
async function nothingElse() {
  const withEve = between("ana", "eve");
  await call(200, "ana", "POST", "/messages/send", { receiverId: ID.eve, content: "marker" });
  for (const user of [ana, eve]) await user.hears("new_message", message(withEve, "ana", "marker"));
  await call(200, "ana", "POST", "/messages/send", { receiverId: ID.ben, content: "marker" });
  for (const user of [ana, ben, phone]) await user.hears("new_message", message(conversationId, "ana", "marker"));
  for (const user of [ana, ben, phone, eve]) user.assertHeardNothingElse();
}

await step("join_conversation, leave_conversation: only the two; an object or the bare string", async () => {
  await ana.done("join_conversation", { conversationId }, { conversationId });
  await ben.done("join_conversation", conversationId, { conversationId });
  for (const user of [ana, ben]) {
    await user.done("leave_conversation", conversationId, { conversationId });
    await user.done("join_conversation", { conversationId }, { conversationId });
  }
  const backwards = `conv_${[ID.ana, ID.ben].sort().reverse().join("_")}`;
  for (const conversation of [conversationId, backwards, "conv_", `conv_${ID.eve}`, `conv_${ID.eve}_`, "x"]) {
    await eve.refused(ERROR, "join_conversation", { conversationId: conversation });
    await eve.refused(ERROR, "join_conversation", conversation);
  }
});

await step("POST /messages/send: new_message to the conversation and to the receiver's own devices", async () => {
  const sent = await call(200, "ana", "POST", "/messages/send", { receiverId: ID.ben, content: "hi" });
  same(sent, message(conversationId, "ana", "hi"));
  for (const user of [ana, ben, phone]) assert.deepEqual(await user.hears("new_message"), sent);
  // A conversation that nobody has joined yet.
  const first = await call(200, "eve", "POST", "/messages/send", { receiverId: ID.ben, content: "first" }, { gateway: 1 });
  same(first, message(between("ben", "eve"), "eve", "first"));
  for (const user of [eve, ben, phone]) assert.deepEqual(await user.hears("new_message"), first);
  for (const body of [{}, { content: "x" }, { receiverId: ID.ben }, { receiverId: ID.ben, content: "" }, { receiverId: {}, content: "x" }, "", "{", []]) {
    const refused = await rest("ana", "POST", "/messages/send", body);
    assert.ok([400, 422].includes(refused.status), `${JSON.stringify(body)}: ${refused.status} ${refused.text}`);
    same(refused.body, ERROR);
  }
  const toOneself = await rest("ana", "POST", "/messages/send", { receiverId: ID.ana, content: "hello me" });
  assert.ok(toOneself.status >= 400 && toOneself.status < 500, toOneself.text);
  same(toOneself.body, ERROR);
  await nothingElse();
});

await step("send_message: the same", async () => {
  const acknowledged = { message: message(conversationId, "ben", "over the socket") };
  const { message: sent } = await ben.done("send_message", { conversationId, content: "over the socket" }, acknowledged);
  for (const user of [ana, ben, phone]) assert.equal((await user.hears("new_message")).id, sent.id);
  await eve.refused(ERROR, "send_message", { conversationId, content: "let me in" });
  await ana.refused(ERROR, "send_message", { conversationId, content: "" });
  const unmet = between("cleo", "eve");
  await eve.done("send_message", { conversationId: unmet, content: "exists from now on" }, { message: message(unmet, "eve", "exists from now on") });
  await eve.hears("new_message", message(unmet, "eve", "exists from now on"));
  await nothingElse();
});

await step("typing, stop_typing: user_typing, user_stop_typing to the other", async () => {
  const sign = { conversationId, userId: ID.ana };
  for (const payload of [{ conversationId }, conversationId]) {
    await ana.done("typing", payload);
    for (const user of [ben, phone]) await user.hears("user_typing", sign);
    await ana.done("stop_typing", payload);
    for (const user of [ben, phone]) await user.hears("user_stop_typing", sign);
  }
  await eve.refused(ERROR, "typing", { conversationId });
  await eve.refused(ERROR, "stop_typing", conversationId);
  await nothingElse();
});

await step("mark_read: messages_read to the other, stored", async () => {
  const mark = { conversationId, readBy: ID.ben, readAt: iso };
  await ben.done("mark_read", { conversationId }, { conversationId, readAt: iso });
  await ana.hears("messages_read", mark);
  await eve.refused(ERROR, "mark_read", { conversationId });
  for (const user of [ben, phone]) user.assertHeardNothingElse("messages_read");
  await nothingElse();
});

await step("GET /messages/:conversationId: history with read marks", async () => {
  await ben.done("mark_read", conversationId, { conversationId, readAt: iso });
  await ana.hears("messages_read");
  const path = `/messages/${conversationId}`;
  const page = await call(200, "ana", "GET", `${path}?limit=2`, undefined, { gateway: 1 });
  same(page, { conversationId, messages: (messages) => messages.length === 2, more: true });
  same(page.messages[1], { ...message(conversationId, "ana", "marker"), status: "read" });
  assert.deepEqual(page.messages[1].readBy, [ID.ben]);
  const older = await call(200, "ana", "GET", `${path}?limit=1&skip=2`);
  assert.ok(older.messages[0].createdAt <= page.messages[0].createdAt);
  const refused = await rest("eve", "GET", path);
  assert.ok([403, 404].includes(refused.status));
  same(refused.body, ERROR);
  for (const user of [ben, phone]) user.assertHeardNothingElse("messages_read");
});

await inOrder(ana, ben, {
  emit: "send_message",
  payload: (content) => ({ conversationId, content }),
  hear: "new_message",
  text: (payload) => payload.content,
});
await binary(eve, "send_message", { conversationId: between("ana", "eve") }, "content");

const nora = await User.connect("nora");
const own = between("nora", "zoe");
await nonsense(nora, ERROR, [
  ["join_conversation", { conversationId: own }],
  // One may leave what one has not joined.
  ["leave_conversation", { conversationId: own }, [], (payload) => ["string", "number"].includes(typeof payload)],
  ["send_message", { conversationId: own, content: "x" }],
  ["typing", { conversationId: own }],
  ["stop_typing", { conversationId: own }],
  ["mark_read", { conversationId: own }],
]);
await finish();

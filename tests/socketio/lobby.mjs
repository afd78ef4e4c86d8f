// One public room, guests by name: every row of its table.

import assert from "node:assert/strict";
import { binary, edge, inOrder, nonsense } from "./common.mjs";
import { User, call, count, eventually, finish, given, iso, rest, same, step, text } from "./harness.mjs";

const ERROR = { message: text };
// Everybody is in the one room: names show whose messages they are.
const name = (short) => `${short} ${given.tag}`;
const message = (username, content) => ({ id: text, username, content, timestamp: iso });
const guest = (gateway) => User.connect("guest", { gateway, auth: {} });

/** Joins, and answers with how many are there. */
async function join(user, username) {
  const { onlineCount } = await user.done("join-chat", { username }, { username, onlineCount: count });
  await user.hears("join-confirmed", { username, messages: (messages) => Array.isArray(messages) });
  return onlineCount;
}

await edge("/api/messages", ERROR);

await step("a bad token is no session, even where guests are welcome", async () => {
  for (const token of ["nonsense", given.tokens.forged, given.tokens.expired]) {
    assert.ok(text((await User.refused("guest", { auth: { token } })).message));
  }
});

const ana = await guest(0);
const ben = await guest(1);
const eve = await guest(1);

await step("join-chat: a name has 1 to 30 letters, digits, _, - and spaces", async () => {
  await ana.refused(ERROR, "send-message", { content: "before the door" });
  await ana.refused(ERROR, "typing", { isTyping: true });
  for (const username of ["", " ", "x".repeat(31), "a.b", "a\nb", "ána", "<b>", "guest:ana", 7.5, {}, null]) {
    await ana.refused(ERROR, "join-chat", { username });
  }
  await nonsense(ana, ERROR, [["join-chat", { username: "x" }]]);
});

await step("join-chat: join-confirmed with recent history; user-joined to the others", async () => {
  // Whoever was here before may be counted for a while.
  await eventually("an empty room", async () => (await join(ana, name("ana"))) === 1 || undefined);
  ana.unheard = [];
  assert.equal(await join(ben, name("ben")), 2);
  await ana.hears("user-joined", { username: name("ben"), onlineCount: 2 });
  // Eve looks on without a name, and hears nothing.
});

await step("send-message: message-received to all, sender included", async () => {
  const { id } = await ana.done("send-message", { content: "hello" }, message(name("ana"), "hello"));
  for (const user of [ana, ben]) {
    same(await user.hears("message-received"), { ...message(name("ana"), "hello"), id });
  }
  for (const user of [ana, ben]) user.assertHeardNothingElse();
});

await step("send-message: empty or over-long: error", async () => {
  for (const content of ["", "  ", "x".repeat(20_000)]) await ana.refused(ERROR, "send-message", { content });
});

await step("typing: to the others", async () => {
  for (const isTyping of [true, false]) {
    await ana.done("typing", { isTyping });
    await ben.hears("typing", { username: name("ana"), isTyping });
  }
  ana.assertHeardNothingElse();
  ben.assertHeardNothingElse();
});

await step("join-confirmed has recent history; who has not joined has heard nothing", async () => {
  eve.assertHeardNothingElse();
  await eve.done("join-chat", { username: name("eve") }, { username: name("eve"), onlineCount: 3 });
  const { messages } = await eve.hears("join-confirmed");
  same(messages.at(-1), message(name("ana"), "hello"));
  for (const user of [ana, ben]) await user.hears("user-joined", { username: name("eve"), onlineCount: 3 });
});

await step("disconnect: user-left to the others", async () => {
  eve.leave();
  for (const user of [ana, ben]) await user.hears("user-left", { username: name("eve"), onlineCount: 2 });
  for (const user of [ana, ben]) user.assertHeardNothingElse();
});

await step("GET, POST /api/messages: the same messages as over the socket", async () => {
  const posted = await call(201, "nobody", "POST", "/api/messages", { username: name("rest"), content: "by REST" });
  same(posted, message(name("rest"), "by REST"));
  for (const user of [ana, ben]) assert.deepEqual(await user.hears("message-received"), posted);
  const page = await call(200, "nobody", "GET", "/api/messages?limit=2", undefined, { gateway: 1 });
  same(page, [message(name("ana"), "hello"), message(name("rest"), "by REST")]);
  const before = await call(200, "nobody", "GET", `/api/messages?limit=1&before=${posted.id}`);
  same(before, [message(name("ana"), "hello")]);
  for (const body of [{}, { content: "x" }, { username: name("x") }, { username: "a.b", content: "x" }, { username: name("x"), content: "" }, "", "{", []]) {
    const refused = await rest("nobody", "POST", "/api/messages", body);
    assert.ok([400, 422].includes(refused.status), `${JSON.stringify(body)}: ${refused.status} ${refused.text}`);
    same(refused.body, ERROR);
  }
});

await step("typing: a sign that is not renewed ends by itself", async () => {
  await ana.done("typing", { isTyping: true });
  for (const isTyping of [true, false]) await ben.hears("typing", { username: name("ana"), isTyping });
  ben.assertHeardNothingElse();
});

await step("whoever has a token is welcome too, under the token's name", async () => {
  // Whoever has just gone may be on the way back, and counts for a while.
  await eventually("eve to be gone", async () => (await join(ana, name("ana"))) === 2 || undefined);
  const cleo = await User.connect("cleo", { gateway: 1 });
  const { username } = await cleo.ask("join-chat", { username: "cleo" });
  assert.equal(username, "cleo");
  for (const user of [ana, ben]) await user.hears("user-joined", { username: "cleo", onlineCount: 3 });
  cleo.leave();
  for (const user of [ana, ben]) await user.hears("user-left", { username: "cleo", onlineCount: 2 });
});

await inOrder(ana, ben, {
  emit: "send-message",
  payload: (content) => ({ content }),
  hear: "message-received",
  text: (payload) => payload.content,
});
await ana.hears("message-received", undefined, ({ content }) => content === "after the order");
ana.unheard = [];

await nonsense(ana, ERROR, [
  ["send-message", { content: "x" }],
  ["typing", { isTyping: true }],
]);
await binary(ana, "send-message", {}, "content");
await finish();

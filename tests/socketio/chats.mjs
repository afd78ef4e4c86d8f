// Chats with typing indicators: every row of its table.

import assert from "node:assert/strict";
import { binary, edge, entrance, inOrder, nonsense } from "./common.mjs";
import { User, finish, given, group, iso, meanwhile, same, step, text } from "./harness.mjs";

const ERROR = { error: text };
const ID = given.ids;

const typist = (chatId, name) => ({ chatId, user: { id: ID[name], username: name } });
const message = (chatId, sender, content) => ({
  id: text,
  chatId,
  sender: { id: ID[sender], username: sender },
  content,
  timestamp: iso,
});

await edge("/v1/rooms", (problem) => text(problem.code) && problem.status === 401);
await entrance();

meanwhile("typing_start: a sign that is not renewed ends by itself", async () => {
  const ours = await group("ida", "otto");
  const ida = await User.connect("ida", { gateway: 0 });
  const otto = await User.connect("otto", { gateway: 1 });
  for (const user of [ida, otto]) await user.ask("join_chat", { chatId: ours });
  await ida.done("typing_start", { chatId: ours });
  await otto.hears("user_typing", typist(ours, "ida"));
  await otto.hears("user_stopped_typing", typist(ours, "ida"));
});

const chatId = await group("ana", "ben", "cleo");
const elsewhere = await group("eve", "ana");
const ana = await User.connect("ana", { gateway: 0 });
const ben = await User.connect("ben", { gateway: 1 });
const cleo = await User.connect("cleo", { gateway: 0 });
const eve = await User.connect("eve", { gateway: 1 });

await step("join_chat: joined_chat, membership checked", async () => {
  for (const user of [ana, ben, cleo]) {
    await user.done("join_chat", { chatId }, { chatId, message: text });
    await user.hears("joined_chat", { chatId, message: text });
  }
  await eve.refused(ERROR, "join_chat", { chatId });
  await eve.refused(ERROR, "join_chat", { chatId: "no-such-chat" });
  for (const user of [eve, ana]) {
    await user.done("join_chat", { chatId: elsewhere }, { chatId: elsewhere, message: text });
    await user.hears("joined_chat", { chatId: elsewhere, message: text });
  }
});

/** What everybody hears later shows what they did not hear before. */
async function nothingElse() {
  await ben.ask("send_message", { chatId, content: "marker" });
  await ana.ask("send_message", { chatId: elsewhere, content: "marker" });
  for (const user of [ana, cleo]) await user.hears("receive_message", message(chatId, "ben", "marker"));
  await ben.hears("message_sent");
  await eve.hears("receive_message", message(elsewhere, "ana", "marker"));
  await ana.hears("message_sent");
  for (const user of [ana, ben, cleo, eve]) user.assertHeardNothingElse();
}

await step("send_message: receive_message to the others, message_sent to the sender", async () => {
  const sent = { messageId: text, chatId, timestamp: iso };
  const { messageId } = await ana.done("send_message", { chatId, content: "hi" }, sent);
  same(await ana.hears("message_sent", sent), { messageId, chatId, timestamp: iso });
  for (const user of [ben, cleo]) {
    assert.equal((await user.hears("receive_message", message(chatId, "ana", "hi"))).id, messageId);
  }
  await nothingElse();
});

await step("send_message: the same user's other device hears it", async () => {
  const phone = await User.connect("ana", { gateway: 1 });
  await phone.ask("join_chat", { chatId });
  await ana.ask("send_message", { chatId, content: "from the desk" });
  await phone.hears("receive_message", message(chatId, "ana", "from the desk"));
  phone.leave();
  await ana.hears("message_sent");
  for (const user of [ben, cleo]) await user.hears("receive_message", message(chatId, "ana", "from the desk"));
});

await step("typing_start, typing_stop: user_typing, user_stopped_typing to the others", async () => {
  await ana.done("typing_start", { chatId });
  for (const user of [ben, cleo]) await user.hears("user_typing", typist(chatId, "ana"));
  await ana.done("typing_stop", { chatId });
  for (const user of [ben, cleo]) await user.hears("user_stopped_typing", typist(chatId, "ana"));
  await nothingElse();
});

await step("any failure: error with a text", async () => {
  await ana.refused(ERROR, "send_message", { chatId, content: "" });
  await eve.refused(ERROR, "send_message", { chatId, content: "let me in" });
  await eve.refused(ERROR, "typing_start", { chatId });
  await eve.refused(ERROR, "typing_stop", { chatId });
  await nothingElse();
});

await inOrder(ana, ben, {
  emit: "send_message",
  payload: (content) => ({ chatId, content }),
  hear: "receive_message",
  text: (payload) => payload.content,
});
await binary(eve, "send_message", { chatId: elsewhere }, "content");

const own = await group("nora", "zoe");
const nora = await User.connect("nora");
await nora.done("join_chat", { chatId: own }, { chatId: own, message: text });
await nora.hears("joined_chat");
await nonsense(nora, ERROR, [
  ["join_chat", { chatId: own }],
  ["send_message", { chatId: own, content: "x" }],
  ["typing_start", { chatId: own }],
  ["typing_stop", { chatId: own }],
]);
await finish();

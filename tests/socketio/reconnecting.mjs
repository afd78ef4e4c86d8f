// Clients that lose their connection, come back by themselves on another
// gateway, and have missed nothing. In the words of `sessions`.

import assert from "node:assert/strict";
import { Balancer } from "./balancer.mjs";
import { User, finish, given, iso, please, step } from "./harness.mjs";

const ID = given.ids;
const PRESENCE = ["user_online", "user_offline", "presence_update"];
const balancer = await Balancer.start(given.urls);

/** Ends every connection to the first gateway; in a cluster, by its death. */
async function cut(user) {
  balancer.down();
  if (given.cluster) await please("kill 0");
  await user.lost();
}

/** Takes connections again: the second gateway, if the first is dead. */
async function mend(user) {
  balancer.up();
  await user.returned();
}

const ben = await User.connect("ben", { gateway: 1 });
const said = (user, chatId, content) => user.ask("send_message", { chatId, content, type: "TEXT" });
const create = async (user, asked) => (await user.ask("create_chat", asked)).chat.id;
const group = () => create(ben, { type: "GROUP", name: "Ringers", participantIds: [ID.ana] });

/** What the user has heard of a room and was not asked about, in order. */
function heardOf(user, chatId) {
  const ours = user.unheard.filter(({ args: [payload] }) => payload.chatId === chatId);
  user.unheard = user.unheard.filter((heard) => !ours.includes(heard));
  return ours;
}

/** Messages that come last show that everything before them has come. */
async function marked(user, rooms) {
  for (const chatId of rooms) {
    await said(ben, chatId, "marker");
    await user.hears("message_received", undefined, (payload) => payload.chatId === chatId && payload.content === "marker");
  }
}

/**
 * Cuts the user off while things happen in the rooms. Of those in `known` the
 * client says where it left off: it hears exactly what it has missed. Of the
 * `others` the server can but guess: some may be told again, nothing is left out.
 */
async function missesNothing(auth, known, others) {
  const user = new User("ana", { url: balancer.url, reconnection: true, auth: auth && ((give) => give(auth(user))) });
  await user.connected();
  const before = {};
  const shown = {};
  // The newest position that the client's library knows is one of the known rooms.
  for (const chatId of [...others, ...known]) {
    before[chatId] = [];
    shown[chatId] = new Map();
    for (const content of ["to stay", "to be edited", "to be deleted"]) {
      before[chatId].push((await said(ben, chatId, content)).messageId);
      const heard = await user.heard("message_received", (payload) => payload.content === content);
      show(shown[chatId], heard);
    }
  }
  user.assertHeardNothingElse(...PRESENCE);
  await cut(user);
  for (const chatId of [...known, ...others]) {
    const [, edited, deleted] = before[chatId];
    await ben.done("edit_message", { messageId: edited, content: "edited meanwhile" }, { messageId: edited, chatId, editedAt: iso });
    await ben.done("delete_message", { messageId: deleted }, { messageId: deleted, chatId });
    await said(ben, chatId, "sent meanwhile");
    const { messageId } = await said(ben, chatId, "sent and edited meanwhile");
    await ben.ask("edit_message", { messageId, content: "sent meanwhile too" });
  }
  // What the user says now, the client's library keeps until it is back.
  const kept = said(user, known[0], "said while away");
  await mend(user);
  assert.equal((await kept).ok, true);
  await user.hears("message_received", undefined, ({ chatId, content }) => chatId === known[0] && content === "said while away");
  await user.hears("message_sent");
  await marked(user, [...known, ...others]);
  for (const chatId of known) {
    const missed = heardOf(user, chatId).map(({ event, args: [payload] }) => `${event} ${payload.content ?? payload.messageId}`);
    assert.deepEqual(missed, [
      "message_edited edited meanwhile",
      `message_deleted ${before[chatId][2]}`,
      "message_received sent meanwhile",
      "message_received sent meanwhile too",
    ]);
  }
  for (const chatId of others) {
    for (const heard of heardOf(user, chatId)) show(shown[chatId], heard);
    const contents = ["to stay", "edited meanwhile", "sent meanwhile", "sent meanwhile too"];
    assert.deepEqual([...shown[chatId].values()], contents);
  }
  // Rooms of the steps before are unknown too, where the client says nothing of them.
  if (others.length === 0) user.assertHeardNothingElse(...PRESENCE);
  const heard = ben.unheard.filter(({ args: [payload] }) => payload.content === "said while away");
  assert.equal(heard.length, 1, "ben has heard it once");
  ben.unheard = [];
  user.leave();
}

/** What a front end does with an event: it shows each message once, as it is now. */
function show(messages, { event, args: [payload] }) {
  if (event === "message_deleted") messages.delete(payload.messageId);
  else messages.set(payload.id, payload.content);
}

await step("a client that passes its newest positions misses nothing, and hears nothing twice", async () => {
  const auth = (user) => ({ token: given.tokens.ana, positions: [...user.positions.values()] });
  await missesNothing(auth, [await group(), await group()], []);
});
if (given.cluster) await please("start 0");

await step("an unmodified client, whose library sends the newest position, misses nothing", async () => {
  await missesNothing(undefined, [await group()], [await group()]);
});
if (given.cluster) await please("start 0");

await step("a client that closes its own engine comes back and misses nothing", async () => {
  const ana = new User("ana", { url: balancer.url, reconnection: true });
  await ana.connected();
  const chatId = await create(ben, { type: "DIRECT", targetUserId: ID.ana });
  await ana.hears("chat_created");
  await said(ben, chatId, "before");
  await ana.hears("message_received");
  for (let round = 0; round < 3; round += 1) {
    balancer.down();
    ana.socket.io.engine.close();
    await ana.lost();
    for (const content of ["one", "two", "three"]) await said(ben, chatId, `${content} of ${round}`);
    await mend(ana);
    for (const content of ["one", "two", "three"]) {
      const heard = await ana.hears("message_received", undefined, (payload) => payload.chatId === chatId);
      assert.equal(heard.content, `${content} of ${round}`);
    }
  }
  await marked(ana, [chatId]);
  assert.deepEqual(heardOf(ana, chatId), []);
  ana.leave();
});
await finish();

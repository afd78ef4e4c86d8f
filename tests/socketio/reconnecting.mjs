// Clients that lose their connection, come back by themselves on another
// gateway, and have missed nothing. In the words of `sessions`.

import assert from "node:assert/strict";
import { Balancer } from "./balancer.mjs";
import { User, finish, given, iso, please, same, step } from "./harness.mjs";

const ID = given.ids;
const PRESENCE = ["user_online", "user_offline", "presence_update"];
const balancer = await Balancer.start(given.urls);

/** Ends every connection to the first gateway; in a cluster, by its death. */
async function cut(user, how) {
  balancer.down();
  if (how === "kill") await please("kill 0");
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
const direct = await create(ben, { type: "DIRECT", targetUserId: ID.ana });
const groupId = await create(ben, { type: "GROUP", name: "Ringers", participantIds: [ID.ana] });

/** What the user has heard of a room since, in order, in short. */
function heardOf(user, chatId) {
  const ours = user.unheard.filter(({ args: [payload] }) => payload.chatId === chatId);
  user.unheard = user.unheard.filter((heard) => !ours.includes(heard));
  return ours.map(({ event, args: [payload] }) => `${event} ${payload.content ?? payload.messageId}`);
}

/** Messages that come last show that everything before them has come. */
async function marked(user) {
  for (const chatId of [direct, groupId]) {
    await said(ben, chatId, "marker");
    await user.hears("message_received", undefined, (payload) => payload.chatId === chatId && payload.content === "marker");
  }
}

async function missesNothing(auth, how, rooms) {
  const user = new User("ana", { url: balancer.url, reconnection: true, auth: auth && ((give) => give(auth(user))) });
  await user.connected();
  const before = {};
  for (const chatId of rooms) {
    before[chatId] = [];
    for (const content of ["to stay", "to be edited", "to be deleted"]) {
      before[chatId].push((await said(ben, chatId, content)).messageId);
      await user.hears("message_received", undefined, (payload) => payload.content === content);
    }
  }
  user.assertHeardNothingElse(...PRESENCE);
  await cut(user, how);
  for (const chatId of rooms) {
    const [, edited, deleted] = before[chatId];
    await ben.done("edit_message", { messageId: edited, content: "edited meanwhile" }, { messageId: edited, chatId, editedAt: iso });
    await ben.done("delete_message", { messageId: deleted }, { messageId: deleted, chatId });
    await said(ben, chatId, "sent meanwhile");
    const { messageId } = await said(ben, chatId, "sent and edited meanwhile");
    await ben.ask("edit_message", { messageId, content: "sent meanwhile too" });
  }
  // What the user says now, the client's library keeps until it is back.
  const kept = said(user, rooms[0], "said while away");
  await mend(user);
  assert.equal((await kept).ok, true);
  await user.hears("message_received", undefined, (payload) => payload.content === "said while away");
  await user.hears("message_sent");
  await marked(user);
  for (const chatId of rooms) {
    assert.deepEqual(heardOf(user, chatId), [
      "message_edited edited meanwhile",
      `message_deleted ${before[chatId][2]}`,
      "message_received sent meanwhile",
      "message_received sent meanwhile too",
    ]);
  }
  user.assertHeardNothingElse("messages_read", ...PRESENCE);
  const heard = ben.unheard.filter(({ args: [payload] }) => payload.content === "said while away");
  assert.equal(heard.length, 1, "ben has heard it once");
  ben.unheard = [];
  user.leave();
}

await step("a client that passes its newest positions misses nothing on another gateway", async () => {
  const auth = (user) => ({ token: given.tokens.ana, positions: [...user.positions.values()] });
  await missesNothing(auth, given.cluster ? "kill" : "cut", [direct, groupId]);
});
if (given.cluster) await please("start 0");

await step("an unmodified client, whose library sends the newest position, misses nothing", async () => {
  await missesNothing(undefined, given.cluster ? "kill" : "cut", [direct]);
});
if (given.cluster) await please("start 0");

await step("a client that closes its own engine comes back and misses nothing", async () => {
  const ana = new User("ana", { url: balancer.url, reconnection: true });
  await ana.connected();
  await said(ben, direct, "before");
  await ana.hears("message_received");
  for (let round = 0; round < 3; round += 1) {
    balancer.down();
    ana.socket.io.engine.close();
    await ana.lost();
    for (const content of ["one", "two", "three"]) await said(ben, direct, `${content} of ${round}`);
    await mend(ana);
    for (const content of ["one", "two", "three"]) {
      same(await ana.hears("message_received"), (payload) => payload.content === `${content} of ${round}`);
    }
  }
  await marked(ana);
  ana.assertHeardNothingElse(...PRESENCE);
  ana.leave();
});
await finish();

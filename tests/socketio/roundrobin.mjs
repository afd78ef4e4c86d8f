// Long-polling without a balancer that keeps clients at one gateway: each
// request goes to the next one. In the words of `chats`.

import assert from "node:assert/strict";
import { RoundRobin } from "./balancer.mjs";
import { binary, inOrder } from "./common.mjs";
import { User, finish, given, group, step } from "./harness.mjs";

const balancer = await RoundRobin.start(given.urls);
const chatId = await group("ana", "ben");
const ana = await User.connect("ana", { url: balancer.url });
const ben = await User.connect("ben", { url: balancer.url });

await step("clients whose requests go to alternating gateways join and talk", async () => {
  for (const user of [ana, ben]) assert.equal((await user.ask("join_chat", { chatId })).ok, true);
  for (const [sender, receiver] of [[ana, ben], [ben, ana]]) {
    assert.equal((await sender.ask("send_message", { chatId, content: "hi" })).ok, true);
    assert.equal((await receiver.hears("receive_message")).content, "hi");
  }
  assert.ok(balancer.requests > 10, `${balancer.requests} requests`);
});
await inOrder(ana, ben, {
  emit: "send_message",
  payload: (content) => ({ chatId, content }),
  hear: "receive_message",
  text: (payload) => payload.content,
});
await binary(ana, "send_message", { chatId }, "content");
await finish();

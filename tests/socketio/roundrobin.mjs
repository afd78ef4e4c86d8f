// Long-polling without a balancer that keeps clients at one gateway: each
// request goes to the next one. In the words of `chats`.

import assert from "node:assert/strict";
import { RoundRobin } from "./balancer.mjs";
import { binary, inOrder } from "./common.mjs";
import { User, finish, given, group, step, within } from "./harness.mjs";

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
const messages = {
  emit: "send_message",
  payload: (content) => ({ chatId, content }),
  hear: "receive_message",
  text: (payload) => payload.content,
};
await inOrder(ana, ben, messages);

await step("a client whose upgrade comes to another gateway goes on by polling", async () => {
  ben.leave();
  for (let round = 0; round < 4; round += 1) {
    const eager = new User("ben", { url: balancer.url, transport: "upgrade" });
    const { engine } = eager.socket.io;
    const tried = new Promise((resolve) => ["upgrade", "upgradeError"].forEach((event) => engine.once(event, resolve)));
    await within(tried, () => "an upgrade, or its end");
    assert.equal((await eager.ask("join_chat", { chatId })).ok, true);
    assert.equal((await ana.ask("send_message", { chatId, content: `round ${round}` })).ok, true);
    assert.equal((await eager.hears("receive_message")).content, `round ${round}`);
    assert.equal(eager.socket.io.engine, engine, `${eager.life}`);
    eager.leave();
  }
});
await binary(ana, "send_message", { chatId }, "content");
await finish();

// Notifications of a user who was away, in the words of `rooms`: delivered after
// reconnecting, once, whatever the client says of where it left off.

import assert from "node:assert/strict";
import { Balancer } from "./balancer.mjs";
import { User, call, finish, given, please, step } from "./harness.mjs";

const balancer = await Balancer.start(given.urls);
const notify = (post) => {
  const body = { user: given.ids.ana, type: "LIKE", data: { post } };
  return call(200, "service", "POST", "/v1/notifications", body, { gateway: 1 });
};

for (const resumes of [false, true]) {
  const how = resumes ? "passes its positions" : "is unmodified";
  await step(`notifications that came while away are delivered after subscribe_notifications: a client that ${how}`, async () => {
    const positions = () => (resumes ? [...ana.positions.values()] : undefined);
    const auth = (give) => give({ token: given.tokens.ana, positions: positions() });
    const ana = new User("ana", { url: balancer.url, reconnection: true, auth: resumes ? auth : undefined });
    await ana.connected();
    // As front ends do: on every connect.
    ana.socket.on("connect", () => ana.emit("subscribe_notifications"));
    await ana.done("subscribe_notifications");
    const heard = async () => (await ana.hears("notification")).data.post;
    await notify(`seen ${how}`);
    while ((await heard()) !== `seen ${how}`);
    await call(200, "ana", "POST", "/v1/notifications/read", {}, { gateway: 1 });
    balancer.down();
    if (given.cluster) await please("kill 0");
    await ana.lost();
    for (const post of [1, 2, 3]) await notify(post);
    balancer.up();
    await ana.returned();
    for (const post of [1, 2, 3]) assert.equal(await heard(), post);
    await notify("marker");
    assert.equal(await heard(), "marker");
    ana.assertHeardNothingElse();
    ana.leave();
    if (given.cluster) await please("start 0");
  });
}
await finish();

// A vocabulary that was made up for this test: a support desk.

import assert from "node:assert/strict";
import { binary, entrance, inOrder, nonsense } from "./common.mjs";
import { User, call, count, finish, given, rest, same, step, text } from "./harness.mjs";

const ERROR = { wrong: { what: text, why: text } };
const ID = given.ids;
const time = (value) => count(value) && Math.abs(Date.now() - value) < 3_600_000;
const message = (ticket, sender, says) => ({
  ticket,
  from: { who: ID[sender], called: sender },
  says,
  at: time,
  number: text,
});

await entrance();
const ana = await User.connect("ana", { gateway: 0 });
const ben = await User.connect("ben", { gateway: 1 });
const eve = await User.connect("eve", { gateway: 1 });
let ticket;

await step("desk:open: an event that creates a room, in words of its own", async () => {
  const people = (found) => {
    same(found.map(({ who, is }) => `${who} ${is}`).sort(), [`${ID.ana} CUSTOMER`, `${ID.ben} HELPER`]);
    return true;
  };
  const opened = { ticket: text, about: "A bell is cracked", people };
  ({ ticket } = await ana.done("desk:open", { helpers: [ID.ben], about: "A bell is cracked" }, opened));
  assert.equal((await ana.hears("desk:opened", opened)).ticket, ticket);
});

await step("POST /desk/{ticket}/words: a route of its own, with a status of its own", async () => {
  const { number } = await call(202, "ana", "POST", `/desk/${ticket}/words`, { words: { plain: "by REST" } });
  const page = await call(200, "ben", "GET", `/desk/${ticket}/words?newest=1`, undefined, { gateway: 1 });
  same(page, { words: [{ ...message(ticket, "ana", "by REST"), number }], older: false });
  const refused = await rest("eve", "POST", `/desk/${ticket}/words`, { words: { plain: "let me in" } });
  assert.ok([403, 404].includes(refused.status));
  same(refused.body, ERROR);
});

await step("desk:sit: a name anywhere in the payload, or the payload itself; the newest messages come along", async () => {
  const seated = { ticket, before: [message(ticket, "ana", "by REST")] };
  for (const payload of [{ ticket: { id: ticket } }, { ticket }, ticket]) {
    await ana.done("desk:sit", payload, { ticket });
    await ana.hears("desk:seated", seated);
  }
  await ben.done("desk:sit", ticket, { ticket });
  await ben.hears("desk:seated", seated);
  await eve.refused(ERROR, "desk:sit", ticket);
});

await step("desk:say: two events for one thing, of which the sender hears one", async () => {
  const { number } = await ana.done("desk:say", { ticket, words: { plain: "hello" } }, { number: text });
  await ana.hears("desk:said", { number });
  await ben.hears("desk:heard", { ...message(ticket, "ana", "hello"), number });
  for (const user of [ana, ben]) await user.hears("desk:rings", { ticket });
  for (const user of [ana, ben, eve]) user.assertHeardNothingElse();
});

await step("desk:say: a key of the client's own makes a repeated send one message", async () => {
  const say = { ticket, words: { plain: "once" }, once: "key 1" };
  const first = await ana.done("desk:say", say, { number: text });
  const second = await ana.done("desk:say", say, { number: text });
  assert.equal(first.number, second.number);
  await ben.hears("desk:heard");
  await ana.done("desk:say", { ticket, words: { plain: "twice" } }, { number: text });
  await ben.hears("desk:heard", message(ticket, "ana", "twice"));
  ben.assertHeardNothingElse("desk:rings");
  ana.unheard = [];
});

await step("desk:scribbles: typing that ends after the vocabulary's own time", async () => {
  await ana.done("desk:scribbles", { ticket, on: true });
  await ben.hears("desk:scribbling", { who: ID.ana, on: true });
  await ben.hears("desk:scribbling", { who: ID.ana, on: false });
});

await inOrder(ana, ben, {
  emit: "desk:say",
  payload: (plain) => ({ ticket, words: { plain } }),
  hear: "desk:heard",
  text: (payload) => payload.says,
});
await nonsense(eve, ERROR, [
  // A group may be of one.
  ["desk:open", { about: "x" }, ["helpers"], (payload) => payload?.about === "x" && payload.helpers?.length === 0],
  ["desk:sit", { ticket: "x" }],
  ["desk:say", { ticket: "x", words: { plain: "x" } }, ["once"]],
  ["desk:scribbles", { ticket: "x", on: true }],
]);
await binary(ana, "desk:say", { ticket }, "words");
await finish();

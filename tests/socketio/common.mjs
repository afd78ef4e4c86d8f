// What holds for every vocabulary.

import assert from "node:assert/strict";
import { User, call, given, rest, same, step, text } from "./harness.mjs";

/** The database answers; pages of the configured origin may call, others may not. */
export async function edge(route, errorShape) {
  await step("GET /health answers with the state of the database", async () => {
    const health = await call(200, "nobody", "GET", "/health");
    assert.equal(health.status, "ok", JSON.stringify(health));
    assert.match(JSON.stringify(health), /"(database|store)":"?(ok|up|connected)/);
  });

  await step("CORS: the configured origin may call, no other may", async () => {
    const polling = "/socket.io/?EIO=4&transport=polling";
    for (const path of [route, polling]) {
      const preflight = (origin) =>
        rest("nobody", "OPTIONS", path, undefined, {
          headers: {
            origin,
            "access-control-request-method": "GET",
            "access-control-request-headers": "authorization,content-type",
          },
        });
      const allowed = await preflight(given.origin);
      assert.ok(allowed.status === 200 || allowed.status === 204, `${path}: ${allowed.status}`);
      assert.equal(allowed.headers.get("access-control-allow-origin"), given.origin);
      assert.match(allowed.headers.get("access-control-allow-methods"), /GET/);
      assert.match(allowed.headers.get("access-control-allow-headers"), /authorization/i);
      for (const origin of [`${given.origin}.evil.example`, "https://evil.example", "null"]) {
        const foreign = await preflight(origin);
        assert.equal(foreign.headers.get("access-control-allow-origin"), null, `${path} from ${origin}`);
      }
      const called = await rest("ana", "GET", path, undefined, { headers: { origin: given.origin } });
      assert.equal(called.status, 200, `${path}: ${called.text}`);
      assert.equal(called.headers.get("access-control-allow-origin"), given.origin);
      const foreign = await rest("ana", "GET", path, undefined, { headers: { origin: "https://evil.example" } });
      assert.equal(foreign.headers.get("access-control-allow-origin"), null);
      if (path === polling) assert.equal(foreign.status, 403);
    }
  });

  await step("a page of another origin gets no session, whatever its transport and token", async () => {
    for (const transport of ["polling", "websocket"]) {
      for (const origin of ["https://evil.example", "null", `${given.origin}.evil.example`]) {
        const error = await User.refused("ana", { transport, headers: { origin } });
        const seen = `${error.message} ${JSON.stringify(error.context?.status)} ${error.description?.message ?? error.description}`;
        assert.match(seen, /403/, seen);
      }
      const own = await User.connect("ana", { transport, headers: { origin: given.origin } });
      own.leave();
    }
  });

  await step("a REST request without a token, or with a bad one, is refused", async () => {
    for (const token of ["nobody", "forged", "expired"]) {
      if (token === "nobody" && given.guests) continue;
      same((await rest(token, "GET", route)).body, errorShape, "error");
      assert.equal((await rest(token, "GET", route)).status, 401);
    }
  });
}

/** Who gets a session: `mayBeNobody`: a connection may start without a token. */
export async function entrance({ mayBeNobody = false } = {}) {
  await step("no token or a bad one: connect_error, no session", async () => {
    const bad = [{ token: "nonsense" }, { token: given.tokens.forged }, { token: given.tokens.expired }];
    if (!mayBeNobody) bad.push({}, { token: "" }, { token: null }, { token: 7 }, { token: { a: 1 } });
    for (const auth of bad) {
      const error = await User.refused("ana", { auth });
      assert.ok(text(error.message) && text(error.data?.code), `${error} ${JSON.stringify(error.data)}`);
    }
    for (const token of ["forged", "expired"]) {
      await User.refused("ana", { auth: {}, headers: { authorization: `Bearer ${given.tokens[token]}` } });
    }
  });

  await step("a token in an Authorization header is as good", async () => {
    const headers = { authorization: `Bearer ${given.tokens.ana}` };
    (await User.connect("ana", { auth: {}, headers })).leave();
  });

  await step("a token may be fetched by a function, as clients do", async () => {
    (await User.connect("ana", { auth: (give) => give({ token: given.tokens.ana }) })).leave();
  });
}

/**
 * Whatever comes as payload of any event is refused, in both forms, and the
 * connection lives. `events`: of each its name and the parts that it must have,
 * with good values, then those that it may have, and what is good besides.
 * Without parts anything will do. `ignored`: events that come at any time.
 */
export async function nonsense(user, errorShape, events, ignored = []) {
  await step("malformed payloads are refused and the connection lives", async () => {
    let deep = "x";
    for (let depth = 0; depth < 1000; depth += 1) deep = { deep };
    const never = [{}, [], { a: "b" }, deep, "x".repeat(20_000)];
    const anything = [null, "x", "", 7, true, [], [[]], ["x", { x: 1 }], {}, deep, JSON.parse('{"__proto__":{"a":1}}')];
    for (const [event, required, optional = [], isGood = () => false] of events) {
      if (required === undefined) {
        const shallow = anything.filter((payload) => payload !== deep);
        await Promise.all(shallow.map((payload) => user.done(event, payload)));
        await user.done(event);
        continue;
      }
      const bad = [...anything];
      for (const key of Object.keys(required)) {
        bad.push(...[null, ...never].map((value) => ({ ...required, [key]: value })));
      }
      for (const key of optional) bad.push(...never.map((value) => ({ ...required, [key]: value })));
      await Promise.all([
        user.refused(errorShape, event),
        ...bad.filter((payload) => !isGood(payload)).map((payload) => user.refused(errorShape, event, payload)),
      ]);
    }
    await user.refused(errorShape, "no_such_event", {});
    await user.refused(errorShape, "constructor");
    user.assertHeardNothingElse(...ignored);
    user.assertTransport();
  });
}

/** 200 messages at once: all arrive, once and in the order in which they were sent. */
export async function inOrder(sender, receiver, message) {
  await step("200 messages sent in one go arrive in order and once", async () => {
    const texts = Array.from({ length: 200 }, (_, number) => `in order ${number}`);
    const sent = texts.map((text) => sender.ask(message.emit, message.payload(text)));
    for (const answer of await Promise.all(sent)) assert.equal(answer.ok, true, JSON.stringify(answer));
    const heard = [];
    while (heard.length < texts.length) heard.push(message.text(await receiver.hears(message.hear)));
    assert.deepEqual(heard, texts);
    // A double would come before what is sent later.
    assert.equal((await sender.ask(message.emit, message.payload("after the order"))).ok, true);
    assert.equal(message.text(await receiver.hears(message.hear)), "after the order");
  });
}

/** A payload with binary in it is taken or refused; the connection lives. */
export async function binary(user, event, payload, key) {
  await step("binary payloads do not break the connection", async () => {
    for (const bytes of [Buffer.from("bytes"), new Uint8Array([0, 255, 1]), Buffer.alloc(0)]) {
      const answer = await user.ask(event, { ...payload, [key]: bytes });
      assert.equal(typeof answer.ok, "boolean");
      await user.ask(event, bytes);
    }
    user.assertTransport();
  });
}

// What all scripts stand on: users with the official client, steps that print
// themselves, and comparing what was heard with what should be. Nothing here
// waits for a time to pass; what does not come within PATIENCE never comes.

import assert from "node:assert/strict";
import readline from "node:readline";
import { io } from "socket.io-client";

/** What the test has started and minted: see tests/socketio.rs. */
export const given = JSON.parse(process.env.CARILLON_GIVEN);

/** Reached only when something is broken. */
export const PATIENCE = 20_000;

const TRANSPORTS = {
  polling: ["polling"],
  websocket: ["websocket"],
  upgrade: ["polling", "websocket"],
};

const users = [];
const meanwhiles = [];

/** Runs one row of a table; the script ends at the first that fails. */
export async function step(name, run) {
  const begun = Date.now();
  try {
    await run();
    console.log(`ok      ${name} (${Date.now() - begun} ms)`);
  } catch (error) {
    console.log(`FAILED  ${name}\n${error.stack}`);
    for (const user of users.filter((user) => !user.left)) {
      const unheard = user.unheard.map((heard) => JSON.stringify(heard).slice(0, 200));
      console.log(`${user.name}: ${user.life.join(", ")}; not asked about: ${unheard.slice(-3).join(" ")}`);
    }
    process.exit(1);
  }
}

/**
 * A row that waits for something to end by itself: it runs beside the others,
 * with users and rooms of its own.
 */
export function meanwhile(name, run) {
  meanwhiles.push(step(name, run));
}

/** The end of a script: every client still has the transport that it should have. */
export async function finish() {
  await Promise.all(meanwhiles);
  await step("every connection has lived to the end, on its transport", () => {
    for (const user of users.filter((user) => !user.left)) user.assertTransport();
  });
  // Node.js ends when every client has said goodbye, so that the next script
  // finds none of them.
  for (const user of users) user.leave();
  process.stdin.destroy();
  setTimeout(() => process.exit(0), PATIENCE).unref();
}

const answers = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Has the test do what only it can: "kill 0". */
export async function please(request) {
  console.log(`please ${request}`);
  const { value } = await within(answers.next(), () => `the test to ${request}`);
  assert.equal(value, "done");
}

export function url(gateway) {
  return given.urls[gateway % given.urls.length];
}

/** A promise that fails by itself when it has not been kept. */
export function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited in vain for ${what()}`)), PATIENCE);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Looks until it sees something. */
export async function eventually(what, look) {
  const end = Date.now() + PATIENCE;
  for (;;) {
    const seen = await look();
    if (seen) return seen;
    if (Date.now() > end) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** How to compare what has no known value. */
export const iso = (value) => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(value) && !Number.isNaN(Date.parse(value));
export const text = (value) => typeof value === "string" && value.length > 0;
export const count = (value) => Number.isSafeInteger(value) && value >= 0;

/** Exactly these keys and values; functions decide about a value. */
export function same(actual, expected, path = "payload") {
  if (typeof expected === "function") {
    assert.ok(expected(actual), `${path} is ${JSON.stringify(actual)}`);
  } else if (Array.isArray(expected)) {
    assert.ok(Array.isArray(actual), `${path} is no array: ${JSON.stringify(actual)}`);
    assert.equal(actual.length, expected.length, `length of ${path}: ${JSON.stringify(actual)}`);
    expected.forEach((value, place) => same(actual[place], value, `${path}[${place}]`));
  } else if (expected !== null && typeof expected === "object") {
    const shown = `${path} is ${JSON.stringify(actual)}`;
    assert.ok(actual !== null && typeof actual === "object" && !Array.isArray(actual), shown);
    assert.deepEqual(Object.keys(actual).sort(), Object.keys(expected).sort(), `keys of ${path}: ${shown}`);
    for (const key of Object.keys(expected)) same(actual[key], expected[key], `${path}.${key}`);
  } else {
    assert.equal(actual, expected, path);
  }
}

/** One user's connection, and everything that it has heard. */
export class User {
  constructor(name, options = {}) {
    this.name = name;
    this.id = given.ids[name];
    this.life = [];
    /** Events that no step has asked about yet. */
    this.unheard = [];
    this.waiting = [];
    /** The newest position of each room: the last argument of an event. */
    this.positions = new Map();
    this.transport = options.transport ?? given.transport;
    this.socket = io(options.url ?? url(options.gateway ?? 0), {
      auth: options.auth ?? { token: given.tokens[name] },
      transports: TRANSPORTS[this.transport],
      extraHeaders: options.headers,
      reconnection: options.reconnection ?? false,
      reconnectionDelay: 10,
      reconnectionDelayMax: 100,
      forceNew: true,
    });
    this.socket.onAny((event, ...args) => {
      const position = args.length > 1 && args.at(-1);
      if (position) this.positions.set(position.split("|")[0], position);
      this.#heard({ event, args });
    });
    this.socket.on("connect", () => this.life.push("connected"));
    this.socket.on("disconnect", (why) => this.life.push(`disconnected: ${why}`));
    this.socket.on("connect_error", (error) => this.life.push(`refused: ${error.message}`));
    users.push(this);
  }

  /** Connects, and waits for the transport that was asked for. */
  static async connect(name, options = {}) {
    const user = new User(name, options);
    await user.connected();
    return user;
  }

  async connected() {
    const connected = new Promise((resolve, reject) => {
      if (this.socket.connected) return resolve();
      this.socket.once("connect", resolve);
      this.socket.once("connect_error", (error) => {
        reject(new Error(`${this.name} is refused: ${error.message}`, { cause: error.description }));
      });
    });
    await within(connected, () => `the connection of ${this.name}`);
    if (this.transport === "upgrade") {
      const { engine } = this.socket.io;
      const upgraded = new Promise((resolve, reject) => {
        if (engine.transport.name === "websocket") return resolve();
        engine.once("upgrade", resolve);
        engine.once("upgradeError", reject);
      });
      await within(upgraded, () => `the upgrade of ${this.name}`);
    }
    this.assertTransport();
    this.engine = this.socket.io.engine;
  }

  /** It polls, or has a WebSocket, as asked for; and it is the connection it was. */
  assertTransport() {
    assert.ok(this.socket.connected, `${this.name} is connected`);
    const { engine } = this.socket.io;
    assert.equal(engine.transport.name, this.transport === "polling" ? "polling" : "websocket");
    if (this.engine) assert.equal(engine, this.engine, `${this.name} had to come back`);
  }

  /** Waits until the connection is lost. */
  async lost() {
    const lost = new Promise((resolve) => {
      if (!this.socket.connected) return resolve();
      this.socket.once("disconnect", resolve);
    });
    await within(lost, () => `the disconnect of ${this.name}`);
  }

  /** Waits until it has come back by itself. */
  async returned() {
    this.engine = undefined;
    const returned = new Promise((resolve) => {
      if (this.socket.connected) return resolve();
      this.socket.once("connect", resolve);
    });
    await within(returned, () => `the return of ${this.name}`);
    await this.connected();
  }

  /** Is refused, and answers with why. */
  static async refused(name, options) {
    const user = new User(name, options);
    const refused = new Promise((resolve, reject) => {
      user.socket.once("connect_error", resolve);
      user.socket.once("connect", () => reject(new Error(`${name} has got a session`)));
    });
    const error = await within(refused, () => `the refusal of ${name}`);
    assert.ok(!user.socket.connected);
    user.leave();
    return error;
  }

  leave() {
    this.left = true;
    this.socket.disconnect();
  }

  emit(event, ...args) {
    this.socket.emit(event, ...args);
  }

  /** Emits, and answers with the acknowledgement. */
  ask(event, ...args) {
    const answered = new Promise((resolve) => this.socket.emit(event, ...args, resolve));
    return within(answered, () => `the acknowledgement of ${event} to ${this.name}`);
  }

  /** Emits what is taken; the acknowledgement is `{ok: true}` and this. */
  async done(event, payload, acknowledged = {}) {
    const answer = await (payload === undefined ? this.ask(event) : this.ask(event, payload));
    same(answer, { ok: true, ...acknowledged }, `the acknowledgement of ${event}`);
    return answer;
  }

  /** Emits what is refused: the acknowledgement and the event `error` say so. */
  async refused(errorShape, event, ...args) {
    const answer = await this.ask(event, ...args);
    const shown = `${event} ${JSON.stringify(args)?.slice(0, 200)} -> ${JSON.stringify(answer)?.slice(0, 200)}`;
    assert.equal(answer?.ok, false, shown);
    assert.deepEqual(Object.keys(answer).sort(), ["error", "ok"], shown);
    assert.ok(text(answer.error.code) && text(answer.error.message), shown);
    same(await this.hears("error"), errorShape, "error");
    return answer.error.code;
  }

  #heard(heard) {
    const place = this.waiting.findIndex((waiting) => waiting.matches(heard));
    if (place < 0) return this.unheard.push(heard);
    this.waiting.splice(place, 1)[0].resolve(heard);
  }

  /** The next event of this name (and of this kind), which may have come already. */
  async heard(event, kind = () => true) {
    const matches = (heard) => heard.event === event && kind(...heard.args);
    const place = this.unheard.findIndex(matches);
    if (place >= 0) return this.unheard.splice(place, 1)[0];
    const promise = new Promise((resolve) => this.waiting.push({ matches, resolve }));
    const unheard = () => JSON.stringify(this.unheard).slice(0, 2000);
    return within(promise, () => `${event}, to ${this.name}, who has heard ${unheard()}`);
  }

  /** The same, and only its payload; compared with `shape`, if there is one. */
  async hears(event, shape, kind) {
    const payload = (await this.heard(event, kind)).args[0];
    if (shape !== undefined) same(payload, shape, event);
    return payload;
  }

  /** Nothing was heard but what was asked about. Meant after something later has come. */
  assertHeardNothingElse(...except) {
    this.unheard = this.unheard.filter(({ event }) => !except.includes(event));
    assert.deepEqual(this.unheard, [], `${this.name} has heard more than they should`);
  }
}

/** Calls a REST route as this user; without a token if there is none of that name. */
export async function rest(name, method, path, body, options = {}) {
  const headers = { ...options.headers };
  if (given.tokens[name]) headers.authorization = `Bearer ${given.tokens[name]}`;
  if (body !== undefined) headers["content-type"] = "application/json";
  const response = await fetch(`${url(options.gateway ?? 0)}${path}`, {
    method,
    headers,
    body: body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body),
    signal: AbortSignal.timeout(PATIENCE),
  });
  const answer = await response.text();
  let json = null;
  try {
    json = JSON.parse(answer);
  } catch {
    // Not every answer has a body.
  }
  return { status: response.status, headers: response.headers, body: json, text: answer };
}

/** A call that is answered with this status. */
export async function call(status, name, method, path, body, options) {
  const answer = await rest(name, method, path, body, options);
  assert.equal(answer.status, status, `${method} ${path}: ${answer.status} ${answer.text}`);
  return answer.body;
}

/** A group of `owner` and these, created by the native interface. */
export async function group(owner, ...members) {
  const room = { kind: "group", name: "Ringers", members: members.map((name) => given.ids[name]) };
  return (await call(201, owner, "POST", "/v1/rooms", room)).id;
}

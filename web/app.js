// The chat page: draws the picture that carillon.js keeps, and turns what the
// user does into its calls. Text from others only ever becomes text nodes.

import { Carillon } from "./carillon.js";

const TOKEN = "carillon.token";
const OPEN = "carillon.open";
// The users that `carillon standalone` prints links for.
const DEMO = { ana: "ben", ben: "ana" };
const TYPING_EVERY = 2_000;
const SAME_BREATH = 5 * 60_000;
// Close codes that ask for another token.
const NEEDS_TOKEN = {
  4401: "The server waited for a token in vain.",
  4402: "The server refused this token.",
  4403: "This token has expired.",
  4404: "This token was revoked.",
};

const $ = (id) => document.getElementById(id);
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const dayShort = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });

let client;
let openId = "";
let editing = null;
let lastTyping = 0;
let drawn = { room: "", firstKey: "" };
const drafts = new Map();

// ---- small tools -------------------------------------------------------------

function make(tag, className = "", text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}

function button(text, onclick, className = "") {
  const element = make("button", className, text);
  element.type = "button";
  element.onclick = onclick;
  return element;
}

// Writes only what differs, so that focus, selection and announcements stay.
function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Makes the children of `parent` those of `items`, keeping elements by key. */
function list(parent, items, create, update) {
  const old = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let place = parent.firstElementChild;
  for (const item of items) {
    let child = old.get(item.key);
    if (!child) {
      child = create(item);
      child.dataset.key = item.key;
    }
    old.delete(item.key);
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
    update?.(child, item);
  }
  for (const child of old.values()) child.remove();
}

let toastTimer;
function toast(text) {
  $("toast").textContent = text;
  $("toast").hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => ($("toast").hidden = true), 5_000);
}

const complain = (error) => toast(error.message);
const day0 = (time) => new Date(time).toDateString();
const nameOf = (user) => client.names.get(user) ?? user;
const canModerate = (room) => room.details.kind !== "DIRECT" && room.role !== "MEMBER";

function otherUser(room) {
  if (room.details.kind !== "DIRECT") return null;
  const known = [...room.members.keys(), ...room.readMarks.keys(), room.details.createdBy];
  return known.find((user) => user && user !== client.user) ?? null;
}

function titleOf(room) {
  const other = otherUser(room);
  return other ? nameOf(other) : room.details.name || room.id;
}

function statusOf(user) {
  return client.presence.get(user)?.status ?? "unknown";
}

function preview(message) {
  if (!message) return "No messages yet";
  if (message.deletedAt) return "Message deleted";
  const text = message.text || message.data?.name || message.type.toLowerCase();
  return message.sender === client.user ? `You: ${text}` : text;
}

// ---- drawing -----------------------------------------------------------------

let scheduled = false;
function draw() {
  drawTitle();
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => {
    scheduled = false;
    drawLink();
    drawRooms();
    drawNotifications();
    drawRoom();
  });
}

function drawTitle() {
  const unread = [...client.rooms.values()].reduce((sum, room) => sum + room.unread, 0);
  document.title = unread ? `(${unread}) Carillon` : "Carillon";
}

function drawLink() {
  const { state, why } = client;
  const text = {
    online: "Connected",
    connecting: "Connecting…",
    waiting: `Offline, next try in ${Math.max(0, Math.ceil((why?.until - Date.now()) / 1000))} s`,
    stopped: `Disconnected: ${NEEDS_TOKEN[why?.code] ?? why?.reason ?? ""}`,
  }[state];
  put($("link"), text);
  $("link").className = state;
  put($("me"), client.name || client.user || "Carillon");
}

function roomsByActivity() {
  const activity = (room) => room.lastMessage?.time ?? room.details.createdAt ?? 0;
  return [...client.rooms.values()].sort((a, b) => activity(b) - activity(a));
}

function drawRooms() {
  const items = roomsByActivity().map((room) => ({ key: room.id, room }));
  list($("rooms"), items, createRoomItem, updateRoomItem);
}

function createRoomItem({ room }) {
  const item = make("li");
  const choose = button("", () => openRoom(room.id));
  choose.append(make("span", "dot"), make("span", "name"), make("span", "time"), make("span", "last"), make("span", "count"));
  item.append(choose);
  return item;
}

function updateRoomItem(item, { room }) {
  const choose = item.firstElementChild;
  const [dot, name, time, last, count] = choose.children;
  drawDot(dot, otherUser(room));
  put(name, titleOf(room));
  const at = room.lastMessage?.time;
  put(time, !at ? "" : day0(at) === day0(Date.now()) ? clock.format(at) : dayShort.format(at));
  put(last, preview(room.lastMessage));
  count.hidden = room.unread === 0;
  put(count, String(room.unread));
  count.setAttribute("aria-label", `${room.unread} unread`);
  choose.setAttribute("aria-current", String(room.id === openId));
}

function drawDot(dot, user) {
  const status = user ? statusOf(user) : "none";
  dot.className = `dot ${status}`;
  if (user) {
    dot.setAttribute("role", "img");
    dot.setAttribute("aria-label", status);
    dot.title = status;
  }
}

function drawNotifications() {
  const unread = client.unreadNotifications();
  $("bell-count").hidden = unread.length === 0;
  put($("bell-count"), String(unread.length));
  $("bell").setAttribute("aria-label", `Notifications, ${unread.length} unread`);
  $("no-notifications").hidden = unread.length > 0;
  $("read-all").disabled = unread.length === 0;
  list($("notifications"), unread.map((notification) => ({ key: notification.id, notification })), ({ notification }) => {
    const item = make("li");
    const about = make("div", "grow");
    const data = typeof notification.data === "string" ? notification.data : JSON.stringify(notification.data ?? "");
    about.append(make("strong", "", notification.type), make("div", "", data), make("small", "", when(notification.time)));
    item.append(about, button("Read", () => client.readNotification(notification.id).catch(complain)));
    return item;
  });
}

const when = (time) => `${dayShort.format(time)}, ${clock.format(time)}`;

function drawRoom() {
  const room = client.rooms.get(openId);
  $("chat").classList.toggle("in-room", Boolean(room));
  $("open-room").hidden = !room;
  $("no-room").hidden = Boolean(room);
  if (!room) return;
  put($("room-title"), titleOf(room));
  put($("room-about"), aboutRoom(room));
  drawTyping(room);
  drawMembers(room);
  drawMessages(room);
  markRead();
}

function aboutRoom(room) {
  const other = otherUser(room);
  if (!other) {
    // Joins and leaves are no change of the room itself: count, where all are known.
    const known = [...room.members.values()].filter((member) => member.active).length;
    const count = known > 0 && known < 100 ? known : (room.details.members ?? 0);
    return `${count} ${count === 1 ? "member" : "members"}`;
  }
  const seen = client.presence.get(other);
  if (seen?.status === "offline" && seen.lastSeen) return `last seen ${when(seen.lastSeen)}`;
  return seen?.status ?? "";
}

function drawTyping(room) {
  const names = [...room.typing].map(([user, { name }]) => name || nameOf(user));
  const text = names.length > 2 ? "Several people are typing…" : names.length ? `${names.join(" and ")} ${names.length > 1 ? "are" : "is"} typing…` : "";
  put($("typing"), text);
}

function drawMembers(room) {
  const members = [...room.members.values()].filter((member) => member.active);
  const items = members.map((member) => ({ key: member.user, member }));
  list($("members"), items, ({ member }) => {
    const item = make("li");
    item.append(make("span", "dot"), make("span", "grow"), make("small"));
    return item;
  }, (item, { member }) => {
    const [dot, name, role] = item.children;
    drawDot(dot, member.user);
    const shown = nameOf(member.user);
    put(name, shown === member.user ? shown : `${shown} (${member.user})`);
    put(role, member.role.toLowerCase());
  });
  $("add-member").hidden = room.details.kind === "DIRECT";
  $("leave").hidden = room.details.kind === "DIRECT";
}

// ---- messages ----------------------------------------------------------------

// Messages, outbox and day headings as one list. A message keeps the key it had
// in the outbox, so that its bubble stays in place when it is stored.
function itemsOf(room) {
  const items = [];
  let before = null;
  const add = (message, entry) => {
    if (!before || day0(before.time) !== day0(message.time)) {
      items.push({ key: `day ${day0(message.time)}`, day: message.time });
      before = null;
    }
    const first = before?.sender !== message.sender || message.time - before.time > SAME_BREATH;
    const own = message.sender === client.user;
    const key = own && message.key ? `key ${message.key}` : `id ${message.id}`;
    items.push({ key, room, message, entry, own, first });
    before = message;
  };
  for (const message of room.messages()) add(message);
  for (const entry of client.outbox) {
    if (entry.room === room.id) add({ ...entry, sender: client.user, name: client.name }, entry);
  }
  return items;
}

function drawMessages(room) {
  const scroll = $("scroll");
  const items = itemsOf(room);
  const another = drawn.room !== room.id;
  const atBottom = another || isAtBottom();
  const height = scroll.scrollHeight;
  const top = scroll.scrollTop;
  const firstKey = items.find((item) => item.message)?.key ?? "";
  const grewAbove = !another && firstKey !== drawn.firstKey;
  if (another) $("messages").replaceChildren();
  list($("messages"), items, createItem, updateItem);
  put($("older"), room.hasOlder ? "Loading…" : room.messages().length ? "The beginning" : "No messages yet");
  if (atBottom) scroll.scrollTop = scroll.scrollHeight;
  else if (grewAbove) scroll.scrollTop = top + scroll.scrollHeight - height;
  drawn = { room: room.id, firstKey };
  loadOlderIfNear(room);
}

function createItem(item) {
  if (item.day) return make("li", "day", day.format(item.day));
  const bubble = make("li", "message");
  const meta = make("div", "meta");
  meta.append(make("span", "actions"), make("span", "edited"), make("time"), make("span", "tick"));
  bubble.append(make("div", "sender"), make("div", "body"), meta);
  return bubble;
}

function updateItem(bubble, { room, message, entry, own, first, day: isDay }) {
  if (isDay) return;
  const [sender, body, meta] = bubble.children;
  const [actions, edited, time, tick] = meta.children;
  const deleted = Boolean(message.deletedAt);
  const failed = entry?.state === "failed";
  bubble.className = "message";
  for (const [name, on] of Object.entries({ own, first, deleted, failed })) bubble.classList.toggle(name, on);
  put(sender, message.name || nameOf(message.sender));
  drawBody(body, message, deleted);
  put(edited, message.editedAt && !deleted ? "edited" : "");
  put(time, clock.format(message.time));
  time.dateTime = new Date(message.time).toISOString();
  time.title = new Date(message.time).toLocaleString();
  drawTick(tick, room, message, entry, own && !deleted);
  drawActions(actions, room, message, entry, own, deleted);
}

function drawBody(body, message, deleted) {
  const url = !deleted && message.type !== "TEXT" ? safeUrl(message.data?.url) : null;
  if (!url) return put(body, deleted ? "This message was deleted" : message.text);
  const link = make("a", "", message.data.name || message.type.toLowerCase());
  link.href = url;
  link.target = "_blank";
  link.rel = "noopener noreferrer";
  body.replaceChildren(link, message.text ? `\n${message.text}` : "");
}

function safeUrl(text) {
  const url = URL.canParse(text) ? new URL(text) : null;
  return url && /^https?:$/.test(url.protocol) ? url.href : null;
}

function drawTick(tick, room, message, entry, shown) {
  let text = "";
  let label = "";
  if (entry?.state === "failed") {
    text = label = `not sent: ${entry.error.message}`;
  } else if (entry) {
    text = label = "sending…";
  } else if (shown) {
    const readers = [...room.readMarks].filter(([user, seq]) => user !== client.user && seq >= message.seq);
    text = readers.length ? "✓✓" : "✓";
    label = readers.length ? `read by ${readers.map(([user]) => nameOf(user)).join(", ")}` : "stored";
  }
  put(tick, text);
  tick.classList.toggle("read", text === "✓✓");
  tick.title = label;
  if (text) tick.setAttribute("role", "img");
  tick.setAttribute("aria-label", label);
}

function drawActions(actions, room, message, entry, own, deleted) {
  const kind = entry?.state === "failed" ? "failed" : entry || deleted ? "none" : own ? "own" : canModerate(room) ? "other" : "none";
  if (actions.dataset.kind === kind) return;
  actions.dataset.kind = kind;
  const edit = () => startEditing(room.id, message.id);
  const remove = () => removeMessage(room.id, message.id);
  actions.replaceChildren(
    ...{
      none: [],
      other: [button("Delete", remove)],
      own: [...(message.type === "TEXT" ? [button("Edit", edit)] : []), button("Delete", remove)],
      failed: [button("Try again", () => client.retry(entry)), button("Discard", () => client.discard(entry))],
    }[kind],
  );
}

function isAtBottom() {
  const { scrollHeight, scrollTop, clientHeight } = $("scroll");
  return scrollHeight - scrollTop - clientHeight < 40;
}

function loadOlderIfNear(room) {
  if (client.state !== "online" || !room.hasOlder || room.loading || $("scroll").scrollTop > 300) return;
  client.loadOlder(room.id).catch(() => {});
}

function markRead() {
  const room = client.rooms.get(openId);
  if (room && room.unread > 0 && document.hasFocus() && isAtBottom()) client.markRead(room.id);
}

// ---- what the user does ------------------------------------------------------

function openRoom(id) {
  if (openId) drafts.set(openId, $("text").value);
  stopEditing();
  openId = id;
  sessionStorage.setItem(OPEN, id);
  $("text").value = drafts.get(id) ?? "";
  growText();
  client.refresh(id).catch(() => {});
  draw();
  if (matchMedia("(hover: hover)").matches) requestAnimationFrame(() => $("text").focus());
}

function closeRoom() {
  const item = [...$("rooms").children].find((child) => child.dataset.key === openId);
  drafts.set(openId, $("text").value);
  openId = "";
  sessionStorage.removeItem(OPEN);
  drawn.room = "";
  draw();
  requestAnimationFrame(() => item?.firstElementChild.focus());
}

function submit() {
  const text = $("text").value;
  if (!text.trim() || !openId) return;
  if (editing) {
    client.edit(openId, editing, text).catch(complain);
    stopEditing();
  } else {
    client.send(openId, text);
    $("text").value = "";
  }
  lastTyping = 0;
  growText();
  $("scroll").scrollTop = $("scroll").scrollHeight;
}

function startEditing(roomId, messageId) {
  const message = client.rooms.get(roomId)?.things.get(messageId)?.message;
  if (!message) return;
  drafts.set(roomId, editing ? drafts.get(roomId) : $("text").value);
  editing = messageId;
  $("editing").hidden = false;
  $("submit").textContent = "Save";
  $("text").value = message.text;
  growText();
  $("text").focus();
}

function stopEditing() {
  if (!editing) return;
  editing = null;
  $("editing").hidden = true;
  $("submit").textContent = "Send";
  $("text").value = drafts.get(openId) ?? "";
  drafts.delete(openId);
  growText();
}

function removeMessage(roomId, messageId) {
  if (confirm("Delete this message for everyone?")) client.remove(roomId, messageId).catch(complain);
}

function growText() {
  const lines = $("text").value.split("\n").length;
  $("text").rows = Math.min(6, lines);
}

function wrote() {
  growText();
  if (editing || !openId) return;
  const empty = $("text").value === "";
  if (!empty && Date.now() - lastTyping < TYPING_EVERY) return;
  if (empty && !lastTyping) return;
  lastTyping = empty ? 0 : Date.now();
  client.typing(openId, empty);
}

function keyInText(event) {
  if (event.isComposing) return;
  if (event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    submit();
  } else if (event.key === "Escape" && editing) {
    stopEditing();
  } else if (event.key === "ArrowUp" && !editing && $("text").value === "") {
    const last = client.rooms.get(openId)?.messages().findLast((m) => m.sender === client.user && !m.deletedAt && m.type === "TEXT");
    if (last) {
      event.preventDefault();
      startEditing(openId, last.id);
    }
  }
}

// A dialog whose form does something that can fail: it stays open then.
function dialog(id, form, action) {
  const box = $(id);
  const error = box.querySelector(".error");
  for (const close of box.querySelectorAll(".close")) close.onclick = () => box.close();
  box.onclose = () => {
    for (const each of box.querySelectorAll("form")) each.reset();
    if (error) error.textContent = "";
  };
  form?.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await action(box);
    } catch (failure) {
      error.textContent = failure.message;
    }
  });
  return () => box.showModal();
}

const ids = (text) => text.split(/[\s,]+/).filter(Boolean);

function wire() {
  $("new-direct").onclick = dialog("direct-dialog", $("direct-dialog").querySelector("form"), async (box) => {
    const room = await client.openDirect($("direct-user").value.trim());
    box.close();
    openRoom(room.id);
  });
  $("new-group").onclick = dialog("group-dialog", $("group-dialog").querySelector("form"), async (box) => {
    const room = await client.createGroup($("group-name").value.trim(), ids($("group-users").value));
    box.close();
    openRoom(room.id);
  });
  $("show-members").onclick = dialog("members-dialog", $("add-member"), async () => {
    await client.addMembers(openId, [$("add-user").value.trim()]);
    $("add-member").reset();
  });
  $("leave").onclick = async () => {
    try {
      await client.leaveRoom(openId);
      $("members-dialog").close();
      closeRoom();
    } catch (error) {
      $("members-dialog").querySelector(".error").textContent = error.message;
    }
  };
  $("bell").onclick = dialog("notifications-dialog");
  $("read-all").onclick = () => client.readNotification().catch(complain);
  $("sign-out").onclick = signOut;
  $("back").onclick = closeRoom;
  $("composer").onsubmit = (event) => {
    event.preventDefault();
    submit();
  };
  $("cancel-edit").onclick = stopEditing;
  $("text").oninput = wrote;
  $("text").onkeydown = keyInText;
  $("scroll").onscroll = () => {
    const room = client.rooms.get(openId);
    if (room) loadOlderIfNear(room);
    markRead();
  };
  addEventListener("focus", markRead);
  addEventListener("online", () => client.hurry());
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") client.hurry();
  });
  setInterval(() => client.state === "waiting" && drawLink(), 1_000);
}

// ---- sign in -----------------------------------------------------------------

function signOut() {
  sessionStorage.removeItem(TOKEN);
  sessionStorage.removeItem(OPEN);
  client.stop();
  location.reload();
}

function askForToken(why = "") {
  $("chat").hidden = true;
  $("sign-in").hidden = false;
  $("sign-in-error").textContent = why;
  $("sign-in").onsubmit = (event) => {
    event.preventDefault();
    sessionStorage.setItem(TOKEN, $("token").value.trim());
    location.reload();
  };
  $("token").focus();
}

function begin(token) {
  $("chat").hidden = false;
  client = new Carillon({ base: location.origin, token, storage: sessionStorage });
  client.addEventListener("change", draw);
  client.addEventListener("state", ({ detail: { state, why } }) => {
    if (state === "stopped" && NEEDS_TOKEN[why.code]) {
      sessionStorage.removeItem(TOKEN);
      askForToken(NEEDS_TOKEN[why.code]);
    }
    if (state === "online") refreshRooms();
    draw();
  });
  wire();
  client.start();
}

// Names and presence of the people in the list, after each connect.
async function refreshRooms() {
  if (!openId) await openFirstRoom();
  const rooms = [...client.rooms.values()].filter((room) => room.details.kind === "DIRECT" || room.id === openId);
  for (const room of rooms.slice(0, 50)) await client.refresh(room.id).catch(() => {});
}

// The room that was open before a reload; else, where there is space for both
// panes, the newest one. Two people with the printed links get a room of their
// own, so that they can talk at once.
async function openFirstRoom() {
  const other = DEMO[client.user];
  const last = sessionStorage.getItem(OPEN);
  if (client.rooms.has(last)) {
    openRoom(last);
  } else if (client.rooms.size > 0) {
    if (matchMedia("(min-width: 40.01rem)").matches) openRoom(roomsByActivity()[0].id);
  } else if (other) {
    try {
      const room = await client.openDirect(other);
      if (!openId) openRoom(room.id);
    } catch (error) {
      complain(error);
    }
  }
}

// The token leaves the address bar, so that it is neither bookmarked nor shared.
function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    sessionStorage.setItem(TOKEN, given);
    history.replaceState(null, "", location.pathname + location.search);
  }
  return sessionStorage.getItem(TOKEN);
}

addEventListener("hashchange", () => takeToken() && location.reload());
const token = takeToken();
if (token) begin(token);
else askForToken();

// The reference page: draws the documents that the server has of itself. Text
// becomes text nodes only, so that nothing in a document can run.

const METHODS = ["get", "post", "put", "patch", "delete"];
const WIDE = 76;

// ---- building ---------------------------------------------------------------

/** An element with properties and children; what is null or false is left out. */
function el(name, props, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "class") element.className = value;
    else if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Paragraphs with `code` in them. */
function prose(text, props) {
  const paragraphs = (text ?? "").split(/\n\s*\n/).filter((part) => part.trim() !== "");
  return paragraphs.map((part) => el("p", props, inline(part)));
}

function inline(text) {
  return text.split("`").map((part, place) => (place % 2 === 1 ? el("code", null, part) : part.replace(/\s+/g, " ")));
}

/** JSON as people write it: what is short stays on one line. */
function pretty(value, indent = "") {
  const flat = spaced(value);
  if (flat.length + indent.length <= WIDE || value === null || typeof value !== "object") return flat;
  const inner = indent + "  ";
  if (Array.isArray(value)) {
    return `[\n${value.map((item) => inner + pretty(item, inner)).join(",\n")}\n${indent}]`;
  }
  const entries = Object.entries(value).map(([key, item]) => `${inner}${JSON.stringify(key)}: ${pretty(item, inner)}`);
  return `{\n${entries.join(",\n")}\n${indent}}`;
}

function spaced(value) {
  if (Array.isArray(value)) return value.length === 0 ? "[]" : `[${value.map(spaced).join(", ")}]`;
  if (value !== null && typeof value === "object") {
    const entries = Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}: ${spaced(item)}`);
    return entries.length === 0 ? "{}" : `{ ${entries.join(", ")} }`;
  }
  return JSON.stringify(value);
}

/** A block of code that can be copied. */
function code(text, label) {
  const copy = el("button", { class: "copy quiet", type: "button", "aria-label": `Copy ${label ?? "this"}` }, "Copy");
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      copy.textContent = "Copied";
    } catch {
      // Not every page may write there: the text can still be selected.
      getSelection().selectAllChildren(copy.previousElementSibling);
      copy.textContent = "Selected";
    }
    setTimeout(() => (copy.textContent = "Copy"), 1500);
  });
  return el("div", { class: "code" }, el("pre", { tabindex: "0" }, text), copy);
}

function table(heads, rows, props) {
  if (rows.length === 0) return null;
  const head = el("thead", null, el("tr", null, heads.map((head) => el("th", { scope: "col" }, head))));
  return el("div", { class: "scroll" }, el("table", props, head, el("tbody", null, rows)));
}

function row(...cells) {
  return el("tr", null, cells.map((cell, place) => el(place === 0 ? "th" : "td", place === 0 ? { scope: "row" } : null, cell)));
}

/** What opens when it is asked for. */
function fold(title, ...content) {
  return el("details", null, el("summary", null, title), content);
}

// ---- schemas ----------------------------------------------------------------

/** Documents have schemas of their own; the same name is the same thing. */
const schemas = new Map();

function nameOf(schema) {
  return schema?.$ref?.split("/").pop();
}

function link(name) {
  return el("a", { href: `#schema-${name}` }, name);
}

/** The type of a value, in a few words. */
function type(schema) {
  if (!schema || Object.keys(schema).filter((key) => key !== "description").length === 0) return ["anything"];
  const name = nameOf(schema);
  if (name) return [link(name)];
  if (schema.allOf?.length === 1) return type(schema.allOf[0]);
  const either = schema.oneOf ?? (schema.type === undefined ? schema.anyOf : undefined);
  if (either) return joined(either.map(type), " or ");
  if ("const" in schema) return [el("code", null, JSON.stringify(schema.const))];
  if (schema.enum) return joined(schema.enum.map((value) => [el("code", null, JSON.stringify(value))]), " · ");
  if (schema.type === "array") {
    const items = type(schema.items);
    return items.length === 1 && typeof items[0] === "string" ? [`list of ${items[0]}`] : ["list of ", ...items];
  }
  const kinds = [schema.type].flat().map((kind) => (kind === "null" ? "null" : kind));
  const form = schema.format === "date-time" ? ", a time" : "";
  return [kinds.join(" or ") + form + limits(schema)];
}

function limits(schema) {
  const said = [];
  if (schema.minimum > 0) said.push(`at least ${schema.minimum}`);
  if (schema.maximum !== undefined && schema.maximum < 2 ** 32 - 1) said.push(`at most ${schema.maximum}`);
  if (schema.maxLength !== undefined) said.push(`at most ${schema.maxLength} characters`);
  return said.length === 0 ? "" : `, ${said.join(", ")}`;
}

function joined(parts, between) {
  return parts.flatMap((part, place) => (place === 0 ? part : [between, ...part]));
}

/** The object that a schema is, if it is one, by its name or in place. */
function objectOf(schema) {
  const named = schema?.allOf?.length === 1 && !schema.properties ? schema.allOf[0] : schema;
  const known = named?.$ref ? schemas.get(nameOf(named)) : named;
  return known?.properties ? known : null;
}

/** Everything inside an object, with paths; named objects to this depth. */
function fields(schema, depth, path = "") {
  const rows = [];
  for (const [name, property] of Object.entries(schema.properties)) {
    const needed = schema.required?.includes(name) || schema.oneOf?.some((kind) => kind.required?.includes(name) && schema.oneOf.length === 1);
    rows.push({ path: path + name, needed, schema: property });
    const list = property.type === "array";
    const held = list ? property.items : property;
    const named = held?.$ref !== undefined || held?.allOf?.length === 1;
    const inner = objectOf(held);
    // A list of named things is a list of links.
    if (inner && !(named && (depth === 0 || list))) {
      rows.push(...fields(inner, named ? depth - 1 : depth, `${path}${name}${list ? "[]" : ""}.`));
    }
  }
  for (const part of schema.allOf ?? []) {
    if (part.properties) rows.push(...fields(part, depth, path));
  }
  return rows;
}

function fieldTable(schema, depth = 0) {
  const rows = fields(schema, depth).map(({ path, needed, schema }) =>
    row(
      [el("code", null, broken(path, ".")), needed ? null : el("span", { class: "soft" }, " optional")],
      el("span", { class: "type" }, type(schema)),
      inline(schema.description ?? ""),
    ),
  );
  return table(["Field", "Type", ""], rows, { class: "fields" });
}

/** A text that may break before each of these marks. */
function broken(text, mark) {
  return text.split(mark).flatMap((piece, place) => (place === 0 ? [piece] : [el("wbr"), mark + piece]));
}

/** A schema in place: its name if it has one, and its fields. */
function shown(schema, depth = 0) {
  if (!schema) return null;
  const either = schema.anyOf ?? schema.oneOf;
  if (either && !schema.properties) {
    return either.flatMap((part, place) => [place > 0 ? el("p", { class: "soft" }, "or") : null, shown(part, depth)]);
  }
  if (schema.$ref) {
    const known = schemas.get(nameOf(schema));
    const about = el("p", null, type(schema), known?.description ? [": ", inline(known.description)] : null);
    const parts = known?.allOf && !known.properties ? known.allOf.map((part) => shown(part, depth)) : null;
    return [about, known?.properties ? fieldTable(known, depth) : parts];
  }
  if (schema.properties) {
    return Object.keys(schema.properties).length === 0 ? el("p", { class: "type" }, "an empty object") : fieldTable(schema, depth);
  }
  if (schema.type === "array" && objectOf(schema.items)) {
    return [el("p", null, "A list of:"), shown(schema.items, depth)];
  }
  if (schema.allOf) return schema.allOf.map((part) => shown(part, depth));
  return el("p", { class: "type" }, type(schema), schema.description ? [": ", inline(schema.description)] : null);
}

// ---- sections ---------------------------------------------------------------

const contents = [];

/** A part of the page, with its place in the contents. */
function part(id, title, ...content) {
  const section = el("section", { id, class: "part" }, el("h2", null, title), content);
  contents.push({ id, title, groups: [] });
  return section;
}

function group(id, title, about, entries) {
  contents.at(-1).groups.push({ id, title, entries: entries.map(({ id, label, method }) => ({ id, label, method })) });
  return el(
    "section",
    { id, class: "group" },
    el("h3", null, title),
    prose(about, { class: "soft" }),
    entries.map((entry) => entry.node),
  );
}

function entry(id, label, heading, content, method) {
  const anchor = el("a", { class: "anchor", href: `#${id}`, "aria-label": `Link to ${label}` }, "#");
  return { id, label, method, node: el("article", { id, class: "entry" }, el("h4", null, heading, anchor), content) };
}

// ---- REST -------------------------------------------------------------------

function resolve(document, value) {
  return value?.$ref ? value.$ref.slice(2).split("/").reduce((at, key) => at?.[key.replace(/~1/g, "/")], document) : value;
}

function parameters(operation) {
  const rows = (operation.parameters ?? []).map((parameter) =>
    row(
      [el("code", null, parameter.name), parameter.required ? null : el("span", { class: "soft" }, " optional")],
      parameter.in,
      el("span", { class: "type" }, type(parameter.schema)),
      [inline(parameter.description ?? ""), parameter.example !== undefined ? [" ", el("code", { class: "soft" }, String(parameter.example))] : null],
    ),
  );
  return rows.length === 0 ? null : [el("h5", null, "Parameters"), table(["Name", "In", "Type", ""], rows)];
}

function exampleOf(value) {
  return typeof value === "string" ? value : pretty(value);
}

function contentExamples(api, content, label) {
  const named = Object.entries(content.examples ?? {}).map(([name, example]) => {
    const { summary, value } = resolve(api, example);
    return { title: summary ?? name, value };
  });
  if (content.example !== undefined) named.push({ title: null, value: content.example });
  return named.map(({ title, value }) => [title ? el("p", { class: "caption" }, inline(title)) : null, code(exampleOf(value), label)]);
}

function body(api, operation) {
  const content = operation.requestBody?.content;
  if (!content) return null;
  return Object.entries(content).map(([kind, media]) => [
    el("h5", null, "Body ", el("span", { class: "soft" }, kind, operation.requestBody.required ? "" : ", may be left out")),
    shown(media.schema),
    contentExamples(api, media, "the body"),
  ]);
}

function answers(api, operation) {
  const done = [];
  const refused = [];
  for (const [status, answer] of Object.entries(operation.responses)) {
    const medias = Object.entries(answer.content ?? {});
    if (status < 400 || medias.some(([, media]) => media.example !== undefined)) {
      done.push(
        el("p", { class: "answer" }, el("strong", { class: status < 400 ? "good" : "bad" }, status), " ", inline(answer.description.split("\n\n")[0])),
        medias.map(([, media]) => [answerFields(media.schema), media.example !== undefined ? contentExamples(api, { example: media.example }, "the answer") : null]),
      );
    }
    const examples = medias.flatMap(([, media]) => Object.entries(media.examples ?? {}));
    for (const [name, example] of examples) {
      const { summary, value } = resolve(api, example);
      refused.push({ status, name, summary, value });
    }
  }
  const rows = refused.map(({ status, name, summary }) =>
    row(el("strong", { class: "bad" }, status), el("a", { href: `#code-${name}` }, el("code", null, name)), inline(summary)),
  );
  const first = refused.find(({ name }) => !["malformed", "unauthenticated", "token_refused", "token_expired"].includes(name)) ?? refused[0];
  return [
    el("h5", null, "Answers"),
    done,
    rows.length > 0 && fold(`Refusals: ${summarized(refused)}`, table(["Status", "Code", ""], rows), code(pretty(first.value), "the refusal")),
  ];
}

/** What an answer is: its name, and its fields for those who want them. */
function answerFields(schema) {
  const said = type(schema);
  if (said[0] === "anything") return null;
  const object = objectOf(schema) ?? objectOf(schema.items) ?? (schema.$ref && schemas.get(nameOf(schema)));
  const label = schema.$ref || schema.items?.$ref ? said : ["Fields"];
  return object ? fold(label, schema.$ref ? shown(schema).slice(1) : shown(schema)) : el("p", { class: "type" }, said);
}

function summarized(refused) {
  return [...new Set(refused.map(({ status }) => status))].join(", ");
}

function operationEntry(api, path, method, operation) {
  const id = `call-${operation.operationId}`;
  const open = operation.security?.some((choice) => Object.keys(choice).length === 0);
  const badge = el("span", { class: `method ${method}` }, method.toUpperCase());
  return entry(
    id,
    path,
    [badge, " ", el("code", null, broken(path, "/"))],
    [
      el("p", { class: "summary" }, el("strong", null, operation.summary), open ? el("span", { class: "tag" }, operation.security.length > 1 ? "token optional" : "no token") : null),
      prose(operation.description),
      parameters(operation),
      body(api, operation),
      answers(api, operation),
    ],
    method,
  );
}

function rest(api) {
  const byTag = new Map(api.tags.map((tag) => [tag.name, { tag, entries: [] }]));
  for (const [path, item] of Object.entries(api.paths)) {
    for (const method of METHODS.filter((method) => item[method])) {
      const operation = item[method];
      byTag.get(operation.tags[0]).entries.push(operationEntry(api, path, method, operation));
    }
  }
  const section = part("rest", "REST", prose(api.info.description), documentLink("openapi.json", "the OpenAPI document"));
  for (const { tag, entries } of byTag.values()) {
    if (entries.length > 0) section.append(group(`rest-${slug(tag.name)}`, tag.name, tag.description, entries));
  }
  return section;
}

function documentLink(href, about) {
  return el("p", { class: "soft" }, "For programs: ", el("a", { href }, href), `, ${about}.`);
}

function slug(text) {
  return text.toLowerCase().replace(/[^a-z0-9]+/g, "-");
}

// ---- sockets ----------------------------------------------------------------

function messageExamples(message, wire) {
  return message.examples.map((example, place) => {
    const bytes = message[wire]?.[place] ?? "";
    return [
      el("p", { class: "caption" }, inline(example.summary)),
      code(pretty(example.payload), "the example"),
      wire === "x-packet" ? fold("as a packet", code(bytes, "the packet")) : fold("in protobuf", code(grouped(bytes), "the bytes")),
    ];
  });
}

/** Bytes in pairs, so that lines can break. */
function grouped(hex) {
  return hex.replace(/../g, "$& ").trim();
}

function messageEntry(prefix, key, message, about, replies, wire) {
  const id = `${prefix}-${key}`;
  const said = replies.map((reply) => el("a", { href: `#${prefix}-${reply.key}` }, el("code", null, reply.label)));
  return entry(
    id,
    message.name,
    [el("code", null, message.name)],
    [
      el("p", { class: "summary" }, el("strong", null, message.summary)),
      prose(about),
      said.length > 0 ? el("p", null, "Answered with ", joined(said.map((one) => [one]), ", "), ".") : null,
      shown(message.payload, 1),
      messageExamples(message, wire),
    ],
  );
}

function sockets(prefix, api, wire, title, href) {
  const messages = api.channels.connection.messages;
  const key = (reference) => reference.$ref.split("/").pop();
  const section = part(prefix, title, prose(api.info.description), prose(api.channels.connection.description), documentLink(href, "the AsyncAPI document"));
  const received = Object.values(api.operations).filter((operation) => operation.action === "receive");
  const sent = Object.values(api.operations).filter((operation) => operation.action === "send");
  const label = (key) => (key.startsWith("ack.") ? "acknowledgement" : messages[key].name);
  const asked = received.map((operation) => {
    const own = key(operation.messages[0]);
    const replies = (operation.reply?.messages ?? []).map(key).map((key) => ({ key, label: label(key) }));
    return messageEntry(prefix, own, messages[own], operation.description, replies, wire);
  });
  section.append(group(`${prefix}-client`, "From the client", null, asked));
  const fromServer = Object.keys(messages).filter((key) => !key.startsWith("client.") && !key.startsWith("ack."));
  const reasons = (own) => sent.filter((operation) => operation.messages.some((message) => key(message) === own));
  const told = fromServer.map((own) => {
    const about = reasons(own).map((operation) => operation.description).join("\n\n");
    return messageEntry(prefix, own, messages[own], about, [], wire);
  });
  section.append(group(`${prefix}-server`, "From the server", null, told));
  const acks = Object.keys(messages).filter((key) => key.startsWith("ack."));
  if (acks.length > 0) {
    const entries = acks.map((own) => messageEntry(prefix, own, { ...messages[own], name: own.slice(4) }, null, [], wire));
    section.append(group(`${prefix}-acks`, "Acknowledgements", "What the client's callback is called with.", entries));
  }
  return section;
}

// ---- codes and schemas ------------------------------------------------------

function codes(api) {
  const section = part("codes", "Codes");
  const errors = api["x-error-codes"].map(({ code, status, retryable, meaning }) => {
    const line = row(el("code", null, code), String(status), retryable ? "retry" : "", inline(meaning));
    line.id = `code-${code}`;
    line.className = "entry";
    return line;
  });
  const closes = api["x-close-codes"].map(({ number, name, resume, meaning }) => {
    const line = row(String(number), el("code", null, name), el("span", { class: resume ? "good" : "bad" }, resume ? "resume" : "stop"), inline(meaning));
    line.id = `close-${number}`;
    line.className = "entry";
    return line;
  });
  section.append(
    group("codes-errors", "Error codes", "In frames, and over HTTP with this status. A request that was refused with a retryable one may work later.", []),
    table(["Code", "Status", "", ""], errors),
    group("codes-close", "Close codes", "Why a connection of the native protocol was closed, and whether the client should come back and resume.", []),
    table(["Number", "Name", "", ""], closes),
  );
  return section;
}

function schemaList() {
  const entries = [...schemas.entries()]
    .sort(([a], [b]) => a.localeCompare(b))
    .map(([name, schema]) =>
      entry(`schema-${name}`, name, [el("code", null, name)], [prose(schema.description), schemaBody(schema)]),
    );
  const section = part("schemas", "Schemas");
  section.append(group("schemas-all", "By name", null, entries));
  return section;
}

function schemaBody(schema) {
  const said = schema["x-enumDescriptions"];
  if (said) {
    return table(["Value", ""], schema.enum.map((value) => row(el("code", null, value), inline(said[value] ?? ""))));
  }
  if (schema.enum) return el("p", { class: "type" }, type(schema));
  const kinds = schema.properties && schema.oneOf?.every((kind) => kind.required);
  return [kinds ? el("p", null, "With exactly one of ", joined(schema.oneOf.map((kind) => [el("code", null, kind.required[0])]), ", "), ".") : null, shown(schema)];
}

// ---- contents and search ----------------------------------------------------

function drawContents(nav) {
  for (const { id, title, groups } of contents) {
    const lists = groups.map((group) =>
      el(
        "li",
        { class: "in-group" },
        el("a", { href: `#${group.id}` }, group.title),
        group.entries.length > 0 &&
          el("ul", null, group.entries.map(({ id, label, method }) =>
            el("li", { "data-for": id }, el("a", { href: `#${id}` }, method ? [el("span", { class: `method ${method}` }, method.toUpperCase()), " "] : null, label)),
          )),
      ),
    );
    nav.append(el("div", { class: "in-part" }, el("h2", null, el("a", { href: `#${id}` }, title)), el("ul", null, lists)));
  }
}

function search(words, found) {
  const entries = document.querySelectorAll("#sections .entry");
  let count = 0;
  const visible = new Set();
  for (const entry of entries) {
    entry.searched ??= entry.textContent.toLowerCase();
    const hit = words.every((word) => entry.searched.includes(word));
    entry.hidden = !hit;
    if (hit) {
      count += 1;
      visible.add(entry.id);
    }
  }
  document.body.classList.toggle("searching", words.length > 0);
  for (const item of document.querySelectorAll("#side [data-for]")) item.hidden = !visible.has(item.dataset.for);
  for (const item of document.querySelectorAll("#side .in-group, #side .in-part")) {
    item.hidden = words.length > 0 && !item.querySelector("[data-for]:not([hidden])");
  }
  for (const group of document.querySelectorAll("#sections .group, #sections .part, #sections .scroll")) {
    const own = group.querySelectorAll(".entry");
    const holds = group.classList.contains("scroll") ? own.length > 0 : true;
    group.hidden = words.length > 0 && holds && [...own].every((entry) => entry.hidden);
  }
  found.textContent = words.length === 0 ? "" : count === 1 ? "1 entry" : `${count} entries`;
}

/** Marks in the contents what is being read. */
function follow() {
  const links = new Map([...document.querySelectorAll("#side a")].map((link) => [link.getAttribute("href").slice(1), link]));
  const side = document.getElementById("side");
  let current = null;
  const observer = new IntersectionObserver(
    (changes) => {
      for (const change of changes.filter((change) => change.isIntersecting)) {
        const link = links.get(change.target.id);
        if (!link || link === current) continue;
        current?.removeAttribute("aria-current");
        link.setAttribute("aria-current", "true");
        current = link;
        const { top, bottom } = link.getBoundingClientRect();
        const frame = side.getBoundingClientRect();
        if (top < frame.top || bottom > frame.bottom) side.scrollTop += top - frame.top - frame.height / 3;
      }
    },
    { rootMargin: "-15% 0px -80% 0px" },
  );
  for (const entry of document.querySelectorAll("#sections article.entry, #sections .part")) observer.observe(entry);
}

function openMenu(open) {
  document.body.classList.toggle("menu-open", open);
  document.getElementById("menu").setAttribute("aria-expanded", String(open));
}

// ---- the page ---------------------------------------------------------------

async function load(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response.json();
}

async function draw() {
  const [api, native] = await Promise.all([load("openapi.json"), load("asyncapi.json")]);
  const spokenAt = native["x-vocabulary"];
  const spoken = await load(spokenAt);
  for (const document of [api, native, spoken]) {
    for (const [name, schema] of Object.entries(document.components?.schemas ?? {})) schemas.set(name, schema);
  }
  const sections = document.getElementById("sections");
  const drawn = [
    rest(api),
    sockets("native", native, "x-protobuf", "The native protocol", "asyncapi.json"),
    sockets("spoken", spoken, "x-packet", "Socket.IO", spokenAt),
    codes(native),
    schemaList(),
  ];
  sections.replaceChildren(...drawn);
  drawContents(document.getElementById("side"));
}

function listen() {
  const field = document.getElementById("search");
  const found = document.getElementById("found");
  const look = () => search(field.value.toLowerCase().split(/\s+/).filter(Boolean), found);
  field.addEventListener("input", () => {
    look();
    scrollTo(0, 0);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !["INPUT", "TEXTAREA"].includes(document.activeElement?.tagName)) {
      event.preventDefault();
      field.focus();
    } else if (event.key === "Escape") {
      openMenu(false);
      if (field.value !== "") {
        field.value = "";
        look();
      }
    }
  });
  document.getElementById("menu").addEventListener("click", () => openMenu(!document.body.classList.contains("menu-open")));
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.('a[href^="#"]');
    if (!link) return;
    openMenu(false);
    // What is linked to may be hidden by a search.
    if (field.value !== "" && document.getElementById(link.getAttribute("href").slice(1))?.hidden) {
      field.value = "";
      look();
    }
  });
}

try {
  await draw();
  listen();
  follow();
  if (location.hash.length > 1) document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
} catch (error) {
  document.getElementById("found").textContent = `The documents could not be shown: ${error.message}`;
}

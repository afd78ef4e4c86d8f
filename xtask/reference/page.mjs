// Takes a server's documents, and looks at its reference page in a browser.
// Says what is wrong, one line each; nothing, if nothing is.
//
//   node page.mjs <server> <chromium> <folder> <name>

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { chromium } from "playwright-core";

const [base, executablePath, folder, name] = process.argv.slice(2);

async function json(path) {
  const response = await fetch(`${base}/${path}`);
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response.json();
}

await mkdir(folder, { recursive: true });
const native = await json("asyncapi.json");
const documents = { openapi: await json("openapi.json"), asyncapi: native, vocabulary: await json(native["x-vocabulary"]) };
for (const [kind, document] of Object.entries(documents)) {
  await writeFile(join(folder, `${kind}-${name}.json`), `${JSON.stringify(document, null, 2)}\n`);
}

// What has to be on the page: each call, each message, each code, each schema.
const calls = Object.values(documents.openapi.paths).flatMap((item) => Object.values(item));
const schemas = new Set(Object.values(documents).flatMap((document) => Object.keys(document.components.schemas)));
const expected = [
  ...calls.map((operation) => `call-${operation.operationId}`),
  ...Object.keys(native.channels.connection.messages).map((key) => `native-${key}`),
  ...Object.keys(documents.vocabulary.channels.connection.messages).map((key) => `spoken-${key}`),
  ...native["x-error-codes"].map(({ code }) => `code-${code}`),
  ...native["x-close-codes"].map(({ number }) => `close-${number}`),
  ...[...schemas].map((schema) => `schema-${schema}`),
];

const views = [
  { view: "desktop", viewport: { width: 1360, height: 900 }, colorScheme: "light" },
  { view: "desktop-dark", viewport: { width: 1360, height: 900 }, colorScheme: "dark" },
  { view: "phone", viewport: { width: 390, height: 844 }, colorScheme: "light" },
  { view: "small-phone", viewport: { width: 320, height: 640 }, colorScheme: "dark" },
];

const browser = await chromium.launch({
  executablePath,
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
const wrong = [];
for (const { view, ...options } of views) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const says = (what) => wrong.push(`${view}: ${what}`);
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && says(message.text()));
  page.on("pageerror", (error) => says(error.message));
  page.on("request", (request) => request.url().startsWith(base) || request.url() === "data:," || says(`loads ${request.url()}`));
  await page.goto(`${base}/docs`);
  await page.waitForSelector("article.entry");
  const found = await page.evaluate(() => {
    const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
    const links = [...document.querySelectorAll('a[href^="#"]')].map((link) => link.getAttribute("href").slice(1));
    return { ids, links, wider: document.documentElement.scrollWidth - document.documentElement.clientWidth };
  });
  for (const id of expected.filter((id) => !found.ids.includes(id))) says(`#${id} is not there`);
  for (const id of found.ids.filter((id, place) => found.ids.indexOf(id) !== place)) says(`#${id} is there twice`);
  for (const link of new Set(found.links)) if (!found.ids.includes(link)) says(`a link to #${link} leads nowhere`);
  if (found.wider > 0) says(`wider than the window by ${found.wider}`);
  await page.screenshot({ path: join(folder, `${name}-${view}.png`) });

  const visible = () => page.locator("#sections .entry:visible").count();
  const all = await visible();
  await page.keyboard.press("/");
  await page.keyboard.type("key_conflict");
  const few = await visible();
  if (few === 0 || few >= all) says(`a search shows ${few} of ${all}`);
  await page.keyboard.press("Escape");
  if ((await visible()) !== all) says("the end of a search does not show everything again");

  await page.goto(`${base}/docs#native-client.send`);
  await page.reload();
  await page.waitForSelector("article.entry");
  const top = await page.evaluate(() => document.getElementById("native-client.send").getBoundingClientRect().top);
  if (top < 0 || top > 200) says(`a link into the page leads to ${top}`);
  await page.evaluate(() => document.querySelectorAll("details").forEach((details) => (details.open = true)));
  const wider = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  if (wider > 0) says(`with everything open wider than the window by ${wider}`);
  await page.screenshot({ path: join(folder, `${name}-${view}-send.png`) });
  await context.close();
}
await browser.close();
console.log([...new Set(wrong)].join("\n"));

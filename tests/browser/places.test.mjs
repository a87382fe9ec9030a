// Where the pages and callout.js can be: below a path of a proxy, and in a folder of one's own.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { proxied, say } from "./proxy.mjs";
import { atEnd, isState, open, serve, test, until } from "./support.mjs";

const DOCS = readFileSync(new URL("../../docs/in-a-page.md", import.meta.url), "utf8");

// A proxy that has callout below `/push/`, and what it was asked for elsewhere.
async function below(test, callout) {
  const elsewhere = [];
  const url = await proxied(test, callout, (asked, answer, pass) => {
    const [, path] = /^\/push(\/.*)$/.exec(asked.url) ?? [];
    if (path) return pass(undefined, path);
    if (asked.url === "/") return say(answer, 200, "<title>site</title><link rel=icon href=data:,>");
    elsewhere.push(asked.url);
    say(answer, 404);
  });
  return { url, elsewhere };
}

test("below a path of a proxy every page works", async (test) => {
  const callout = await serve(test, "--heartbeat", "1");
  const { url, elsewhere } = await below(test, callout);
  const window = await open(test);
  for (const [path, use] of [
    ["", (page) => isState(page, "live")],
    ["activity.html", (page) => isState(page, "live")],
    ["posts.html", (page) => isState(page, "live")],
    ["wall.html", put],
    ["pages/wall", put],
    ["sse.html", talk],
    ["notifications.html", notify],
    ["check.html", (page) => until("it is done", async () => /^(It works|Not every)/.test(await page.textContent("#summary")), 60_000)],
  ]) {
    const page = await window.tab(`${url}/push/${path}`);
    await use(page);
    const links = await page.$$eval(".site a", (list) => list.map((link) => link.href));
    assert.ok(links.every((link) => link.startsWith(`${url}/push/`)), links.join());
    const commands = (await page.locator(".command code").allTextContents()).join();
    assert.ok(commands.includes(`${url}/push/`), path);
    await page.close();
  }
  assert.deepEqual(elsewhere.filter((path) => path !== "/favicon.ico"), []);
});

async function put(page) {
  await isState(page, "live");
  const text = await page.evaluate(() => location.pathname);
  await page.fill("#text", text);
  await page.click("#put [type=submit]");
  await page.locator("#red .text", { hasText: text }).waitFor();
}

async function talk(page) {
  await page.fill("#user", "ann");
  await page.click("#connect");
  await isState(page, "live");
  await page.fill("#message", "hello");
  await page.click("#send");
  await page.locator("#messages .text", { hasText: "hello" }).waitFor();
  await page.click("#close");
}

async function notify(page) {
  await page.fill("#me", "ann");
  await page.click("#subscribe [type=submit]");
  await isState(page, "live");
  await page.fill("#data", "hello");
  await page.click("#notify [type=submit]");
  await page.locator("#notes .text", { hasText: "hello" }).waitFor();
}

test("callout.js finds callout below a path, where it came from and where it is told", async (test) => {
  const callout = await serve(test);
  const { url } = await below(test, callout);
  const page = await (await open(test)).tab(`${url}/`);
  for (const wanted of [
    { topics: ["news"] },
    { topics: ["news"], url: "/push" },
    { topics: ["news"], url: `${url}/push/` },
    { url: "topics/news" },
    { url: `${url}/push/topics/news` },
  ]) {
    const data = await page.evaluate(async (wanted) => {
      const { connect } = await import("/push/callout.js");
      const stream = connect(wanted);
      const arrived = new Promise((done) => stream.on("message", (event) => done(event.data)));
      await new Promise((done) => stream.on("state", () => stream.state === "live" && done()));
      await stream.publish("news", JSON.stringify(wanted));
      const data = await arrived;
      stream.close();
      return data;
    }, wanted);
    assert.equal(data, JSON.stringify(wanted));
  }
});

test("the page that the documents show works where they say", async (test) => {
  const [, html] = /```html\n([^]*?)```/.exec(DOCS);
  const [, script] = /```js\n(import [^]*?)```/.exec(DOCS);
  const folder = mkdtempSync(join(tmpdir(), "callout-www-"));
  atEnd(test, () => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "news.html"), html);
  writeFileSync(join(folder, "news.js"), script);
  const callout = await serve(test, "--www", folder);
  const window = await open(test);
  window.expected = /favicon|Failed to load resource/;
  const page = await window.tab(`${callout.url}/news.html`);
  await until("it is live", async () => (await page.textContent("#state")) === "live");
  await page.click("#hello");
  await callout.publish("weather", "rain");
  await until("both are shown", async () => /hello from a page.*rain/.test((await page.locator("#list li").allTextContents()).join()));
});

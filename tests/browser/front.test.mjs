// The start page: its figures are live, what is published arrives, and its commands work when they are pasted. Also
// what all pages have in common.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { UNREACHABLE, isState, open, serve, setVisible, test, until } from "./support.mjs";

const messages = (page) => page.$$eval("#messages .text", (list) => list.map((item) => item.textContent));

test("the first message, pasted from the page, is on the page", async (test) => {
  const callout = await serve(test);
  const page = await (await open(test)).tab(callout.url);
  await isState(page, "live");
  await page.waitForSelector("#empty");
  const commands = await page.$$eval(".command code", (list) => list.map((code) => code.textContent));
  const publish = commands.find((command) => command.startsWith("curl -d"));
  assert.ok(publish.includes(`${callout.url}/topics/news`), publish);
  await until("both streams are open", async () => (await callout.streams()) === 2);
  execFileSync("sh", ["-c", publish], { stdio: "ignore" });
  await until("the message", async () => (await messages(page))[0] === "hello, world");
  assert.equal(await page.isVisible("#empty"), false);
  for (const text of ["<img src=x onerror=alert(1)>", "a\nb", "L" + "o".repeat(3000), "4", "5", "6"]) {
    await callout.publish("news", text);
    await until(text, async () => (await messages(page))[0] === text);
  }
  assert.equal((await messages(page)).length, 5);
  assert.equal(await page.locator("#messages img").count(), 0);
});

test("the figures are the server's, and the page says when the server is away", async (test) => {
  const callout = await serve(test);
  const window = await open(test);
  window.expected = UNREACHABLE;
  const page = await window.tab(callout.url);
  await isState(page, "live");
  await until("both streams are counted", async () => (await page.textContent("#streams")) === "2");
  await until("a version", async () => /^\d/.test(await page.textContent("#version")));
  await callout.stop();
  await isState(page, "reconnecting");
  await callout.publish("news", "nobody").catch(() => {});
  await callout.start();
  await callout.publish("news", "while it was away");
  await isState(page, "live");
  await until("the missed message", async () => (await messages(page))[0] === "while it was away");
});

test("without a stream of statistics the page asks for the figures", async (test) => {
  const callout = await serve(test, "--no-activity");
  const window = await open(test);
  window.expected = UNREACHABLE;
  const page = await window.tab(callout.url);
  await isState(page, "alive");
  await until("one stream", async () => (await page.textContent("#streams")) === "1");
});

test("all pages are open at once, and hidden ones leave connections for the others", async (test) => {
  const callout = await serve(test);
  const window = await open(test);
  const pages = [];
  for (const path of ["/", "/activity.html", "/wall.html", "/posts.html", "/notifications.html", "/sse.html"]) {
    for (const page of pages) await setVisible(page, false);
    const page = await window.tab(callout.url + path);
    pages.push(page);
    if (path === "/notifications.html") {
      await page.fill("#me", "ann");
      await page.click("#subscribe [type=submit]");
    }
    if (path === "/sse.html") {
      await page.fill("#user", "ann");
      await page.click("#connect");
    }
    await isState(page, "live");
    await until("connections are free", async () => (await callout.streams()) <= 4);
  }
  const chat = pages.at(-1);
  await chat.fill("#message", "hello");
  await chat.click("#send");
  await chat.locator("#messages .text", { hasText: "hello" }).waitFor();
  // A page that is shown again has missed nothing.
  await callout.publish("news", "meanwhile");
  await setVisible(chat, false);
  await setVisible(pages[0], true);
  await pages[0].locator("#messages .text", { hasText: "meanwhile" }).waitFor();
  await isState(pages[0], "live");
});

test("all pages have the same navigation, and each of its links leads to a page", async (test) => {
  const callout = await serve(test);
  const page = await (await open(test)).tab(callout.url);
  const links = () => page.$$eval(".site a", (list) => list.map((link) => link.getAttribute("href")));
  const wanted = await links();
  for (const path of wanted) {
    const url = new URL(path, `${callout.url}/`);
    assert.equal((await fetch(url)).status, 200, path);
    await page.goto(url.href);
    assert.deepEqual(await links(), wanted, path);
    assert.equal(await page.locator(".site a[aria-current]").getAttribute("href"), path);
  }
});

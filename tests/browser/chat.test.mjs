// The chat as people use it.

import assert from "node:assert/strict";
import { UNREACHABLE, isState, open, serve, test, until } from "./support.mjs";

const texts = (page) => page.$$eval("#messages .message .text", (list) => list.map((item) => item.textContent));

const has = (page, text) => until(`the message ${text}`, async () => (await texts(page)).includes(text));

const areHere = (page, ...names) =>
  until(`${names} are here`, async () => {
    const here = await page.$$eval("#users li", (list) => list.map((item) => item.textContent));
    return here.join() === names.join();
  });

async function enter(window, callout, name) {
  const page = await window.tab(`${callout.url}/sse.html`);
  await page.fill("#user", name);
  await page.press("#user", "Enter");
  await isState(page, "live");
  return page;
}

async function say(page, text) {
  await page.fill("#message", text);
  await page.click("#send");
}

test("everyone reads every message and sees who is here", async (test) => {
  const callout = await serve(test);
  const ann = await enter(await open(test), callout, "ann");
  const bob = await enter(await open(test), callout, "bob");
  await areHere(ann, "ann", "bob");
  await say(bob, "hello from bob");
  for (const page of [ann, bob]) await has(page, "hello from bob");
  await until("the field is empty", async () => (await bob.inputValue("#message")) === "");
  await ann.fill("#message", "line one\nline two");
  await ann.press("#message", "Control+Enter");
  await has(bob, "line one\nline two");
  await bob.close();
  await areHere(ann, "ann");
});

test("hostile text is shown as text", async (test) => {
  const callout = await serve(test);
  const ann = await enter(await open(test, { viewport: { width: 320, height: 600 } }), callout, "ann");
  for (const text of [
    "<script>alert(1)</script><img src=x onerror=alert(2)>",
    "a\n\nevent: x\ndata: y\nid: 9",
    "line\u2028and\u2029paragraph",
    "\u{1F6F0}\u{FE0F} \u202Eevil\u202C",
    `L${"o".repeat(5000)}ng`,
    "\uFEFFmark first",
  ]) {
    await say(ann, text);
    await has(ann, text);
  }
  assert.equal(await ann.locator("#messages script, #messages img").count(), 0);
  assert.ok(await ann.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "it overflows");
});

test("the newest message stays in view, unless the person has scrolled back", async (test) => {
  const callout = await serve(test);
  const ann = await enter(await open(test), callout, "ann");
  for (let line = 0; line < 30; line += 1) await say(ann, `line ${line}`).then(() => has(ann, `line ${line}`));
  const isAtEnd = () => ann.$eval("#log", (log) => log.scrollHeight - log.scrollTop - log.clientHeight < 5);
  await until("it is at the end", isAtEnd);
  const bob = await enter(await open(test), callout, "bob");
  await ann.$eval("#log", (log) => {
    const scrolled = new Promise((done) => log.addEventListener("scroll", done, { once: true }));
    log.scrollTop = 0;
    return scrolled.then(() => true);
  });
  await say(bob, "while you read");
  await has(ann, "while you read");
  assert.equal(await ann.$eval("#log", (log) => log.scrollTop), 0);
  assert.equal(await ann.textContent("#newest"), "1 new message ↓");
  await ann.click("#newest");
  await until("it is at the end again", isAtEnd);
});

test("closing and connecting again shows nothing twice", async (test) => {
  const callout = await serve(test);
  const [ann, bob] = [await enter(await open(test), callout, "ann"), await enter(await open(test), callout, "bob")];
  await say(ann, "one");
  await has(ann, "one");
  await ann.click("#close");
  await isState(ann, "closed");
  await areHere(bob, "bob");
  await say(bob, "two");
  await has(bob, "two");
  await ann.click("#connect");
  await has(ann, "two");
  assert.deepEqual(await texts(ann), ["one", "two"]);
  await ann.reload();
  assert.equal(await ann.inputValue("#user"), "ann");
  await ann.click("#connect");
  await has(ann, "two");
  assert.deepEqual(await texts(ann), ["one", "two"]);
});

test("back and forward: a user leaves, and comes back with the missed messages", async (test) => {
  const callout = await serve(test);
  const [ann, bob] = [await enter(await open(test), callout, "ann"), await enter(await open(test), callout, "bob")];
  await bob.goto(callout.url);
  await areHere(ann, "ann");
  await say(ann, "bob is away");
  await has(ann, "bob is away");
  await bob.goBack({ waitUntil: "commit" });
  await has(bob, "bob is away");
  await areHere(ann, "ann", "bob");
}, { needs: ["cache"] });

test("a user with three tabs is one user on one stream", async (test) => {
  const callout = await serve(test);
  const window = await open(test);
  const tabs = [];
  for (let tab = 0; tab < 3; tab += 1) tabs.push(await enter(window, callout, "ann"));
  for (const tab of tabs) await areHere(tab, "ann");
  await until("they share one stream", async () => (await callout.streams()) === 1);
  await say(tabs[2], "to all of me");
  for (const tab of tabs) await has(tab, "to all of me");
  await tabs[0].close();
  await say(tabs[1], "still here");
  await has(tabs[2], "still here");
});

test("a kill and a restart: a typed message is not lost, and no message is shown twice", async (test) => {
  const callout = await serve(test);
  const window = await open(test);
  const ann = await enter(window, callout, "ann");
  await say(ann, "before");
  await has(ann, "before");
  window.expected = UNREACHABLE;
  await callout.stop("SIGKILL");
  await isState(ann, "reconnecting");
  await say(ann, "into the void");
  await until("the page says so", async () => (await ann.textContent("#trouble")) === "Not sent: the server cannot be reached.");
  assert.equal(await ann.inputValue("#message"), "into the void");
  await callout.start();
  await isState(ann, "live");
  await ann.click("#send");
  await has(ann, "into the void");
  assert.deepEqual(await texts(ann), ["before", "into the void"]);
  assert.equal(await ann.isVisible("#trouble"), false);
});

test("a refused name is explained, and the person can enter another", async (test) => {
  const callout = await serve(test);
  const window = await open(test);
  const page = await window.tab(`${callout.url}/sse.html`);
  await page.evaluate(() => (document.querySelector("#user").value = "a\tb"));
  window.expected = UNREACHABLE;
  await page.click("#connect");
  await until("the page says why", async () => (await page.textContent("#trouble")).includes("no control or format characters"));
  await isState(page, "closed");
  assert.equal(await page.evaluate(() => document.activeElement.id), "user");
});

// The pages of a server with rules: each says in words what is closed and why, and goes on when there is a ticket.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { UNREACHABLE, atEnd, can, isState, open, pictures, serve, test, until } from "./support.mjs";

const AXE = readFileSync(new URL("node_modules/axe-core/axe.min.js", import.meta.url), "utf8");

// Whoever has a ticket may all that the pages do, and read their own notifications.
const CONFIG = `
[[allow]]
signed_in = true
subscribe = ["news", "users/{user}"]
pages = ["chat", "wall", "posts", "activity", "check"]

[[token]]
name = "shop"
secret_file = "shop.token"
publish = ["*", "users/*"]
subscribe = ["*"]
pages = ["chat", "wall", "posts"]
may = ["tickets"]

[tickets]
key_files = ["ticket.key"]
`;

const SECRET = "correct-horse-battery";

// A server with these rules, and what its backend does.
async function shop(test, config = CONFIG) {
  const folder = mkdtempSync(join(tmpdir(), "callout-access-"));
  atEnd(test, () => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "callout.toml"), config);
  writeFileSync(join(folder, "shop.token"), `${SECRET}\n`);
  writeFileSync(join(folder, "ticket.key"), "0123456789abcdef0123456789abcdef\n");
  const callout = await serve(test, "--config", join(folder, "callout.toml"));
  const ask = async (path, body) => {
    const headers = { authorization: `Bearer ${SECRET}` };
    const answer = await fetch(new URL(path, callout.url), { method: "POST", headers, body });
    assert.equal(answer.status, 200, await answer.clone().text());
    return answer.json();
  };
  return {
    callout,
    // Gives the server other rules while it runs.
    rule: (config) => {
      writeFileSync(join(folder, "callout.toml"), config);
      callout.signal("SIGHUP");
    },
    ticket: async (user = "ann", wish = {}) => (await ask("/tickets", JSON.stringify({ user, ...wish }))).ticket,
    revoke: (what) => ask("/revoke", JSON.stringify(what)),
    notify: (user, data) => ask(`/notify/${user}`, JSON.stringify({ data })),
    publish: (topic, data) => ask(`/topics/${topic}`, data),
    put: (data) => ask("/messages", JSON.stringify({ data, type: "red" })),
  };
}

async function browser(test) {
  const window = await open(test);
  // A browser writes each refusal to the console.
  window.expected = UNREACHABLE;
  return window;
}

const gate = (page) => page.textContent("#gate-says");
const says = (page, where, text) => until(`${where} says ${text}`, async () => (await page.textContent(where)).includes(text));
const isOpen = (page) => until("nothing is said to be closed", () => page.isHidden(".gate"));

async function give(page, ticket) {
  await page.fill("#gate-ticket", ticket);
  await page.click(".gate form button");
}

// How many requests a page has made.
const requests = (page) => page.evaluate(() => performance.getEntriesByType("resource").length);

// callout.js asks again after two and a half seconds at most when it was refused once.
const AGAIN_MILLIS = 2500;

// Pages whose stream begins with the page, what is closed then, and the button that publishes.
const STREAMING = [
  { name: "wall", path: "/wall.html", title: "The wall is closed to you.", button: "#send" },
  { name: "activity", path: "/activity.html", title: "The server’s activity is closed to you." },
  { name: "posts", path: "/posts.html", title: "The posts are closed to you.", button: "#random" },
];

for (const { name, path, title, button } of STREAMING) {
  test(`the page ${name} says that it is closed, and opens with a ticket`, async (test) => {
    const backend = await shop(test);
    const window = await browser(test);
    const page = await window.tab(backend.callout.url + path);
    await isState(page, "refused");
    await says(page, "#gate-says", title);
    assert.match(await gate(page), new RegExp(`A request without a credential .*does not cover the page \`${name}\``));
    assert.match(await gate(page), /Authorization: Bearer/);
    if (button) {
      assert.equal(await page.isEnabled(button), false);
      assert.equal(await page.getAttribute(button, "aria-describedby"), "gate-says");
    }
    // Nobody asks again while nothing has changed. That something does not come takes as long as it would take to come.
    const asked = await requests(page);
    await new Promise((done) => setTimeout(done, AGAIN_MILLIS));
    assert.equal(await requests(page), asked);

    await give(page, "ct1.no.ticket.at-all");
    await says(page, "#gate-trouble", "his is no ticket");
    await isState(page, "refused");
    await give(page, await backend.ticket());
    await isState(page, "live");
    await isOpen(page);
    await says(page, ".account", "ann");
    if (button) assert.equal(await page.isEnabled(button), true);
    const stored = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]));
    assert.ok(!stored.includes("ct1."), stored);

    // A page that is loaded again has the ticket still, and without it none.
    await page.reload();
    await isState(page, "live");
    await page.click(".account button");
    await isState(page, "refused");
    assert.equal(await page.isHidden(".account"), true);
  });
}

test("a page takes the ticket of its address and shows it no longer", async (test) => {
  const backend = await shop(test);
  const ticket = await backend.ticket();
  for (const [given, left] of [
    [`/posts.html#ticket=${ticket}&feed=golang`, "/posts.html#feed=golang"],
    [`/wall.html?ticket=${ticket}`, "/wall.html"],
    [`/wall.html?a=b&ticket=${ticket}#curl`, "/wall.html?a=b#curl"],
  ]) {
    const window = await browser(test);
    const page = await window.tab(backend.callout.url + given);
    await isState(page, "live");
    await says(page, ".account", "ann");
    assert.equal((await page.evaluate(() => location.href)).replace(/=$/, ""), backend.callout.url + left);
    // A tab that was opened before has it too.
    const other = await window.tab(`${backend.callout.url}/activity.html`);
    await isState(other, "live");
  }
});

test("a ticket of the address that is not valid is named, and what is open stays open", async (test) => {
  const backend = await shop(test, CONFIG.replace("signed_in = true", "anonymous = true"));
  const page = await (await browser(test)).tab(`${backend.callout.url}/wall.html#ticket=ct1.x.y.z`);
  await isState(page, "live");
  await says(page, "#gate-says", "The ticket in the address cannot be used.");
  assert.equal(await page.isEnabled("#send"), true);
});

test("a ticket that another tab is given opens this one", async (test) => {
  const backend = await shop(test);
  const window = await browser(test);
  const one = await window.tab(`${backend.callout.url}/wall.html`);
  await isState(one, "refused");
  const two = await window.tab(`${backend.callout.url}/activity.html#ticket=${await backend.ticket()}`);
  await isState(two, "live");
  await isState(one, "live");
  await isOpen(one);
});

test("the chat says that it is closed before anybody has written in vain", async (test) => {
  const backend = await shop(test);
  const page = await (await browser(test)).tab(`${backend.callout.url}/sse.html`);
  await says(page, "#gate-says", "The chat is closed to you.");
  assert.equal(await page.isEnabled("#send"), false);
  await page.fill("#message", "hello");
  await page.fill("#user", "ann");
  await page.click("#connect");
  await isState(page, "refused");
  await give(page, await backend.ticket());
  await isState(page, "live");
  assert.equal(await page.inputValue("#message"), "hello");
  await page.click("#send");
  await page.locator("#messages .text", { hasText: "hello" }).waitFor();
});

test("a message that is refused stays, and the page says why", async (test) => {
  const backend = await shop(test, CONFIG.replace("signed_in = true", "anonymous = true"));
  const page = await (await browser(test)).tab(`${backend.callout.url}/sse.html`);
  await page.fill("#user", "ann");
  await page.fill("#message", "hello");
  backend.rule(CONFIG);
  await until("the rules are read", async () => {
    const answer = await fetch(`${backend.callout.url}/access`);
    return !(await answer.json()).pages.chat.publish;
  });
  assert.equal(await page.isEnabled("#send"), true);
  await page.click("#send");
  await says(page, "#trouble", "Not sent: a request without a credential");
  await says(page, "#gate-says", "closed to you.");
  assert.equal(await page.isEnabled("#send"), false);
  assert.equal(await page.inputValue("#message"), "hello");
  await give(page, await backend.ticket());
  await isState(page, "live");
  await page.click("#send");
  await page.locator("#messages .text", { hasText: "hello" }).waitFor();
});

test("a ticket that is taken back ends what it opened, in words, and another one goes on without a gap", async (test) => {
  const backend = await shop(test);
  const page = await (await browser(test)).tab(`${backend.callout.url}/wall.html#ticket=${await backend.ticket()}`);
  await isState(page, "live");
  await backend.put("before");
  await page.locator(".column .text", { hasText: "before" }).waitFor();
  await page.fill("#text", "half typed");
  await backend.revoke({ user: "ann" });
  await says(page, "#gate-says", "The ticket was taken back; sign in again");
  await isState(page, "refused");
  await says(page, "#gate-says", "The ticket was taken back");
  await until("nobody is signed in", () => page.isHidden(".account"));
  assert.equal(await page.isEnabled("#send"), false);
  await backend.put("meanwhile");
  await give(page, await backend.ticket());
  await isState(page, "live");
  await page.locator(".column .text", { hasText: "meanwhile" }).waitFor();
  assert.deepEqual(await page.locator("#red .text").allTextContents(), ["meanwhile", "before"]);
  assert.equal(await page.inputValue("#text"), "half typed");
});

test("a ticket that ends is named, and a page that is open to everybody goes on without", async (test) => {
  const open = '[[allow]]\nanonymous = true\npages = ["activity"]\n';
  const backend = await shop(test, open + CONFIG);
  const window = await browser(test);
  const wall = await window.tab(`${backend.callout.url}/wall.html#ticket=${await backend.ticket("ann", { ttl: "4s" })}`);
  await isState(wall, "live");
  const activity = await window.tab(`${backend.callout.url}/activity.html`);
  await isState(activity, "live");
  await says(wall, "#gate-says", "The ticket ended at");
  await isState(wall, "refused");
  await until("it goes on without a ticket", async () => (await activity.isHidden(".account")) && (await activity.textContent("#state")) === "live");
  await isOpen(activity);
});

test("notifications are those of the ticket's user, and another user's are refused by name", async (test) => {
  const backend = await shop(test);
  const page = await (await browser(test)).tab(`${backend.callout.url}/notifications.html`);
  await says(page, "#gate-says", "The notifications are closed to you.");
  await page.fill("#me", "bob");
  await page.click("#subscribe [type=submit]");
  await isState(page, "refused");
  await says(page, "#gate-says", "does not cover the notifications of `bob`");

  await give(page, await backend.ticket("ann"));
  await isState(page, "live");
  assert.equal(await page.inputValue("#me"), "ann");
  await isOpen(page);
  await backend.notify("ann", "for ann");
  await page.locator("#notes .text", { hasText: "for ann" }).waitFor();
  // What may be read only says so, and where a token can be entered.
  await says(page, "#guard-why", "You may read here, and need a token to notify. The user `ann` does not cover");
  await page.fill("#user", "ann");
  await page.fill("#data", "hello");
  await page.click("#notify [type=submit]");
  await says(page, "#trouble", "Not sent: the user `ann` does not cover the notifications of `ann`");
  await page.fill("#token", SECRET);
  await page.click("#notify [type=submit]");
  await page.locator("#notes .text", { hasText: "hello" }).waitFor();

  await page.fill("#me", "bob");
  await page.click("#subscribe [type=submit]");
  await isState(page, "refused");
  await says(page, "#gate-says", "Your ticket is that of ann: the notifications of bob are closed to you.");
  await page.fill("#me", "ann");
  await page.click("#subscribe [type=submit]");
  await isState(page, "live");
  await isOpen(page);
  assert.deepEqual(await page.locator("#notes .kind").allTextContents(), []);
  await backend.revoke({ user: "ann" });
  await says(page, "#gate-says", "The ticket was taken back");
  await isState(page, "refused");
  assert.deepEqual(await page.locator("#notes .kind").allTextContents(), [], "what the server says is no notification");
});

test("another user's ticket opens what is theirs, and who signs out leaves nothing, in all tabs", async (test) => {
  const backend = await shop(test);
  const window = await browser(test);
  const path = `${backend.callout.url}/notifications.html`;
  const one = await window.tab(`${path}#ticket=${await backend.ticket("ann")}`);
  const two = await window.tab(path);
  for (const page of [one, two]) await isState(page, "live");
  await backend.notify("ann", "for ann");
  for (const page of [one, two]) await page.locator("#notes .text", { hasText: "for ann" }).waitFor();

  await one.evaluate((ticket) => (location.hash = `ticket=${ticket}`), await backend.ticket("bob"));
  for (const page of [one, two]) {
    await says(page, ".account", "bob");
    await until("it is bob's", async () => (await page.inputValue("#me")) === "bob");
    await isState(page, "live");
  }
  await backend.notify("ann", "for ann again");
  await backend.notify("bob", "for bob");
  for (const page of [one, two]) {
    await page.locator("#notes .text", { hasText: "for bob" }).waitFor();
    assert.deepEqual(await page.locator("#notes .text").allTextContents(), ["for bob"]);
  }
  await two.click(".account button");
  for (const page of [one, two]) {
    await isState(page, "refused");
    await says(page, "#gate-says", "The notifications of bob are closed to you.");
    assert.equal(await page.locator("#notes .text").count(), 0);
  }
});

test("the start page says which of its commands need a token", async (test) => {
  const backend = await shop(test);
  const page = await (await browser(test)).tab(backend.callout.url);
  await says(page, "#needs", "publishing to news and subscribing to it needs a token");
  await says(page, "#gate-says", "The topic news is closed to you.");
  await isState(page, "alive");
  const commands = await page.$$eval(".command code", (list) => list.map((code) => code.textContent));
  const needing = commands.filter((command) => command.includes('-H "Authorization: Bearer $TOKEN"'));
  assert.equal(needing.length, 3, commands.join("\n"));
  await give(page, await backend.ticket());
  await isOpen(page);
  await until("it is subscribed", async () => {
    await backend.publish("news", "hello");
    return (await page.locator("#messages .text").allTextContents()).includes("hello");
  });
});

test("the check says what the rules open and close", async (test) => {
  const backend = await shop(test);
  const page = await (await browser(test)).tab(`${backend.callout.url}/check.html`);
  await says(page, "#summary", "The rules of this server close the check to you.");
  await says(page, "#gate-says", "The check is closed to you.");
  await says(page, "#finding-access .what", "Without a ticket, closed: activity, chat, check, notifications, posts, wall.");
  await isState(page, "refused");
  await says(page, "#finding-clock .what", "Could not be tried: the rules of this server close the check to you.");
  await give(page, await backend.ticket());
  await isState(page, "live");
  await says(page, "#finding-access .what", "With the ticket of ann, to read and write: activity, chat, check, posts, wall; to read only: notifications.");
  await page.waitForSelector("#findings[aria-busy=false]");
});

test("what is closed is said to everybody, in a narrow window and in the dark", async (test) => {
  const backend = await shop(test);
  const width = can(test, "narrow") ? 360 : 480;
  const window = await open(test, { colorScheme: "dark", viewport: { width, height: 900 } });
  window.expected = UNREACHABLE;
  for (const name of ["", "sse.html", "activity.html", "notifications.html", "wall.html", "posts.html", "check.html"]) {
    const page = await window.tab(`${backend.callout.url}/${name}`);
    await says(page, "#gate-says", "closed to you.");
    const surplus = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(surplus <= 0, `${name}: ${surplus} px too wide`);
    await page.evaluate(AXE);
    const { violations } = await page.evaluate(() => axe.run());
    const serious = violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
    assert.deepEqual(serious.map(({ id, nodes }) => [id, nodes.map((node) => node.html)]), [], name);
    await page.screenshot({ path: join(pictures(test), `closed-${name || "index"}.png`), fullPage: true });
    await page.close();
  }
});

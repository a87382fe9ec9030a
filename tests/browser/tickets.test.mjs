// callout.js with tickets: a page of an application gets them from its own server, and its stream goes on from one to the
// next without a gap.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { proxied, say } from "./proxy.mjs";
import { UNREACHABLE, atEnd, open, serve, test, until } from "./support.mjs";

const CONFIG = `
[[allow]]
signed_in = true
subscribe = ["users/{user}/*"]

[[token]]
name = "shop"
secret_file = "shop.token"
publish = ["*"]
may = ["tickets"]

[tickets]
key_files = ["ticket.key"]
`;

// A server with rules, and what its backend does.
async function shop(test) {
  const folder = mkdtempSync(join(tmpdir(), "callout-shop-"));
  atEnd(test, () => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "callout.toml"), CONFIG);
  writeFileSync(join(folder, "shop.token"), "correct-horse-battery\n");
  writeFileSync(join(folder, "ticket.key"), "0123456789abcdef0123456789abcdef\n");
  const callout = await serve(test, "--config", join(folder, "callout.toml"));
  const ask = async (path, body) => {
    const headers = { authorization: "Bearer correct-horse-battery" };
    const answer = await fetch(new URL(path, callout.url), { method: "POST", headers, body });
    assert.equal(answer.status, 200, await answer.clone().text());
    return answer.json();
  };
  return {
    callout,
    ticket: (wish) => ask("/tickets", JSON.stringify({ user: "ann", ...wish })),
    revoke: (what) => ask("/revoke", JSON.stringify(what)),
    publish: (data) => ask("/topics/users/ann/orders", data),
  };
}

// A page that is connected with tickets which its own server gives it, and what it has seen.
async function connected(test, { callout }, give) {
  const url = await proxied(test, callout, async (asked, answer, pass) => {
    if (asked.url !== "/my-ticket") return pass();
    say(answer, 200, JSON.stringify(await give()), { "content-type": "application/json" });
  });
  const window = await open(test);
  window.expected = UNREACHABLE;
  const page = await window.tab(`${url}/chat.html`);
  await page.evaluate(async () => {
    const { connect } = await import("/callout.js");
    window.seen = [];
    window.errors = [];
    const ticket = () => fetch("/my-ticket").then((answer) => answer.json());
    window.stream = connect({ topics: ["users/ann/orders"], ticket });
    stream.on("*", ({ data }) => seen.push(data));
    stream.on("error", ({ data, status }) => errors.push({ data, status }));
  });
  await until("it is live", () => page.evaluate(() => stream.state === "live"));
  return { page, seen: () => page.evaluate(() => seen) };
}

test("a stream goes on after its last id when its tickets end, are renewed and are taken back", async (test) => {
  const backend = await shop(test);
  let given = 0;
  const { page, seen } = await connected(test, backend, async () => {
    given += 1;
    return backend.ticket({ ttl: given < 4 ? "2s" : "10m" });
  });
  const wanted = [];
  while (given < 4) {
    wanted.push(`order ${wanted.length}`);
    await backend.publish(wanted.at(-1));
    await new Promise((done) => setTimeout(done, 50));
  }
  await until("all came", async () => (await seen()).length === wanted.length);
  assert.deepEqual(await seen(), wanted);

  await backend.revoke({ user: "ann" });
  await until("another ticket was fetched", () => given === 5);
  await backend.publish("after it");
  await until("it came", async () => (await seen()).at(-1) === "after it");
  assert.deepEqual(await page.evaluate(() => errors), []);
});

test("a page is told why its ticket is refused, and publishes with one that may", async (test) => {
  const backend = await shop(test);
  let answer = await backend.ticket({ ttl: "10m", publish: ["users/ann/orders"] });
  const { page, seen } = await connected(test, backend, () => answer);
  await page.evaluate(() => stream.publish("users/ann/orders", "from the page"));
  await until("it came", async () => (await seen()).includes("from the page"));

  // The backend gives the same again, which is void now.
  await backend.revoke({ user: "ann" });
  await until("the page was told", () => page.evaluate(() => errors.length > 0));
  assert.deepEqual(await page.evaluate(() => errors[0]), { data: "the ticket was taken back", status: 401 });
  const refused = await page.evaluate(() => stream.publish("users/ann/orders", "x").catch(({ status }) => status));
  assert.equal(refused, 401);
  answer = await backend.ticket({ ttl: "10m" });
  await until("it is live again", () => page.evaluate(() => stream.state === "live"));
  await backend.publish("again");
  await until("it came", async () => (await seen()).includes("again"));
});

test("a browser that has traded its ticket for a cookie needs none in its page", async (test) => {
  const backend = await shop(test);
  const { ticket } = await backend.ticket({ ttl: "10m" });
  const window = await open(test);
  window.expected = UNREACHABLE;
  const page = await window.tab(`${backend.callout.url}/chat.html`);
  const status = await page.evaluate(async (ticket) => {
    const answer = await fetch("/tickets/cookie", { method: "POST", body: JSON.stringify({ ticket }) });
    window.seen = [];
    new EventSource("/topics/users/ann/orders").onmessage = ({ data }) => seen.push(data);
    return answer.status;
  }, ticket);
  assert.equal(status, 204);
  assert.equal(await page.evaluate(() => document.cookie), "");
  await until("the stream is open", async () => {
    await backend.publish("hi");
    return page.evaluate(() => seen.includes("hi"));
  });
});

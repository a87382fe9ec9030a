// The check: its findings are true for different proxies and servers.

import assert from "node:assert/strict";
import { proxied, say } from "./proxy.mjs";
import { UNREACHABLE, isState, open, serve, test, until } from "./support.mjs";

// A proxy in front of callout that passes everything on, but treats the check's streams as `spoil` does.
const spoiled = (test, callout, spoil) =>
  proxied(test, callout, (asked, answer, pass) => {
    if (asked.method === "GET" && asked.url.startsWith("/check/")) pass(spoil);
    else pass();
  });

// The findings by their names: each is its verdict and its text.
const findings = (page) =>
  page.$$eval(".finding", (items) =>
    Object.fromEntries(
      items.map((item) => [item.id.slice(8), [item.dataset.verdict, item.querySelector(".what").textContent]]),
    ),
  );

const done = (page) =>
  until("the check is done", async () => (await page.locator("#findings[aria-busy=false]").count()) === 1, 60_000);

test("straight to the server everything is well, twice", async (test) => {
  const callout = await serve(test, "--heartbeat", "1");
  const window = await open(test);
  const page = await window.tab(`${callout.url}/check.html`);
  for (const round of [1, 2]) {
    await done(page);
    await until("a heartbeat", async () => (await findings(page)).lasting[0] === "good");
    const said = await findings(page);
    for (const name of ["open", "pace", "lasting", "presence", "resume", "replay", "clock"]) {
      assert.equal(said[name][0], "good", `round ${round}: ${name}: ${said[name][1]}`);
    }
    // WebKit does not always say which version of HTTP it uses.
    const [, headline] = { look: [, /^It works/], none: [, /^Not everything could be tried: “Many streams/] }[said.http[0]];
    assert.match(await page.textContent("#summary"), headline);
    assert.equal(await page.textContent("#state"), "live");
    if (round === 1) await page.click("#again");
  }
  // Only the stream that is kept open is left, and none after the page is closed.
  await until("one is left", async () => (await callout.streams()) === 1);
  await page.goto("about:blank");
  await until("the stream is closed", async () => (await callout.streams()) === 0);
});

test("without https the page does not promise that tabs share a stream", async (test) => {
  const callout = await serve(test);
  const page = await (await open(test)).tab(`${callout.url}/check.html`);
  const http = async () => (await findings(page)).http;
  await done(page);
  assert.match((await http())[1], /callout\.js share one stream/);
  // As browsers have it where a page came over plain http from another host.
  await page.evaluate(() => void Object.defineProperty(Navigator.prototype, "locks", { value: undefined }));
  await page.click("#again");
  await until("it says so", async () => /but not without https/.test((await http())[1]));
}, { needs: ["protocol"] });

test("a proxy that holds events up is found, and the page says what helps", async (test) => {
  const callout = await serve(test);
  const window = await open(test);
  const url = await spoiled(test, callout, (from) => from.resume());
  const page = await window.tab(`${url}/check.html`);
  await done(page);
  const said = await findings(page);
  assert.match(said.pace.join(), /^bad,Held up: none of 6/);
  assert.equal(said.open[0], "bad");
  assert.match(await page.textContent("#summary"), /holds events up/);
  assert.ok(await page.isVisible("#finding-pace #cure-buffering"));
  assert.notEqual(await page.textContent("#state"), "live");
});

test("a server that is full is told from a stream that is held up, and the rest is checked", async (test) => {
  const callout = await serve(test, "--streams", "1", "--heartbeat", "1");
  const window = await open(test);
  const held = await fetch(`${callout.url}/topics/news`);
  const page = await window.tab(`${callout.url}/check.html`);
  await done(page);
  await until("the stream that is kept open is refused", async () => /^No stream:/.test((await findings(page)).lasting[1]));
  const none = await findings(page);
  assert.deepEqual(none.open, ["bad", "It was refused: the server has as many streams as it may have."]);
  assert.match(none.lasting.join(), /^bad,.*as many streams as it may have/);
  assert.deepEqual([none.pace[0], none.presence[0], none.resume[0]], ["none", "none", "none"]);
  assert.equal(none.clock[0], "good");
  assert.match(await page.textContent("#summary"), /as many streams as it may have/);
  assert.ok(await page.isVisible("#finding-open #cure-streams"));
  assert.notEqual(await page.textContent("#state"), "live");

  // With one stream allowed, one after the other is tried.
  await page.goto("about:blank");
  // Named here too, because an answer that nobody names is cleared away, and its stream with it.
  await held.body.cancel();
  await until("the stream has ended", async () => (await callout.streams()) === 0);
  await page.goto(`${callout.url}/check.html`);
  await done(page);
  const one = await findings(page);
  for (const name of ["open", "pace", "presence", "clock"]) assert.equal(one[name][0], "good", `${name}: ${one[name][1]}`);
  await until("the stream that is kept open has its turn", async () => (await findings(page)).lasting[0] === "good");
});

test("the headline is the worst finding: publishing is refused", async (test) => {
  const callout = await serve(test);
  const words = JSON.stringify({ error: "the host is unknown", reason: "this host is not served", hint: "name another" });
  const url = await proxied(test, callout, (asked, answer, pass) => {
    if (asked.method === "POST") say(answer, 403, words, { "content-type": "application/json" });
    else pass();
  });
  const window = await open(test);
  window.expected = UNREACHABLE;
  const page = await window.tab(`${url}/check.html`);
  await done(page);
  const said = await findings(page);
  assert.match(said.pace.join(), /^bad,.*403: this host is not served; name another\./);
  assert.deepEqual([said.presence[0], said.resume[0], said.replay[0], said.clock[0]], ["none", "none", "none", "none"]);
  assert.match(await page.textContent("#summary"), /^Something is wrong: “Events arrive at once”/);
});

test("a proxy that holds up what is large, and lets through what is small, is found", async (test) => {
  const callout = await serve(test);
  // As one that compresses from 512 bytes on.
  const url = await spoiled(test, callout, (from, answer) => {
    answer.writeHead(from.statusCode, from.headers);
    let held = [];
    from.on("data", (piece) => {
      held.push(piece);
      if (piece.length >= 512) return;
      answer.write(Buffer.concat(held));
      held = [];
    });
    from.on("end", () => answer.end());
  });
  const window = await open(test);
  const page = await window.tab(`${url}/check.html`);
  await done(page);
  const said = await findings(page);
  assert.deepEqual([said.open[0], said.pace[0], said.replay[0]], ["good", "good", "bad"], said.replay[1]);
  assert.match(await page.textContent("#summary"), /holds events up/);
});

test("a stream that is cut is reported, with how long it lasted", async (test) => {
  const callout = await serve(test);
  const window = await open(test);
  window.expected = UNREACHABLE;
  const url = await spoiled(test, callout, (from, answer) => {
    answer.writeHead(from.statusCode, from.headers);
    from.pipe(answer);
    // A stream that is silent for so long is cut.
    let timer;
    const wait = () => {
      clearTimeout(timer);
      timer = setTimeout(() => answer.destroy(), 2_000);
    };
    from.on("data", wait);
    answer.on("close", () => clearTimeout(timer));
  });
  const page = await window.tab(`${url}/check.html`);
  await done(page);
  const text = await until("it was cut", async () => {
    const [verdict, text] = (await findings(page)).lasting;
    return verdict === "bad" && text;
  });
  assert.match(text, /ended after 2(\.\d)? s: it was cut before the server’s first heartbeat/);
  assert.ok(await page.isVisible("#cure-silence"));
});

test("a killed and restarted server is told from a stream that was cut", async (test) => {
  const callout = await serve(test);
  const window = await open(test);
  window.expected = UNREACHABLE;
  const page = await window.tab(`${callout.url}/check.html`);
  await done(page);
  await callout.stop();
  await until("the page notices", async () => /^No answer/.test((await findings(page)).lasting[1]));
  assert.equal(await page.textContent("#state"), "reconnecting");
  await callout.start();
  await isState(page, "live");
  const text = await until("the cause", async () => {
    const [, text] = (await findings(page)).lasting;
    return text.startsWith("Has lasted") && text;
  });
  assert.match(text, /The one before ended after .*: there was no answer any more from the server/);
  assert.equal(await page.isVisible("#cure-silence"), false);

  await callout.stop("SIGTERM");
  await callout.start();
  await until("the goodbye", async () => /goodbye/.test((await findings(page)).lasting[1]));
});

// callout.js: one stream for all tabs of an origin, and no event missing or doubled, whatever happens.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { UNREACHABLE, atEnd, open, serve, setVisible, test, until } from "./support.mjs";

// From the end of one leader to the stream of the next.
const TAKEOVER_MILLIS = 2_000;

const SOURCE = new URL("../../www/callout.js", import.meta.url);
const README = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
const SOURCE_BYTES_MAX = 7 * 1024;

// A page that opens no stream by itself.
const blank = (callout) => `${callout.url}/notifications.html`;

// A tab that subscribes, and notes what it receives and how many streams it reads.
async function subscribe(window, callout, wanted = { topics: ["news"] }) {
  const page = await window.tab(blank(callout));
  page.streams = 0;
  const count = (change) => (request) => {
    if (request.url().includes("/topics?")) page.streams += change;
  };
  page.on("request", count(1));
  page.on("requestfinished", count(-1));
  page.on("requestfailed", count(-1));
  await page.evaluate(connect, wanted);
  return page;
}

async function connect(wanted) {
  const { connect } = await import("/callout.js");
  window.seen = [];
  window.states = [];
  window.errors = [];
  window.stream = connect(wanted);
  stream.on("*", (event) => seen.push(event.name === "message" ? event.data : `${event.name} ${event.data}`));
  stream.on("state", (event) => states.push(event.data));
  stream.on("error", (event) => errors.push(event.status));
}

const seen = (page) => page.evaluate(() => seen.join());
const state = (page) => page.evaluate(() => stream.state);

const isLive = (...pages) => until("all are live", async () => (await all(pages, state)).every((is) => is === "live"));

const has = (text, ...pages) =>
  until(`all see ${text}`, async () => (await all(pages, seen)).every((saw) => saw === text)).catch(async (error) => {
    assert.deepEqual(await all(pages, seen), pages.map(() => text));
    throw error;
  });

// At first a new tab reads a stream of its own.
const isShared = (callout) => until("there is one stream", async () => (await callout.streams()) === 1);

const all = (pages, ask) => Promise.all(pages.map(ask));

// The tab that leads and the others.
async function parts(pages) {
  const holders = () => pages.filter((page) => page.streams);
  await until("one reads the stream", () => holders().length === 1);
  const [leader] = holders();
  return [leader, pages.filter((page) => page !== leader)];
}

test("it is small", () => {
  const source = readFileSync(SOURCE, "utf8");
  // Without comments, but with its indentation and blank lines.
  const code = source.replace(/^ *\/\/.*\n/gm, "").replace(/ +\/\/ .*$/gm, "");
  assert.ok(Buffer.byteLength(code) <= SOURCE_BYTES_MAX, `${Buffer.byteLength(code)} bytes`);
});

test("twenty tabs hold one stream, and when its tab closes another takes over", async (test) => {
  const callout = await serve(test);
  const window = await open(test);
  const pages = await Promise.all(Array.from({ length: 20 }, () => subscribe(window, callout)));
  await isLive(...pages);
  await isShared(callout);
  await callout.publish("news", "1");
  await has("1", ...pages);

  const [leader, followers] = await parts(pages);
  await leader.close();
  const closed = performance.now();
  // Some of these come while no tab reads the stream.
  let count = 1;
  while (performance.now() - closed < 500) await callout.publish("news", String((count += 1)));
  await isLive(...followers);
  assert.ok(performance.now() - closed < TAKEOVER_MILLIS);
  await has(Array.from({ length: count }, (_, at) => at + 1).join(), ...followers);
  await isShared(callout);
});

test("a tab that freezes closes its stream, and catches up when it resumes", async (test) => {
  const callout = await serve(test);
  const window = await open(test);
  const pages = [await subscribe(window, callout), await subscribe(window, callout)];
  await isLive(...pages);
  const [leader, followers] = await parts(pages);
  const devtools = await window.context.newCDPSession(leader);
  const freeze = (state) => devtools.send("Page.setWebLifecycleState", { state });
  await freeze("frozen");
  const frozen = performance.now();
  await callout.publish("news", "1");
  await has("1", ...followers);
  assert.ok(performance.now() - frozen < TAKEOVER_MILLIS);
  await freeze("active");
  await has("1", leader);
  await callout.publish("news", "2");
  await has("1,2", ...pages);
  await isShared(callout);
});

test("tabs open, close and freeze while events flow, and none misses or doubles one", async (test) => {
  const callout = await serve(test);
  const window = await open(test);
  let count = 0;
  let flows = true;
  const flow = (async () => {
    while (flows) await callout.publish("news", String((count += 1)));
  })();
  const more = async () => {
    const enough = count + 50;
    await until("events flowed", () => count > enough);
  };
  const pages = [];
  for (let tab = 0; tab < 6; tab += 1) pages.push(await subscribe(window, callout));
  for (let round = 0; round < 4; round += 1) {
    await pages.shift().close();
    await more();
    pages.push(await subscribe(window, callout));
  }
  const devtools = await window.context.newCDPSession(pages[0]);
  for (const state of ["frozen", "active", "frozen", "active"]) {
    await devtools.send("Page.setWebLifecycleState", { state });
    await more();
  }
  flows = false;
  await flow;
  const numbers = (page) => page.evaluate(() => seen.map(Number));
  for (const page of pages) {
    await until("it has the last", async () => (await numbers(page)).at(-1) === count);
    const saw = await numbers(page);
    assert.deepEqual(saw, Array.from(saw, (_, at) => saw[0] + at));
  }
  await isShared(callout);
});

test("a tab that hangs loses the lead", async (test) => {
  const callout = await serve(test);
  const window = await open(test);
  const pages = [await subscribe(window, callout), await subscribe(window, callout)];
  await isLive(...pages);
  const [leader, followers] = await parts(pages);
  // Its only thread is busy, so it neither reads nor answers.
  const hung = leader.evaluate(() => {
    const until = Date.now() + 5_000;
    while (Date.now() < until);
  });
  const began = performance.now();
  await until("the other leads", async () => (await callout.streams()) === 2);
  assert.ok(performance.now() - began < TAKEOVER_MILLIS + 500);
  await callout.publish("news", "1");
  await has("1", ...followers);
  await hung;
  await callout.publish("news", "2");
  await has("1,2", ...pages);
  await until("the tab that lost the lead closes its stream", async () => (await callout.streams()) === 1);
});

test("a new tab receives what a new stream begins with", async (test) => {
  const callout = await serve(test);
  const window = await open(test);
  const send = (message) => callout.post("/sse/message", { user: "ann", message });
  for (const message of ["a", "b", "c"]) await send(message);
  const wanted = { url: "/sse?user=ann", resume: false };
  const first = await subscribe(window, callout, wanted);
  const names = (page) => page.evaluate(() => seen.map((text) => text.split(" ")[0].replace(/.*"message":"(.).*/, "$1")).join());
  await until("the first has all", async () => /^a,b,c(,presence)+$/.test(await names(first)));
  const second = await subscribe(window, callout, wanted);
  await until("so has the second", async () => /^a,b,c(,presence)+$/.test(await names(second)));
  await isShared(callout);

  // A stream of topics begins with the next event.
  const third = await subscribe(window, callout);
  await isLive(third);
  await callout.publish("news", "1");
  const fourth = await subscribe(window, callout);
  await isLive(fourth);
  await callout.publish("news", "2");
  await has("1,2", third);
  await has("2", fourth);
});

test("a reload goes on from the last id", async (test) => {
  const callout = await serve(test);
  const window = await open(test);
  const [one, two] = [await subscribe(window, callout), await subscribe(window, callout)];
  await isLive(one, two);
  await callout.publish("news", "1");
  await has("1", one, two);
  for (const page of [one, two]) {
    await page.goto("about:blank");
    await callout.publish("news", "2");
    await page.goto(blank(callout));
    await page.evaluate(connect, { topics: ["news"] });
    await until("it has what it missed", async () => /^2(,2)*$/.test(await seen(page)));
  }
});

test("back and forward: a page in the cache has no stream, and goes on", async (test) => {
  const callout = await serve(test);
  const window = await open(test);
  const page = await subscribe(window, callout);
  await isLive(page);
  await page.evaluate(() => addEventListener("pageshow", (event) => (window.persisted = event.persisted)));
  await page.goto(`${callout.url}/sse.html`);
  await until("the stream is closed", async () => (await callout.streams()) === 0);
  await callout.publish("news", "1");
  await page.goBack({ waitUntil: "commit" });
  await has("1", page);
  assert.equal(await page.evaluate(() => persisted), true);
  await isLive(page);
});

test("a kill and a restart: nothing is missing or doubled", async (test) => {
  const callout = await serve(test);
  const window = await open(test);
  const pages = [await subscribe(window, callout), await subscribe(window, callout), await subscribe(window, callout)];
  await isLive(...pages);
  // From now on they reconnect soon.
  await callout.publish("news", "1", { retry: 100 });
  window.expected = UNREACHABLE;
  for (const next of [2, 4]) {
    await callout.publish("news", String(next));
    await callout.stop("SIGKILL");
    await until("it is noticed", async () => (await all(pages, state)).every((is) => is === "reconnecting"));
    await callout.start();
    await callout.publish("news", String(next + 1), { retry: 100 });
    await has(Array.from({ length: next + 1 }, (_, at) => at + 1).join(), ...pages);
  }
  await isLive(...pages);
  await isShared(callout);
});

test("after a drain the page waits as long as the server asked for", async (test) => {
  const callout = await serve(test);
  const window = await open(test);
  const page = await subscribe(window, callout);
  await isLive(page);
  window.expected = UNREACHABLE;
  const left = performance.now();
  await callout.stop("SIGTERM");
  await until("it is noticed", () => page.evaluate(() => states.includes("reconnecting")));
  await callout.start();
  await isLive(page);
  assert.ok(performance.now() - left > 900, "at once");
  assert.deepEqual(await page.evaluate(() => states), ["live", "reconnecting", "live"]);
});

test("a stream that stalls is noticed", async (test) => {
  const callout = await serve(test, "--heartbeat", "200ms");
  const window = await open(test);
  const page = await subscribe(window, callout);
  await isLive(page);
  await callout.publish("news", "1", { retry: 100 });
  await has("1", page);
  callout.signal("SIGSTOP");
  await until("it is noticed", async () => (await state(page)) === "reconnecting");
  callout.signal("SIGCONT");
  await isLive(page);
  await callout.publish("news", "2");
  await has("1,2", page);
});

test("an error status is reported, and the stream reconnects", async (test) => {
  const callout = await serve(test);
  const window = await open(test);
  window.expected = UNREACHABLE;
  let refusals = 0;
  await window.context.route("**/topics?*", (route) => {
    refusals += 1;
    return refusals > 2 ? route.continue() : route.fulfill({ status: 503, json: { error: "not now" } });
  });
  const page = await subscribe(window, callout);
  await isLive(page);
  assert.deepEqual(await page.evaluate(() => errors), [503, 503]);
});

test("a gap is reported by an event of its own", async (test) => {
  const callout = await serve(test, "--keep-events", "2");
  const window = await open(test);
  const page = await subscribe(window, callout);
  await isLive(page);
  await callout.publish("news", "1");
  await has("1", page);
  await page.goto("about:blank");
  for (const text of ["2", "3", "4", "5"]) await callout.publish("news", text);
  await page.goto(blank(callout));
  await page.evaluate(connect, { topics: ["news"] });
  await until("it sees the gap and what is kept", async () => /^reset \{.*\},4,5$/.test(await seen(page)));
});

test("offline is reported, and online reconnects at once", async (test) => {
  const callout = await serve(test);
  const window = await open(test);
  window.expected = UNREACHABLE;
  const pages = [await subscribe(window, callout), await subscribe(window, callout)];
  await isLive(...pages);
  await window.context.setOffline(true);
  await until("all are offline", async () => (await all(pages, state)).every((is) => is === "offline"));
  await callout.publish("news", "1");
  await window.context.setOffline(false);
  await has("1", ...pages);
  await isLive(...pages);
});

test("an event that is published during a restart arrives once", async (test) => {
  const callout = await serve(test);
  const window = await open(test);
  const page = await subscribe(window, callout);
  await isLive(page);
  await callout.publish("news", "first", { retry: 100 });
  window.expected = UNREACHABLE;
  // The first answer is lost: the event arrived and the page cannot know.
  let lost = 0;
  await window.context.route("**/topics/news?*", async (route) => {
    lost += 1;
    if (lost > 1) return route.continue();
    await route.fetch();
    await callout.stop("SIGKILL");
    await route.abort();
    await callout.start();
  });
  const answer = await page.evaluate(() => stream.publish("news", { text: "hi" }, { event: "note" }));
  assert.equal(answer.duplicate, true);
  await callout.publish("news", "last");
  await has('first,note {"text":"hi"},last', page);
  await assert.rejects(
    page.evaluate(() => stream.publish("news", "x", { id: "not an id" })),
    /an id has 1 to 64 visible ASCII characters/,
  );
});

test("without locks every tab has a stream of its own, and a hidden tab has none", async (test) => {
  const callout = await serve(test);
  const window = await open(test);
  await window.context.addInitScript(() => Object.defineProperty(Navigator.prototype, "locks", { value: undefined }));
  const pages = [await subscribe(window, callout), await subscribe(window, callout)];
  await isLive(...pages);
  assert.equal(await callout.streams(), 2);
  await callout.publish("news", "1");
  await has("1", ...pages);
  await setVisible(pages[0], false);
  await until("the hidden tab closes its stream", async () => (await callout.streams()) === 1);
  await callout.publish("news", "2");
  await setVisible(pages[0], true);
  await has("1,2", ...pages);
});

test("hidden tabs close their streams until four are left, unless a stream is for the background", async (test) => {
  const callout = await serve(test);
  const window = await open(test);
  const pages = [];
  for (const topic of ["1", "2", "3", "4"]) {
    const page = await subscribe(window, callout, { topics: [topic, "all"], background: topic === "1" });
    await isLive(page);
    await setVisible(page, false);
    pages.push(page);
  }
  assert.equal(await callout.streams(), 4, "four are not too many");
  for (const topic of ["5", "6", "7"]) {
    const page = await subscribe(window, callout, { topics: [topic, "all"] });
    await isLive(page);
    await until("four are left", async () => (await callout.streams()) === 4);
    pages.push(page);
  }
  // The three that are hidden and may close have closed.
  await callout.publish("all", "1");
  await has("1", pages[0], ...pages.slice(4));
  assert.deepEqual(await all(pages.slice(1, 4), seen), ["", "", ""]);
  // With four visible tabs and one for the background there are too many, and none that may close.
  await setVisible(pages[1], true);
  await has("1", pages[1]);
  assert.equal(await callout.streams(), 5);
  await setVisible(pages[1], false);
  await until("four are left", async () => (await callout.streams()) === 4);
});

test("a page of an allowed site can import it, and a page of another cannot", async (test) => {
  const site = createServer((_, response) => response.setHeader("content-type", "text/html").end("<title>site</title>"));
  await new Promise((done) => site.listen(0, "127.0.0.1", done));
  atEnd(test, () => site.close());
  const origin = `http://127.0.0.1:${site.address().port}`;
  const callout = await serve(test, "--cors", origin.replace("127.0.0.1", "localhost"));
  const window = await open(test);
  const page = await window.tab(origin.replace("127.0.0.1", "localhost"));
  const published = page.evaluate(async (url) => {
    const { connect } = await import(`${url}/callout.js`);
    const stream = connect({ topics: ["news"] });
    const arrived = new Promise((done) => stream.on("message", (event) => done(event.data)));
    await new Promise((done) => stream.on("state", () => stream.state === "live" && done()));
    await stream.publish("news", "from elsewhere");
    return arrived;
  }, callout.url);
  assert.equal(await published, "from elsewhere");
  window.expected = /CORS policy|ERR_FAILED/;
  const stranger = await window.tab(origin);
  await assert.rejects(stranger.evaluate((url) => import(`${url}/callout.js`), callout.url));
});

test("the README's example does what it says", async (test) => {
  const [, html] = /```html\n([^]*?)```/.exec(README);
  const [, script] = /```js\n(import [^]*?)```/.exec(README);
  const callout = await serve(test);
  const window = await open(test);
  await window.context.route("**/example", (route) => route.fulfill({ contentType: "text/html", body: html }));
  await window.context.route("**/news.js", (route) => route.fulfill({ contentType: "text/javascript", body: script }));
  await window.context.route("**/favicon.ico", (route) => route.fulfill({ status: 204 }));
  const page = await window.tab(`${callout.url}/example`);
  await until("it is live", async () => (await page.textContent("#state")) === "live");
  await page.click("#hello");
  await callout.publish("weather", "rain");
  await until("both are shown", async () => /hello from a page/.test(await page.textContent("#list")) && /rain/.test(await page.textContent("#list")));
});

// Proxies in front of callout. As `deploy/` has them, everything works; in their plainest configuration streams do, and
// what is refused is refused with the line that helps. The table in docs/running.md says what came out.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { request } from "node:http";
import * as node from "node:test";
import { createGunzip } from "node:zlib";
import { atEnd, serve, until } from "../browser/support.mjs";
import { pretend } from "../clients/support.mjs";
import { NAMES, isThere, plainest, recommended, shipped } from "./proxies.mjs";

const TOPIC = "rooms/42";
const URL_TOPIC = "https://example.com/books/7";

// Where callout is behind the proxies of `deploy/`: the host, and the path in front of its own.
const PLACES = [
  { host: "push.example.org", path: "" },
  { host: "www.example.org", path: "/push" },
];

const HOSTS = PLACES.flatMap(({ host }) => ["--host", host]);

// The page of this origin may read and publish, the other may not.
const LISTED = "https://app.example.org";
const STRANGER = "https://stranger.example";

// The address that a client comes from.
const CLIENT = "127.0.0.2";

// What asks for a stream says that it does.
const STREAM = { accept: "text/event-stream" };

// Silence ends a stream after two seconds in the proxies, and these follow every 0.3 s.
const HEARTBEATS = 10;
const OFTEN = ["--heartbeat", "300ms"];

// In this time somebody who left has been noticed, or is only when heartbeats do not get through.
const SOON_MILLIS = 3_000;
const SELDOM = ["--heartbeat", "6s"];

// Declares a test for each proxy, with and without compression. They run at the same time.
function testEach(promise, body) {
  node.describe(promise, { concurrency: 4 }, () => {
    for (const name of NAMES) {
      for (const isCompressed of [false, true]) {
        const skip = !isThere(name) && !process.env.CI && `not installed: ${name}`;
        node.test(isCompressed ? `${name}, compressing` : name, { skip }, (test) => {
          assert.ok(isThere(name), "not installed");
          return body(test, name, isCompressed);
        });
      }
    }
  });
}

testEach("streams come at once, are kept by heartbeats, and go on from the last id", async (test, name, isCompressed) => {
  const callout = await serve(test, ...HOSTS, ...OFTEN);
  const port = await recommended(test, name, callout, { isCompressed, isImpatient: true });
  for (const place of PLACES) {
    const site = new Site(port, place);
    const stream = await site.follow(test, `/topics/${TOPIC}`);
    assert.match(stream.headers["content-type"], /^text\/event-stream/);
    const ids = [];
    for (const data of ["one", "two", "three"]) {
      ids.push((await callout.publish(TOPIC, data, { event: "changed" })).id);
      await stream.has(`id: ${ids.at(-1)}\nevent: changed\ndata: ${data}\n\n`);
    }
    await until("heartbeats", () => stream.text.match(/^:$/gm)?.length > HEARTBEATS);
    assert.ok(!stream.hasEnded);
    // A large frame too, of which a proxy may hold back the end.
    const large = "x".repeat(60_000);
    await callout.publish(TOPIC, large);
    await stream.has(`data: ${large}\n\n`);
    stream.leave();
    await until("it has left", async () => (await callout.streams()) === 0);
    const byHeader = await site.follow(test, `/topics/${TOPIC}`, { "last-event-id": ids[0] });
    const byQuery = await site.follow(test, `/topics/${TOPIC}?last_event_id=${ids[0]}`);
    for (const stream of [byHeader, byQuery]) {
      await stream.has("data: two\n\n");
      await stream.has("data: three\n\n");
      assert.doesNotMatch(stream.text, /data: one|event: reset/);
      stream.leave();
    }
    await until("they have left", async () => (await callout.streams()) === 0);
  }
});

testEach("who leaves is noticed", async (test, name, isCompressed) => {
  const callout = await serve(test, ...HOSTS, ...SELDOM);
  const port = await recommended(test, name, callout, { isCompressed });
  const stream = await new Site(port, PLACES[0]).follow(test, `/topics/${TOPIC}`);
  await until("it follows", async () => (await callout.streams()) === 1);
  stream.leave();
  const left = async () => (await callout.streams()) === 0;
  const soon = await until("it is noticed", left, SOON_MILLIS).then(() => true, () => false);
  if (!soon) await until("heartbeats do not get through", left);
  noted(name, "leaving", soon ? "at once" : "after one heartbeat or two");
});

testEach("the server's end is passed on, and streams go on after it", async (test, name, isCompressed) => {
  const callout = await serve(test, ...HOSTS, ...OFTEN);
  const port = await recommended(test, name, callout, { isCompressed });
  const site = new Site(port, PLACES[0]);
  for (const signal of ["SIGKILL", "SIGTERM"]) {
    const stream = await site.follow(test, `/topics/${TOPIC}`);
    const { id } = await callout.publish(TOPIC, `before ${signal}`);
    await stream.has(`data: before ${signal}\n\n`);
    await callout.stop(signal);
    await until("the end is passed on", () => stream.hasEnded);
    // Also what names a stream's type as one that it takes, and is none.
    const published = await site.ask(`/topics/${TOPIC}`, { method: "POST", headers: STREAM, body: "lost" });
    assert.ok([502, 503].includes(published.status), `${published.status}`);
    const away = await site.ask(`/topics/${TOPIC}`, { headers: STREAM });
    const isTold = away.status === 200;
    if (isTold) {
      assert.equal(away.headers["content-type"], "text/event-stream");
      // Pages of other sites come back too.
      assert.equal(away.headers["access-control-allow-origin"], "*");
      assert.equal(away.text, "retry: 1000\n\n");
    } else {
      assert.ok([502, 503].includes(away.status), `${away.status}`);
    }
    noted(name, "away", isTold ? "comes back" : "gives up");
    await callout.start();
    await callout.publish(TOPIC, `after ${signal}`);
    await until("it is asked again", async () => (await site.ask("/healthz")).status === 200);
    const back = await site.follow(test, `/topics/${TOPIC}`, { "last-event-id": id });
    await back.has(`data: after ${signal}\n\n`);
    back.leave();
  }
});

testEach("publishing, pages and other sites' rights", async (test, name, isCompressed) => {
  const callout = await serve(test, ...HOSTS, "--cors", LISTED);
  const port = await recommended(test, name, callout, { isCompressed });
  for (const place of PLACES) {
    const site = new Site(port, place);
    const publish = (headers, path = `/topics/${TOPIC}`) => site.ask(path, { method: "POST", headers, body: place.host });
    // The page's own origin; callout.js encodes the topic as one part of the path. A topic may be a URL.
    for (const topic of [TOPIC, encodeURIComponent(TOPIC), encodeURIComponent(URL_TOPIC)]) {
      const own = await publish({ origin: site.origin }, `/topics/${topic}`);
      assert.equal(own.status, 200, own.text);
    }
    for (const topic of [TOPIC, URL_TOPIC]) await isKept(callout, topic, place.host);
    assert.equal((await site.ask("/topics/large", { method: "POST", body: "x".repeat(65_536) })).status, 200);
    const listed = await publish({ origin: LISTED, "sec-fetch-site": "cross-site" });
    assert.equal(listed.status, 200, listed.text);
    assert.equal(listed.headers["access-control-allow-origin"], LISTED);
    const preflight = { origin: LISTED, "access-control-request-method": "POST", "access-control-request-headers": "authorization" };
    const allowed = await site.ask(`/topics/${TOPIC}`, { method: "OPTIONS", headers: preflight });
    assert.equal(allowed.headers["access-control-allow-headers"], "authorization");
    for (const site of ["cross-site", undefined]) {
      const stranger = await publish({ origin: STRANGER, ...(site && { "sec-fetch-site": site }) });
      assert.equal(stranger.status, 403, stranger.text);
    }
    const page = await site.ask("/");
    assert.match(page.headers["content-type"], /^text\/html/);
    assert.equal(page.headers["content-encoding"], isCompressed || name === "Caddy" ? "gzip" : undefined);
    assert.equal((await site.ask("/callout.js")).status, 200);
  }
});

testEach("callout is told the host that was asked for, and by whom", async (test, name, isCompressed) => {
  let seen;
  const url = await pretend(test, ({ url, headers }, response) => response.end((seen = { url, headers }) && "hello"));
  const port = await recommended(test, name, { url }, { isCompressed });
  for (const place of PLACES) {
    // What the client itself says of others stands before what the proxy says of the client.
    const headers = { "x-forwarded-for": "192.0.2.1" };
    await new Site(port, place).ask("/topics/t?last=1", { headers, localAddress: CLIENT });
    assert.equal(seen.url, "/topics/t?last=1");
    assert.equal(seen.headers.host, `${place.host}:${port}`);
    assert.equal(seen.headers["x-forwarded-for"].split(/, */).at(-1), CLIENT);
  }
});

testEach("in the plainest configuration streams come at once, and what is refused says what to add", async (test, name, isCompressed) => {
  const page = { host: PLACES[0].host, path: "" };
  const callout = await serve(test);
  const port = await plainest(test, name, callout, { isCompressed });
  for (const { path } of PLACES) {
    const stream = await new Site(port, { host: "127.0.0.1", path }).follow(test, `/topics/${TOPIC}`);
    await callout.publish(TOPIC, "hello");
    await stream.has("data: hello\n\n");
  }
  const named = new Site(port, page);
  const refused = await named.ask(`/topics/${TOPIC}`, { method: "POST", headers: { origin: named.origin }, body: "x" });
  if (refused.status === 421) {
    // The host came through, and callout does not know it.
    assert.match(refused.text, /`--host push\.example\.org`/);
    noted(name, "plainest", "refuses all: `--host`");
    const told = await serve(test, "--host", page.host);
    const site = new Site(await plainest(test, name, told, { isCompressed }), page);
    const own = await site.ask(`/topics/${TOPIC}`, { method: "POST", headers: { origin: site.origin }, body: "x" });
    assert.equal(own.status, 200, own.text);
  } else {
    // The proxy put another host in its place.
    assert.equal(refused.status, 403, refused.text);
    assert.match(refused.text, /has to pass the header `Host` on/);
    noted(name, "plainest", "pages cannot publish: `Host`");
  }
});

// What came out, for the table: of each proxy, under a name, always the same.
const notes = {};

function noted(name, what, value) {
  notes[name] ??= {};
  notes[name][what] ??= value;
  assert.equal(value, notes[name][what]);
}

node.test("docs/running.md shows what came out", () => {
  const rows = Object.entries(notes).map(([name, { plainest, leaving, away }]) => ({ name, shown: `| ${plainest} | ${leaving} | ${away} |` }));
  console.log(rows.map(({ name, shown }) => `| ${name} ${shown}`).join("\n"));
  const running = readFileSync(new URL("../../docs/running.md", import.meta.url), "utf8");
  const [, snippet] = /```nginx\n(.*?)\}\n```/s.exec(running);
  assert.ok(shipped("nginx").includes(snippet), "nginx's lines are those of `deploy/`");
  for (const { name, shown } of rows) {
    const row = running.split("\n").find((line) => line.startsWith(`| ${name} `));
    assert.ok(row?.includes(shown), `${name} ${shown}`);
  }
});

// Waits until callout itself has this event, under the very topic.
async function isKept(callout, topic, data) {
  await until(`it is kept: ${topic}`, async () => {
    const history = await fetch(`${callout.url}/history/${encodeURIComponent(topic)}`);
    return history.ok && (await history.json()).events.some((event) => event.data === data);
  });
}

// callout as a browser sees it through a proxy.
class Site {
  #port;
  #place;

  constructor(port, place) {
    this.#port = port;
    this.#place = place;
  }

  get #host() {
    return `${this.#place.host}:${this.#port}`;
  }

  get origin() {
    return `http://${this.#host}`;
  }

  #open(path, { method = "GET", headers = {}, body, localAddress } = {}) {
    const sent = request({
      host: "127.0.0.1",
      port: this.#port,
      path: this.#place.path + path,
      method,
      localAddress,
      agent: false,
      headers: { host: this.#host, "accept-encoding": "gzip", ...headers },
    });
    return sent.end(body);
  }

  async ask(path, options) {
    const [response] = await once(this.#open(path, options), "response");
    let text = "";
    for await (const chunk of plain(response).setEncoding("utf8")) text += chunk;
    return { status: response.statusCode, headers: response.headers, text };
  }

  // A stream; it ends with the test.
  async follow(test, path, headers = {}) {
    const sent = this.#open(path, { headers: { ...STREAM, ...headers } });
    const [response] = await once(sent, "response");
    assert.equal(response.statusCode, 200);
    const stream = new Stream(sent, response);
    atEnd(test, () => stream.leave());
    return stream;
  }
}

class Stream {
  text = "";
  hasEnded = false;
  #sent;

  constructor(sent, response) {
    this.#sent = sent;
    this.headers = response.headers;
    const ended = () => (this.hasEnded = true);
    response.on("close", ended);
    // A killed server's stream ends in the middle.
    sent.on("error", ended);
    response.on("error", ended);
    plain(response).on("error", ended).setEncoding("utf8").on("data", (text) => (this.text += text));
  }

  async has(wanted) {
    await until(`the stream has ${wanted.slice(0, 80)}`, () => this.text.includes(wanted)).catch((error) => {
      throw new Error(`${error.message}; it has ${this.text.slice(-500)}`);
    });
  }

  leave() {
    this.#sent.destroy();
  }
}

// A body without its compression.
function plain(response) {
  return response.headers["content-encoding"] === "gzip" ? response.pipe(createGunzip()) : response;
}

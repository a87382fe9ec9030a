// callout.js: one stream for all tabs of an origin, and no event missing or doubled, whatever happens.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import * as node from "node:test";
import { proxied, say } from "./proxy.mjs";
import { UNREACHABLE, atEnd, can, open, serve, setVisible, test, until } from "./support.mjs";

// From the end of one leader to the stream of the next, and as much again for a machine that is busy.
const TAKEOVER_MILLIS = 4_000;

const SOURCE = new URL("../../www/callout.js", import.meta.url);
const SOURCE_BYTES_MAX = 11 * 1024;

// A page that opens no stream by itself.
const blank = (callout) => `${callout.url}/notifications.html`;

// A tab that subscribes and notes what it receives. `prepare` runs in the page before.
async function subscribe(window, callout, wanted = { topics: ["news"] }, prepare = () => {}) {
  const page = await window.tab(blank(callout));
  await page.evaluate(prepare);
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
  stream.on("error", (event) => errors.push([event.status, event.data, event.hint ?? ""]));
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

// Whether this tab holds the lock of a stream. A lock of its own tells which of those that are held are its own.
async function leads() {
  const mine = `mine ${Math.random()}`;
  return navigator.locks.request(mine, async () => {
    const { held } = await navigator.locks.query();
    const { clientId } = held.find(({ name }) => name === mine);
    return held.some((lock) => lock.name.startsWith("callout:") && lock.clientId === clientId);
  });
}

// The tab that leads and the others.
async function parts(pages) {
  const isLeader = await until("one leads", async () => {
    const lead = await all(pages, (page) => page.evaluate(leads));
    return lead.filter(Boolean).length === 1 && lead;
  });
  return [pages.find((_, at) => isLeader[at]), pages.filter((_, at) => !isLeader[at])];
}

node.test("it is small", () => {
  const source = readFileSync(SOURCE, "utf8");
  // Without comments, but with its indentation and blank lines.
  const code = source.replace(/^ *\/\/.*\n/gm, "").replace(/ +\/\/ .*$/gm, "");
  assert.ok(Buffer.byteLength(code) <= SOURCE_BYTES_MAX, `${Buffer.byteLength(code)} bytes`);
});

test("ten tabs hold one stream, and when its tab closes another takes over", async (test) => {
  const callout = await serve(test);
  const window = await open(test);
  const pages = await Promise.all(Array.from({ length: 10 }, () => subscribe(window, callout)));
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

test("an event says its topic, of one topic and of several, live and in a replay", async (test) => {
  const callout = await serve(test);
  const window = await open(test);
  const tab = async (wanted) => {
    const page = await window.tab(blank(callout));
    await page.evaluate(async (wanted) => {
      const { connect } = await import("/callout.js");
      window.seen = [];
      window.stream = connect(wanted);
      stream.on("*", ({ topic, data }) => seen.push(`${topic}: ${data}`));
    }, wanted);
    await isLive(page);
    return page;
  };
  const several = await tab({ topics: ["news", "rooms/ü 1"] });
  const one = await tab({ topics: ["news"] });
  await callout.publish("rooms/ü 1", "hello");
  await callout.publish("news", "rain");
  await has("rooms/ü 1: hello,news: rain", several);
  await has("news: rain", one);
  await has("rooms/ü 1: hello,news: rain", await tab("topics?topic=news&topic=rooms/%C3%BC%201&with=topic&last=2"));
});

test("tabs share the stream of a prefix, and each event says its topic, live, in a replay and after the leader", async (test) => {
  const callout = await serve(test);
  const window = await open(test);
  const tab = async (wanted) => {
    const page = await subscribe(window, callout, wanted);
    await page.evaluate(() => {
      window.told = [];
      stream.on("*", ({ name, topic, data }) => told.push(`${topic}: ${name === "message" ? data : name}`));
    });
    await isLive(page);
    return page;
  };
  const says = (page) => page.evaluate(() => told.join());
  const tell = (text, ...pages) =>
    until(`all are told ${text}`, async () => (await all(pages, says)).every((said) => said === text));
  const wanted = { topics: ["rooms/*"] };
  const pages = [await tab(wanted), await tab(wanted), await tab(wanted)];
  await isShared(callout);
  await callout.publish("rooms/1", "one");
  await callout.publish("lobby", "no");
  await callout.publish("rooms/ü 2", "two");
  await tell("rooms/1: one,rooms/ü 2: two", ...pages);

  const [leader, followers] = await parts(pages);
  await leader.close();
  await callout.publish("rooms/3", "three");
  await isLive(...followers);
  await tell("rooms/1: one,rooms/ü 2: two,rooms/3: three", ...followers);
  const both = await tab({ topics: ["lobby", "rooms/3*"] });
  await callout.publish("lobby", "four");
  await tell("lobby: four", both);
  await tell("rooms/1: one,rooms/ü 2: two,rooms/3: three", ...followers);
});

test("a tab that freezes closes its stream, and catches up when it resumes", async (test) => {
  const callout = await serve(test);
  const window = await open(test);
  const pages = [await subscribe(window, callout), await subscribe(window, callout)];
  await isLive(...pages);
  const [leader, followers] = await parts(pages);
  await window.browser.setFrozen(leader, true);
  const frozen = performance.now();
  await callout.publish("news", "1");
  await has("1", ...followers);
  assert.ok(performance.now() - frozen < TAKEOVER_MILLIS);
  await window.browser.setFrozen(leader, false);
  await has("1", leader);
  await callout.publish("news", "2");
  await has("1,2", ...pages);
  await isShared(callout);
}, { needs: ["freeze"] });

test("tabs open, close and freeze while events flow, and none misses or doubles one", async (test) => {
  const callout = await serve(test);
  const window = await open(test);
  let count = 0;
  let flows = true;
  const flow = (async () => {
    while (flows) {
      await callout.publish("news", String((count += 1)));
      // No faster than six tabs of a browser on a busy machine can show it.
      await new Promise((done) => setTimeout(done, 5));
    }
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
  for (const isFrozen of can(test, "freeze") ? [true, false, true, false] : []) {
    await window.browser.setFrozen(pages[0], isFrozen);
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
}, { needs: ["churn"] });

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
}, { needs: ["hang"] });

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
}, { needs: ["cache"] });

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

test("what is no stream is reported, and the stream reconnects", async (test) => {
  const callout = await serve(test);
  const answers = [
    (answer) => say(answer, 503, JSON.stringify({ error: "full", reason: "not now", hint: "come back later" }), { "content-type": "application/json" }),
    (answer) => say(answer, 502, "<h1>Bad gateway</h1>"),
    // A login page, which never ends.
    (answer) => answer.writeHead(200, { "content-type": "text/html" }).write("<form>Log in"),
  ];
  const url = await proxied(test, callout, (asked, answer, pass) => {
    if (asked.url.startsWith("/topics?") && answers.length) answers.shift()(answer);
    else pass();
  });
  const window = await open(test);
  window.expected = UNREACHABLE;
  const page = await subscribe(window, { url });
  await isLive(page);
  const [busy, away, login] = await page.evaluate(() => errors);
  assert.deepEqual([busy, away], [[503, "not now", "come back later"], [502, "status 502", ""]]);
  assert.equal(login[0], 200);
  assert.match(login[1], /text\/html/);
  await callout.publish("news", "1");
  await has("1", page);
});

test("two streams on the same topics in one tab, and a second tab, are live at once", async (test) => {
  const callout = await serve(test);
  const window = await open(test);
  const began = performance.now();
  const pages = [await subscribe(window, callout), await subscribe(window, callout)];
  await pages[0].evaluate(async () => {
    const { connect } = await import("/callout.js");
    window.other = connect({ topics: ["news"] });
  });
  await isLive(...pages);
  await until("so is the second stream", () => pages[0].evaluate(() => other.state === "live"));
  // Firefox would let the second wait for some 20 seconds.
  assert.ok(performance.now() - began < 15_000);
  await callout.publish("news", "1");
  await has("1", ...pages);
});

test("a server that can be reached is reached, though the browser says that it is offline", async (test) => {
  const callout = await serve(test);
  const window = await open(test);
  window.expected = UNREACHABLE;
  const isOffline = () => {
    Object.defineProperty(Navigator.prototype, "onLine", { get: () => false, configurable: true });
  };
  const page = await subscribe(window, callout, { topics: ["news"] }, isOffline);
  await isLive(page);
  await page.evaluate(() => dispatchEvent(new Event("offline")));
  await callout.publish("news", "1");
  await has("1", page);
  await isLive(page);
  await callout.stop();
  await until("it says offline", async () => (await state(page)) === "offline");
  await callout.start();
  await callout.publish("news", "2");
  await has("1,2", page);
});

test("a worker subscribes and publishes, and shares the stream", async (test) => {
  const callout = await serve(test);
  // The policy lets a page load workers from its own server only.
  const script = `
    import { connect } from "/callout.js";
    const stream = connect({ topics: ["news"] });
    const seen = [];
    stream.on("message", (event) => seen.push(event.data));
    addEventListener("error", (event) => seen.push(event.message));
    onmessage = ({ data }) => (data ? stream.publish("news", data) : postMessage([stream.state, ...seen]));`;
  const url = await proxied(test, callout, (asked, answer, pass) => {
    if (asked.url === "/worker.js") say(answer, 200, script, { "content-type": "text/javascript" });
    else pass();
  });
  const window = await open(test);
  const page = await window.tab(`${url}/notifications.html`);
  await page.evaluate(() => {
    window.workers = [1, 2].map(() => new Worker("/worker.js", { type: "module" }));
    window.report = () =>
      Promise.all(
        workers.map(
          (worker) =>
            new Promise((done) => {
              worker.onmessage = ({ data }) => done(data.join());
              worker.onerror = ({ message }) => done(message);
              worker.postMessage("");
            }),
        ),
      );
  });
  const become = (text) =>
    until(text, async () => (await page.evaluate(() => report())).every((said) => said === text)).catch(async (error) => {
      assert.deepEqual(await page.evaluate(() => report()), [text, text]);
      throw error;
    });
  await become("live");
  await isShared(callout);
  await page.evaluate(() => workers[0].postMessage("hello"));
  await become("live,hello");
});

test("no published event is taken for one of the library's own", async (test) => {
  const callout = await serve(test);
  const window = await open(test);
  const page = await subscribe(window, callout);
  await page.evaluate(() => {
    window.own = [];
    for (const name of ["state", "error"]) stream.on(name, (event) => own.push(event.data));
  });
  await isLive(page);
  const before = await page.evaluate(() => own.join());
  for (const event of ["state", "*", "message", "close", "constructor", "__proto__"]) await callout.publish("news", "closed", { event });
  await has("state closed,* closed,closed,close closed,constructor closed,__proto__ closed", page);
  assert.equal(await page.evaluate(() => own.join()), before);
  assert.deepEqual(await page.evaluate(() => states), ["live"]);
  for (const event of ["error", "open", "reset", "drain"]) {
    const answer = await fetch(`${callout.url}/topics/news?event=${event}`, { method: "POST", body: "closed" });
    assert.equal(answer.status, 400, event);
  }
});

test("close says goodbye, unless another tab goes on", async (test) => {
  const callout = await serve(test);
  const wanted = (user) => ({ url: `/sse?user=${user}`, resume: false });
  const witness = await subscribe(await open(test), callout, wanted("bob"));
  const window = await open(test);
  const pages = [await subscribe(window, callout, wanted("ann")), await subscribe(window, callout, wanted("ann"))];
  await isLive(...pages);
  const told = () => witness.evaluate(() => seen.filter((text) => text.startsWith("presence")).map((text) => text.slice(9)));
  await until("ann has come", async () => (await told()).at(-1) === '{"users":["ann","bob"]}');
  await until("they share one stream", async () => (await callout.streams()) === 2);
  const [leader, [follower]] = await parts(pages);
  const openings = () => follower.evaluate(() => seen.filter((text) => text.startsWith("presence")).length);
  const before = await openings();
  await leader.evaluate(() => stream.close());
  // Each stream begins with who is here.
  await until("the other reads the stream", async () => (await openings()) > before);
  await follower.evaluate(() => stream.close());
  const began = performance.now();
  await until("ann has left", async () => (await told()).at(-1) === '{"users":["bob"]}');
  assert.ok(performance.now() - began < 2_500, "at once");
  assert.deepEqual((await told()).slice(-2), ['{"users":["ann","bob"]}', '{"users":["bob"]}']);
});

test("a page that is reloaded was never away", async (test) => {
  const callout = await serve(test);
  const wanted = (user) => ({ url: `/sse?user=${user}`, resume: false });
  const witness = await subscribe(await open(test), callout, wanted("bob"));
  const page = await subscribe(await open(test), callout, wanted("ann"));
  await isLive(page);
  await page.reload();
  await page.evaluate(connect, wanted("ann"));
  await isLive(page);
  await subscribe(await open(test), callout, wanted("carl"));
  const told = () => witness.evaluate(() => seen.filter((text) => text.startsWith("presence")));
  await until("carl has come", async () => (await told()).at(-1).includes("carl"));
  assert.equal((await told()).filter((text) => text.includes('["bob"]')).length <= 2, true, (await told()).join());
  assert.ok((await told()).join().endsWith('presence {"users":["ann","bob"]},presence {"users":["ann","bob","carl"]}'), (await told()).join());
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
  await window.browser.setOffline(true);
  await until("all are offline", async () => (await all(pages, state)).every((is) => is === "offline"));
  await callout.publish("news", "1");
  await window.browser.setOffline(false);
  await has("1", ...pages);
  await isLive(...pages);
}, { needs: ["offline"] });

test("an event that is published during a restart arrives once", async (test) => {
  const callout = await serve(test);
  // The first answer is lost: the event arrived and the page cannot know.
  let lost = 0;
  const url = await proxied(test, callout, (asked, answer, pass) => {
    if (asked.method === "POST") lost += 1;
    if (asked.method !== "POST" || lost > 1) return pass();
    pass(async () => {
      await callout.stop("SIGKILL");
      answer.destroy();
      await callout.start();
    });
  });
  const window = await open(test);
  const page = await subscribe(window, { url });
  await isLive(page);
  await callout.publish("news", "first", { retry: 100 });
  await has("first", page);
  window.expected = UNREACHABLE;
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
  const hasNone = () => {
    Object.defineProperty(Navigator.prototype, "locks", { value: undefined });
  };
  const pages = [];
  for (const wanted of [{ topics: ["news"] }, { topics: ["news"] }]) pages.push(await subscribe(window, callout, wanted, hasNone));
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
  let script = "";
  const site = createServer((_, response) => response.setHeader("content-type", "text/html").end(script));
  await new Promise((done) => site.listen(0, "127.0.0.1", done));
  atEnd(test, () => site.close());
  const origin = `http://127.0.0.1:${site.address().port}`;
  const callout = await serve(test, "--cors", origin.replace("127.0.0.1", "localhost"));
  const window = await open(test);
  script = `<link rel="icon" href="data:,"><output>waiting</output><script type="module">
    const say = (text) => (document.querySelector("output").textContent = text);
    import("${callout.url}/callout.js").then(async ({ connect }) => {
      const stream = connect({ topics: ["news"] });
      stream.on("message", (event) => say(event.data));
      await new Promise((done) => stream.on("state", () => stream.state === "live" && done()));
      await stream.publish("news", "from elsewhere");
    }).catch(() => say("refused"));
  </script>`;
  const page = await window.tab(origin.replace("127.0.0.1", "localhost"));
  const says = (page) => until("it is done", async () => (await page.textContent("output")).replace("waiting", ""));
  assert.equal(await says(page), "from elsewhere");
  window.expected = /CORS|Cross-Origin|ERR_FAILED/;
  assert.equal(await says(await window.tab(origin)), "refused");
});

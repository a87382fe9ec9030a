// callout.js publishes: whatever lies between it and callout, an event arrives once or the page is told why not.

import assert from "node:assert/strict";
import { proxied, say } from "./proxy.mjs";
import { UNREACHABLE, open, serve, test } from "./support.mjs";

// A page of callout behind a proxy that treats publications its own way, and what was published.
async function behind(test, treat) {
  const callout = await serve(test);
  const url = await proxied(test, callout, (asked, answer, pass) => {
    if (asked.method === "POST" || asked.method === "HEAD") treat(asked, answer, pass);
    else pass();
  });
  const window = await open(test);
  window.expected = UNREACHABLE;
  const page = await window.tab(`${url}/notifications.html`);
  await page.evaluate(async () => {
    const { connect } = await import("/callout.js");
    window.stream = connect({ topics: ["a", "https://example.com/books/7"] });
    window.publish = (...given) =>
      stream.publish(...given).then(
        (receipt) => ({ receipt }),
        ({ message, status }) => ({ message, status }),
      );
  });
  return { callout, page };
}

const publish = (page, ...given) => page.evaluate((given) => publish(...given), given);

const kept = async (callout, topic) => {
  const answer = await fetch(`${callout.url}/history/${encodeURIComponent(topic)}`);
  return (await answer.json()).events.map(({ data }) => data);
};

test("a topic is named where no proxy rewrites it", async (test) => {
  const asked = [];
  const { callout, page } = await behind(test, (request, answer, pass) => {
    asked.push(request.url);
    // As nginx with a URI in proxy_pass, and Apache: slashes are joined, an encoded one is no path.
    if (/%2f/i.test(request.url.split("?")[0])) return say(answer, 404);
    pass(undefined, request.url.replace(/^[^?]*/, (path) => path.replace(/\/+/g, "/")));
  });
  for (const topic of ["https://example.com/books/7", "rooms/42", "#ä b?&="]) {
    const { receipt } = await publish(page, topic, `to ${topic}`);
    assert.ok(receipt.id, topic);
    assert.deepEqual(await kept(callout, topic), [`to ${topic}`]);
  }
  assert.ok(asked.every((path) => path.startsWith("/topics?")), asked.join());
});

test("an event goes to several topics at once", async (test) => {
  const { callout, page } = await behind(test, (asked, answer, pass) => pass());
  await publish(page, ["one", "two"], "to both");
  for (const topic of ["one", "two"]) assert.deepEqual(await kept(callout, topic), ["to both"]);
});

test("what callout did not answer itself is published again, and arrives once", async (test) => {
  let count = 0;
  const { callout, page } = await behind(test, (asked, answer, pass) => {
    count += 1;
    // Twice a proxy answers that has nothing behind it; then the event arrives, and its answer is lost.
    if (count < 3) return say(answer, [502, 503][count - 1], "<h1>Bad gateway</h1>");
    if (count === 3) return pass((from) => from.resume().on("end", () => say(answer, 504)));
    pass();
  });
  const { receipt } = await publish(page, "a", "once");
  assert.equal(receipt.duplicate, true);
  assert.deepEqual(await kept(callout, "a"), ["once"]);
  assert.equal(count, 4);
});

test("what callout refuses is not published again, and neither is what has no id", async (test) => {
  let count = 0;
  const words = JSON.stringify({ error: "not now", reason: "the disk is full", hint: "make room" });
  const { page } = await behind(test, (asked, answer) => {
    count += 1;
    if (count === 1) return say(answer, 503, words, { "content-type": "application/json" });
    say(answer, 502);
  });
  assert.deepEqual(await publish(page, "a", "x"), { message: "the disk is full", status: 503 });
  assert.deepEqual(await publish(page, "a", "x", { id: null }), { message: "status 502", status: 502 });
  assert.equal(count, 2);
});

test("an answer that does not come in time is asked for again", async (test) => {
  let count = 0;
  const { callout, page } = await behind(test, (asked, answer, pass) => {
    count += 1;
    // The first is never answered, and of the second only the beginning.
    if (count === 1) return;
    if (count > 2) return pass();
    answer.writeHead(200, { "content-type": "application/json" });
    answer.write("{");
  });
  // The page's patience is shortened, not its ways.
  await page.evaluate(() => (AbortSignal.timeout = ((timeout) => () => timeout.call(AbortSignal, 300))(AbortSignal.timeout)));
  const { receipt } = await publish(page, "a", "late");
  assert.ok(receipt.id);
  assert.deepEqual(await kept(callout, "a"), ["late"]);
  assert.equal(count, 3);
});

test("a publication that is redirected is refused at once, and never turned into a GET", async (test) => {
  for (const status of [301, 302, 303, 307, 308]) {
    const asked = [];
    const { callout, page } = await behind(test, (request, answer) => {
      asked.push(request.method);
      if (request.url.startsWith("/elsewhere")) return say(answer, 200);
      say(answer, status, "", { location: "/elsewhere/topics" });
    });
    const { message } = await publish(page, "a", "x");
    assert.match(message, /redirected to .*\/elsewhere\/topics/, `${status}`);
    assert.equal(asked[0], "POST");
    assert.ok(!asked.includes("GET"));
    await page.close();
    await callout.stop();
  }
});

test("a login page in place of the answer is told from an answer", async (test) => {
  const { page } = await behind(test, (asked, answer) => say(answer, 200, "<form>Log in"));
  const { message, status } = await publish(page, "a", "x");
  assert.match(message, /text\/html/);
  assert.equal(status, 200);
});

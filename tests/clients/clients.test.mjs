// The examples in shell, Python, PHP, Node, Go and Rust: nothing is lost or doubled, whatever happens to the server.

import assert from "node:assert/strict";
import { PATIENCE_MILLIS, serve, until } from "../browser/support.mjs";
import { README, pretend, runAsWritten, testEach } from "./support.mjs";

// As long as a client waits for a silent server, and some.
const SILENCE_MILLIS = 40_000 + PATIENCE_MILLIS;

const TOPIC = "rooms/42";

// What a careless reader of lines gets wrong: ends of lines that are none, spaces and empty lines.
const AWKWARD = ["  two spaces: and a colon", "one\n\nthree", "\u2028 \u0085 \u000b", "@file", "$HOME 'quoted' \"too\" \\n"];

// Events that are published one after the other.
const BURST = 20;

// So that the tests need not wait long for those who come back.
const SOON = { retry: 100 };

// Waits until a follower prints what is published: a stream is counted before it is live.
async function follows(callout, follower) {
  let last = 0;
  await until("it follows", async () => {
    await callout.publish(TOPIC, `probe ${(last += 1)}`, SOON);
    return follower.stdout.includes("probe");
  });
  await until("it prints the last probe", () => follower.stdout.endsWith(`probe ${last}\n`));
  follower.stdout = "";
}

testEach("a follower misses and doubles nothing when the server is killed", async (test, client) => {
  const callout = await serve(test);
  const follower = client.follow(test, callout.url, TOPIC);
  await follows(callout, follower);
  const published = [];
  const publish = async (data) => {
    const { status, stdout, stderr } = await client.publish(callout.url, TOPIC, data);
    assert.equal(status, 0, stderr);
    assert.match(stdout, /\S/);
    published.push(data);
  };
  const prints = () => follower.prints(published.map((data) => `${data}\n`).join(""));
  for (const data of AWKWARD) await publish(data);
  for (const data of ["first", "second"]) {
    // The server is killed while these are on their way.
    for (let number = 1; number <= BURST; number++) {
      published.push(`${data} ${number}`);
      await callout.publish(TOPIC, published.at(-1), SOON);
    }
    await callout.stop("SIGKILL");
    const started = callout.start();
    await publish(`${data} time killed`);
    await started;
    await prints();
    await publish(`${data} time back`);
    await prints();
  }
});

testEach("a follower is told when events were lost", async (test, client) => {
  const callout = await serve(test, "--data", "memory");
  const follower = client.follow(test, callout.url, TOPIC);
  await follows(callout, follower);
  await callout.publish(TOPIC, "before", SOON);
  await callout.publish(TOPIC, "lost", { event: "named" });
  await follower.prints("before\nnamed: lost\n");
  await callout.stop("SIGKILL");
  await callout.start();
  await until("it is told", () => follower.stdout.includes("reset: "));
  await callout.publish(TOPIC, "after");
  await until("it prints what comes after", () => follower.stdout.endsWith("after\n"));
  assert.match(follower.stdout, /^before\nnamed: lost\nreset: \{.*"requested".*\}\nafter\n$/);
});

testEach("a follower comes back after `retry`, from the last event that was whole, until it is refused", async (test, client) => {
  const streams = 12;
  const asked = [];
  const url = await pretend(test, (request, response) => {
    asked.push(request.headers["last-event-id"]);
    const number = asked.length;
    if (number === 5) return response.writeHead(503).end("busy");
    if (number > streams) return response.writeHead(400).end("no such topic");
    // Every second stream ends with the connection, the others with their last chunk.
    if (number % 2) response.removeHeader("transfer-encoding");
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(":ok\n\n");
    response.end(`retry: 10\nid: ${number}\n\n:\n\nid: ${number}b\ndata: ${number}\n\nid: cut\ndata: cut\n`);
  });
  const follower = client.follow(test, url, TOPIC);
  const { status } = await follower.end();
  const whole = Array.from({ length: streams }, (_, index) => index + 1).filter((number) => number !== 5);
  assert.equal(follower.stdout, whole.map((number) => `${number}\n`).join(""), follower.stderr);
  const last = [undefined, ...whole.map((number) => `${number}b`)];
  last.splice(4, 0, "4b");
  assert.deepEqual(asked, last);
  assert.notEqual(status, 0);
  assert.match(follower.stderr, /no such topic/);
});

testEach("a follower leaves a stream that has gone silent", async (test, client) => {
  const asked = [];
  const url = await pretend(test, (request, response) => {
    asked.push(request.headers["last-event-id"]);
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(`retry: 10\nid: ${asked.length}\ndata: ${asked.length}\n\n`);
  });
  const follower = client.follow(test, url, TOPIC);
  await follower.prints("1\n2\n", SILENCE_MILLIS);
  assert.deepEqual(asked, [undefined, "1"]);
});

testEach("a publisher repeats what was not answered, under the same id, and nothing that was refused", async (test, client) => {
  const asked = [];
  const url = await pretend(test, async (request, response) => {
    let body = "";
    for await (const text of request.setEncoding("utf8")) body += text;
    const { pathname, searchParams } = new URL(request.url, "http://callout");
    asked.push([request.method, decodeURIComponent(pathname), searchParams.get("id"), body, request.headers.authorization]);
    if (asked.length === 1) return request.socket.destroy();
    if (asked.length === 2) return response.writeHead(503).end('{"error":"not now","reason":"the disk is full","hint":"make room"}');
    if (asked.length === 3) return response.end('{"id":"the one","duplicate":true}');
    response.writeHead(401).end('{"error":"no credential","reason":"the token is wrong","hint":"send another"}');
  });
  const env = { CALLOUT_PUBLISH_TOKEN: "secret" };
  const published = await client.publish(url, TOPIC, "hello", env);
  assert.equal(published.status, 0, published.stderr);
  assert.match(published.stdout, /the one/);
  const id = asked[0][2];
  assert.match(id, /^[-0-9a-f]{32,36}$/);
  assert.deepEqual(asked, Array(3).fill(["POST", `/topics/${TOPIC}`, id, "hello", "Bearer secret"]));
  const refused = await client.publish(url, TOPIC, "hello", env);
  assert.equal(asked.length, 4);
  assert.notEqual(refused.status, 0);
  assert.match(refused.stderr, /the token is wrong/);
  assert.notEqual(asked[3][2], id);
});

testEach("the command in the README runs", async (test, client) => {
  const callout = await serve(test);
  const row = new RegExp(`^\\| (?:\\w+, )?${client.name} \\| \`(.+) follow news\``, "im");
  const [, command] = row.exec(README);
  const published = await runAsWritten(`${command} publish news 'hello, world'`, { CALLOUT_URL: callout.url });
  assert.equal(published.status, 0, published.stderr);
  // What was acknowledged is in the history when the hub has sent it.
  await until("it is kept", async () => {
    const history = await fetch(`${callout.url}/history/news`);
    return (await history.text()).includes('"hello, world"');
  });
});

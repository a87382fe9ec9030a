// Other people's clients: whatever happens to the server, each hands its program every event once and nothing else.
// The table in docs/in-a-page.md says what the program has to do for it.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { before, describe, test } from "node:test";
import { PATIENCE_MILLIS, atEnd, serve, until } from "../browser/support.mjs";
import { CLIENTS, HERE, missing, title } from "./others.mjs";
import { Running, prepare } from "./support.mjs";

const TOPIC = "rooms/42";

// Clients that run at the same time. Most of the time each waits to come back.
const TOGETHER = 4;

// What clients read wrong: quotes, empty lines, what is no end of a line.
const AWKWARD = 'two "quoted" \\ lines\n\n\u2028 ü 🙂';

// Events that are on their way when the server is killed.
const BURST = 20;

// How long a program may take to start. Some start a whole browser.
const START_MILLIS = 60_000;

// How long an event may take to be handed out. The next heartbeat, which would push out what a client holds back, comes
// later.
const PROMPTLY_MILLIS = 10_000;

// How long a program may take to come back. Some wait longer each time that they find no server.
const BACK_MILLIS = 60_000;

// Comments that are seen before the server is killed.
const HEARTBEATS = 3;

const COLUMNS = ["client", "comes back after a kill", "after a drain", "is also handed", "what its program does"];
const rows = [];

describe("each event is handed out once, whatever happens to the server", { concurrency: TOGETHER }, () => {
  before(async () => {
    for (const client of CLIENTS) if (missing(client).length === 0) await prepare(client);
  });
  for (const client of CLIENTS) {
    const lacks = missing(client);
    const skip = lacks.length > 0 && !process.env.CI && `not installed: ${lacks}`;
    test(title(client), { skip }, async (test) => {
      assert.deepEqual(lacks, [], "not installed");
      rows.push(await survives(test, client));
      await isReset(test, client);
    });
  }
});

test("docs/in-a-page.md shows what came out", () => {
  const line = (cells) => `| ${cells.join(" | ")} |`;
  const table = [line(COLUMNS), line(COLUMNS.map(() => "---")).replaceAll(" ", "")];
  const order = CLIENTS.map(title);
  rows.sort(([one], [other]) => order.indexOf(one) - order.indexOf(other));
  table.push(...rows.map(line));
  console.log(table.join("\n"));
  const shown = new Set(readFileSync(`${HERE}/../../docs/in-a-page.md`, "utf8").split("\n"));
  assert.deepEqual(table.filter((row) => !shown.has(row)), []);
});

// The client over a kill and a drain. Gives its row of the table.
async function survives(test, client) {
  const callout = await serve(test, "--cors", "*", "--heartbeat", "300ms");
  const handed = await follow(test, client, callout);
  const published = [];
  const publish = async (data, event = "message") => {
    const { id } = await callout.publish(TOPIC, data, event === "message" ? {} : { event });
    published.push({ name: event, data, id });
  };
  const restart = async (signal) => {
    for (let number = 1; number <= BURST; number++) await publish(`${number} before ${signal}`);
    await callout.stop(signal);
    await callout.start();
    await publish(`while away after ${signal}`);
    await handed.are(published, BACK_MILLIS);
    await publish(`back after ${signal}`, "changed");
    await handed.are(published);
    return handed.takeAgain() ? "its program" : "by itself";
  };
  await publish(AWKWARD);
  await publish("named", "changed");
  await handed.are(published);
  await heartbeats(callout);
  const killed = await restart("SIGKILL");
  const drained = await restart("SIGTERM");
  handed.end();
  const also = handed.empty();
  assert.deepEqual(also, client.also ?? []);
  return [title(client), killed, client.drained ?? drained, also.map((name) => `\`${name}\``).join(", ") || "nothing", client.todo];
}

// What was published is lost with the server's memory, and the client says so.
async function isReset(test, client) {
  const callout = await serve(test, "--cors", "*", "--data", "memory");
  const handed = await follow(test, client, callout);
  const published = [];
  for (const name of ["message", "changed"]) {
    const { id } = await callout.publish(TOPIC, "before", name === "message" ? {} : { event: name });
    published.push({ name, data: "before", id });
    await handed.are(published, PROMPTLY_MILLIS);
  }
  await callout.stop("SIGKILL");
  await callout.start();
  await until("it is told", () => handed.events().length === 3, BACK_MILLIS);
  const after = await callout.publish(TOPIC, "after");
  await until("it goes on", () => handed.events().length === 4);
  const [reset, last] = handed.events().slice(2);
  assert.equal(reset.name, "reset");
  assert.match(reset.data, /"requested"/);
  assert.deepEqual(last, { name: "message", data: "after", id: after.id });
}

// Starts the program of a client, and waits until it follows: what is published just when a stream opens is before it.
async function follow(test, client, callout) {
  const handed = new Handed(client.command, `${callout.url}/topics/${TOPIC}`);
  atEnd(test, () => handed.end());
  await until("it has started", async () => (await callout.streams()) === 1, START_MILLIS);
  let last;
  await until("it follows", async () => {
    last = await callout.publish(TOPIC, "probe");
    return handed.events().length > 0;
  });
  await until("it is handed the last probe", () => handed.events().at(-1).id === last.id);
  handed.forget();
  return handed;
}

// What a program was handed until now.
class Handed {
  #seenAgain = 0;
  #forgotten = 0;

  constructor(command, url) {
    this.running = new Running(command, [url], {}, HERE);
  }

  end() {
    this.running.process.kill();
  }

  #lines() {
    const whole = this.running.stdout.slice(0, this.running.stdout.lastIndexOf("\n") + 1);
    return whole.split("\n").filter(Boolean).map((line) => JSON.parse(line));
  }

  events() {
    return this.#lines().filter(({ again, data }) => !again && data).slice(this.#forgotten);
  }

  // Counts the events from here.
  forget() {
    this.#forgotten += this.events().length;
  }

  // The names of what it was handed without data.
  empty() {
    const names = this.#lines().filter(({ again, data }) => !again && !data).map(({ name }) => name);
    return [...new Set(names)].sort();
  }

  // Whether the program had to start its library again since this was last asked.
  takeAgain() {
    const count = this.#lines().filter(({ again }) => again).length;
    const isMore = count > this.#seenAgain;
    this.#seenAgain = count;
    return isMore;
  }

  // Waits until it was handed exactly these events.
  async are(published, millis = PATIENCE_MILLIS) {
    // What is missing is better seen by comparing.
    await until("it is handed all", () => this.events().length >= published.length, millis).catch(() => {});
    assert.deepEqual(this.events(), published, this.running.stderr);
  }
}

// Waits until every stream was sent some comments.
async function heartbeats(callout) {
  const stream = await fetch(`${callout.url}/topics/heartbeats`);
  let text = "";
  for await (const chunk of stream.body.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    if (text.match(/^:$/gm)?.length >= HEARTBEATS) return;
  }
}

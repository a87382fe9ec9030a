// What every browser test needs: a server of its own, pages whose complaints are noted, and waiting without sleeping.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import * as node from "node:test";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const PROGRAM = process.env.CALLOUT ?? join(ROOT, "target/release/callout");
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";

// Without a browser a test is skipped and says so; in CI it fails.
const skip = !existsSync(CHROMIUM) && !process.env.CI && `no browser at ${CHROMIUM}; CHROMIUM may name another`;
export const test = (promise, body) => node.test(promise, { skip }, body);

// The folder for the screenshots.
export const PICTURES = join(ROOT, "target/screenshots");

// How long a test waits for something that has to happen.
export const PATIENCE_MILLIS = 20_000;

// How often `until` asks again.
const AGAIN_MILLIS = 20;

// Asks again and again until the answer holds, and returns it. Fails the test if it never does.
export async function until(what, holds, millis = PATIENCE_MILLIS) {
  const giveUp = performance.now() + millis;
  for (;;) {
    const answer = await holds();
    if (answer) return answer;
    assert.ok(performance.now() < giveUp, `waited in vain: ${what}`);
    await new Promise((done) => setTimeout(done, AGAIN_MILLIS));
  }
}

// How to end what each test has started.
const endings = new WeakMap();

// Ends something with the test. Pages end first, so that none sees its server or its proxy end.
export function atEnd(test, end, isPage = false) {
  if (!endings.has(test)) {
    endings.set(test, []);
    test.after(async () => {
      const errors = [];
      for (const end of endings.get(test)) {
        try {
          await end();
        } catch (error) {
          errors.push(error);
        }
      }
      if (errors.length) throw errors[0];
    });
  }
  if (isPage) endings.get(test).unshift(end);
  else endings.get(test).push(end);
}

// A server that ends with the test.
export async function serve(test, ...flags) {
  const callout = new Callout(flags);
  atEnd(test, () => callout.remove());
  await callout.start();
  return callout;
}

// A `callout serve` on a free port, with a data folder of its own.
export class Callout {
  #flags;
  #data = mkdtempSync(join(tmpdir(), "callout-"));
  #listen = "127.0.0.1:0";

  constructor(flags = []) {
    this.#flags = flags;
  }

  // Starts the server; the second time on the same port.
  async start() {
    const flags = ["serve", "--listen", this.#listen, "--data", this.#data, "--log", "warn", ...this.#flags];
    this.child = spawn(PROGRAM, flags, { stdio: ["ignore", "pipe", "inherit"] });
    const [line] = await once(createInterface(this.child.stdout), "line");
    this.url = line.split(" ").at(-1);
    this.#listen = new URL(this.url).host;
  }

  signal(name) {
    this.child.kill(name);
  }

  async stop(signal = "SIGKILL") {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const exit = once(this.child, "exit");
    this.child.kill(signal);
    await exit;
  }

  async remove() {
    await this.stop();
    rmSync(this.#data, { recursive: true });
  }

  // Publishes and returns the answer.
  async publish(topic, data, query = {}) {
    const url = new URL(`/topics/${encodeURIComponent(topic)}?${new URLSearchParams(query)}`, this.url);
    const answer = await fetch(url, { method: "POST", body: data });
    assert.equal(answer.status, 200);
    return answer.json();
  }

  // Posts JSON and returns the answer.
  async post(path, body) {
    const headers = { "content-type": "application/json" };
    const answer = await fetch(new URL(path, this.url), { method: "POST", headers, body: JSON.stringify(body) });
    assert.equal(answer.status, 200);
    return answer.json();
  }

  // The number of open streams.
  async streams() {
    const answer = await fetch(new URL("/healthz", this.url));
    return (await answer.json()).streams;
  }
}

// A browser with a profile of its own. It ends with the test, which fails if there was an error on a page.
export async function open(test, options = {}) {
  const browser = await launch();
  const window = new Window(await browser.newContext(options));
  const end = async () => {
    await browser.close();
    assert.deepEqual(window.complaints, [], "a page complained");
  };
  atEnd(test, end, true);
  return window;
}

export function launch() {
  return chromium.launch({
    executablePath: CHROMIUM,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
    // The tests use the back button too.
    ignoreDefaultArgs: ["--disable-back-forward-cache"],
  });
}

// Tabs that share the storage, the locks and the channels of an origin.
class Window {
  complaints = [];

  // Errors that the test itself provokes.
  expected = /^$/;

  constructor(context) {
    this.context = context;
  }

  async tab(url) {
    const page = await this.context.newPage();
    page.setDefaultTimeout(PATIENCE_MILLIS);
    const complain = (text) => this.expected.test(text) || this.complaints.push(`${page.url()}: ${text}`);
    // A violation of the content security policy is an error on the console too.
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) complain(message.text());
    });
    page.on("pageerror", (error) => complain(String(error)));
    if (url) await page.goto(url);
    return page;
  }
}

// What Chromium writes to the console when a server cannot be reached or answers with an error.
export const UNREACHABLE = /net::ERR_|Failed to load resource/;

// Waits until the badge of the page shows this state.
export const isState = (page, state) => until(state, async () => (await page.textContent("#state")) === state);

// Shows or hides a tab. Headless Chromium takes every tab for a visible one.
export const setVisible = (page, isVisible) =>
  page.evaluate((isVisible) => {
    Object.defineProperty(document, "hidden", { configurable: true, value: !isVisible });
    document.dispatchEvent(new Event("visibilitychange"));
  }, isVisible);

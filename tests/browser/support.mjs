// What every browser test needs: a server of its own, pages whose complaints are noted, and waiting without sleeping.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import * as node from "node:test";
import { fileURLToPath } from "node:url";
import * as chromium from "./engines/chromium.mjs";
import * as firefox from "./engines/firefox.mjs";
import * as webkit from "./engines/webkit.mjs";
import { PATIENCE_MILLIS, until } from "./waiting.mjs";

export { PATIENCE_MILLIS, until };

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const PROGRAM = process.env.CALLOUT ?? join(ROOT, "target/release/callout");

// The engines, and those that the tests run in: all of them, or those that BROWSERS names.
const ENGINES = { chromium, firefox, webkit };
const CHOSEN = (process.env.BROWSERS ?? Object.keys(ENGINES).join()).split(",");

// The engine of each test.
const engines = new WeakMap();

// What the engines share among the tests of a file ends with the last of them.
const quit = () => Promise.all(Object.values(ENGINES).map((engine) => engine.quit()));
let quits = false;

// Declares a test for each engine. `needs` names what the engine has to be capable of: an engine that is not is skipped
// and says why. Without a browser a test is skipped too; in CI it fails.
export function test(promise, body, { needs = [] } = {}) {
  if (!quits) node.after(quit);
  quits = true;
  for (const name of CHOSEN) {
    const engine = ENGINES[name];
    const unable = needs.map((need) => engine.CANNOT[need]).find(Boolean);
    const missing = !existsSync(engine.PROGRAM) && !process.env.CI && `not installed: ${engine.PROGRAM}`;
    node.test(`${promise} (${name})`, { skip: unable || missing }, (test) => {
      engines.set(test, engine);
      return body(test);
    });
  }
}

// Whether the engine of a test is capable of this.
export const can = (test, need) => !engines.get(test).CANNOT[need];

// The folder for the screenshots of a test's engine.
export function pictures(test) {
  const name = Object.keys(ENGINES).find((name) => ENGINES[name] === engines.get(test));
  const folder = join(ROOT, "target/screenshots", name);
  mkdirSync(folder, { recursive: true });
  return folder;
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
  const engine = engines.get(test) ?? chromium;
  const window = new Window(await engine.launch(options));
  const end = async () => {
    await window.browser.close();
    assert.deepEqual(window.complaints, [], "a page complained");
  };
  atEnd(test, end, true);
  return window;
}

// Tabs that share the storage, the locks and the channels of an origin.
class Window {
  complaints = [];

  // Errors that the test itself provokes.
  expected = /^$/;

  constructor(browser) {
    this.browser = browser;
    // Playwright's context, in Chromium.
    this.context = browser.context;
  }

  async tab(url) {
    const page = await this.browser.newPage((text) => this.expected.test(text) || this.complaints.push(text));
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

// WebKit, by the W3C's WebDriver: WebKitGTK's driver, and its browser for tests on a screen that is not there.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { createInterface } from "node:readline";
import { Page } from "./page.mjs";

export const PROGRAM = process.env.WEBKIT_DRIVER ?? "/usr/bin/WebKitWebDriver";

export const CANNOT = {
  freeze: "WebDriver has no command that freezes a page",
  hang: "WebDriver waits for a page that hangs, and asks no other meanwhile",
  offline: "WebDriver has no command that takes a browser offline",
  protocol: "WebKit does not always say which version of HTTP it uses",
  narrow: "MiniBrowser's toolbar keeps its window at some 450 px or more",
};

// How long the driver has to answer a command, and for the first time at all, and how often it is asked.
const ANSWER_MILLIS = 30_000;
const START_MILLIS = 20_000;
const AGAIN_MILLIS = 20;

// The keys that are no characters (W3C WebDriver, section 17.4.2).
const KEYS = { Enter: "\uE007", Control: "\uE009", Tab: "\uE004" };

const pause = (millis) => new Promise((done) => setTimeout(done, millis));

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

// The screen of this process. Xvfb chooses a number that is free and writes it to the pipe. Without `-noreset` it begins
// anew whenever a browser has closed, and a browser that starts meanwhile hangs.
let screen;
async function display() {
  const xvfb = spawn("Xvfb", ["-displayfd", "3", "-screen", "0", "1600x1200x24", "-nolisten", "tcp", "-noreset"], {
    stdio: ["ignore", "ignore", "ignore", "pipe"],
  });
  process.on("exit", () => xvfb.kill());
  xvfb.unref();
  // The pipe stays open: Xvfb writes the number and the line end one after the other, and ends if it cannot.
  const [number] = await once(createInterface(xvfb.stdio[3]), "line");
  xvfb.stdio[3].unref();
  return `:${number.trim()}`;
}

// Each browser ends with its window.
export const quit = () => {};

export async function launch({ viewport = { width: 1280, height: 720 }, colorScheme = "light" } = {}) {
  const port = await freePort();
  const env = {
    ...process.env,
    DISPLAY: await (screen ??= display()),
    // A page has the colours of the desktop.
    GTK_THEME: colorScheme === "dark" ? "Adwaita:dark" : "Adwaita",
    WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: "1",
  };
  const driver = spawn("dbus-run-session", ["--", PROGRAM, `--port=${port}`], { env, stdio: "ignore", detached: true });
  const kill = () => {
    process.off("exit", kill);
    process.kill(-driver.pid);
  };
  process.on("exit", kill);

  // One command at a time: the driver has one current page.
  let last = Promise.resolve();
  const ask = (method, path, body) => {
    const asked = last.then(async () => {
      const request = { method, body: body && JSON.stringify(body), signal: AbortSignal.timeout(ANSWER_MILLIS) };
      const answer = await fetch(`http://127.0.0.1:${port}${path}`, request);
      const { value } = await answer.json();
      if (!answer.ok) throw new Error(`WebDriver: ${value.error}: ${value.message}`);
      return value;
    });
    last = asked.catch(() => {});
    return asked;
  };

  for (const giveUp = performance.now() + START_MILLIS; ; await pause(AGAIN_MILLIS)) {
    const isReady = await ask("GET", "/status").catch((error) => {
      if (performance.now() > giveUp) throw error;
    });
    if (isReady) break;
  }
  const { sessionId } = await ask("POST", "/session", { capabilities: {} }).catch((error) => {
    kill();
    throw error;
  });
  const session = `/session/${sessionId}`;
  // The driver opens a page beside one that is open. So its first window stays, and is no test's.
  const first = await ask("GET", `${session}/window`);
  return {
    async close() {
      await ask("DELETE", session);
      kill();
      await once(driver, "exit");
    },

    async newPage() {
      // A window, because a tab behind another is hidden.
      const opened = [ask("POST", `${session}/window`, { handle: first }), ask("POST", `${session}/window/new`, { type: "window" })];
      const [, { handle }] = await Promise.all(opened);
      const tell = (method, path, body) => {
        // Both are queued at once, so that no other page comes in between.
        const chosen = ask("POST", `${session}/window`, { handle });
        return Promise.all([ask(method, session + path, body), chosen.catch(() => {})]).then(([value]) => value);
      };
      await tell("POST", "/window/rect", viewport);
      return new WebKitPage(tell);
    },
  };
}

class WebKitPage extends Page {
  constructor(tell) {
    super();
    this.tell = tell;
  }

  goto = (url) => this.tell("POST", "/url", { url });
  reload = () => this.tell("POST", "/refresh", {});
  goBack = () => this.tell("POST", "/back", {});
  goForward = () => this.tell("POST", "/forward", {});
  close = () => this.tell("DELETE", "/window");
  #run = (script, ...args) => this.tell("POST", "/execute/sync", { script, args });

  // Starts it, and asks for the outcome: the driver must not wait for it, because other pages are asked meanwhile.
  async evaluate(act, given) {
    const code = typeof act === "function" ? `(${act})(arguments[0])` : act.replace(/;\s*$/, "");
    const outcome = `outcome-${Math.random()}`;
    await this.#run(
      `const at = (window[arguments[1]] = {});
       (async () => (${code}))().then((value) => (at.value = value), (error) => (at.error = String(error))).then(() => (at.isDone = true));`,
      given ?? null,
      outcome,
    );
    for (; ; await pause(AGAIN_MILLIS)) {
      const { isDone, value, error } = (await this.#run("return window[arguments[0]]", outcome)) ?? { error: "the page was left", isDone: true };
      if (isDone && error) throw new Error(error);
      if (isDone) return value ?? undefined;
    }
  }

  async screenshot({ path }) {
    writeFileSync(path, Buffer.from(await this.tell("GET", "/screenshot"), "base64"));
  }

  async clickAt(x, y) {
    const actions = [
      { type: "pointerMove", x: Math.round(x), y: Math.round(y), origin: "viewport" },
      { type: "pointerDown", button: 0 },
      { type: "pointerUp", button: 0 },
    ];
    await this.tell("POST", "/actions", { actions: [{ type: "pointer", id: "mouse", parameters: { pointerType: "mouse" }, actions }] });
  }

  async type(keys) {
    const values = keys.map((key) => KEYS[key] ?? key);
    const actions = [
      ...values.map((value) => ({ type: "keyDown", value })),
      ...values.toReversed().map((value) => ({ type: "keyUp", value })),
    ];
    await this.tell("POST", "/actions", { actions: [{ type: "key", id: "keyboard", actions }] });
  }
}

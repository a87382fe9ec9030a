// What the tests of the examples need: each client as a command, and a server that does as it is told.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import * as node from "node:test";
import { fileURLToPath } from "node:url";
import { PATIENCE_MILLIS, atEnd, until } from "../browser/support.mjs";

export const EXAMPLES = fileURLToPath(new URL("../../examples/clients", import.meta.url));
export const README = readFileSync(`${EXAMPLES}/README.md`, "utf8");
const BUILT = fileURLToPath(new URL("../../target/examples", import.meta.url));

// Each client: what has to be there, what is done before it runs, and the command.
const CLIENTS = {
  shell: { needs: ["bash", "curl"], command: ["bash", "shell/callout.sh"] },
  requests: { needs: ["python3"], prepare: venv, command: [`${BUILT}/venv/bin/python`, "python/with_requests.py"] },
  httpx: { needs: ["python3"], prepare: venv, command: [`${BUILT}/venv/bin/python`, "python/with_httpx.py"] },
  php: { needs: ["php"], command: ["php", "php/callout.php"] },
  node: { needs: ["node"], command: ["node", "node/callout.mjs"] },
  go: { needs: ["go"], prepare: go, command: [`${BUILT}/go/callout`] },
  rust: { needs: ["cargo"], prepare: rust, command: [`${BUILT}/rust/debug/callout-client`] },
};

async function venv() {
  await run("python3", ["-m", "venv", `${BUILT}/venv`]);
  await run(`${BUILT}/venv/bin/pip`, ["install", "--quiet", "--disable-pip-version-check", "-r", "python/requirements.txt"]);
}

function go() {
  return run("go", ["build", "-o", `${BUILT}/go/callout`, "."], `${EXAMPLES}/go`);
}

function rust() {
  return run("cargo", ["build", "--quiet", "--locked", "--manifest-path", "rust/Cargo.toml", "--target-dir", `${BUILT}/rust`]);
}

// Runs a command to its end, which has to be a good one. Tests that run meanwhile go on.
export async function run(program, args, cwd = EXAMPLES) {
  const [status] = await once(spawn(program, args, { cwd, stdio: ["ignore", "inherit", "inherit"] }), "close");
  assert.equal(status, 0, `${program} ${args.join(" ")}: status ${status}`);
}

// Builds what a client needs, once for all that need the same. What is slow is done before the tests begin, and never by
// a call that keeps this process from reading what the running programs print.
const prepared = new Map();
export function prepare({ prepare }) {
  if (prepare && !prepared.has(prepare)) prepared.set(prepare, prepare());
  return prepared.get(prepare);
}

export const isThere = (program) => spawnSync("sh", ["-c", `command -v ${program}`]).status === 0;

// Declares a test for each client; they run at the same time. Where a program is missing the test is skipped and
// says so; but not in CI, where it fails.
export function testEach(promise, body) {
  node.describe(promise, { concurrency: true }, () => {
    node.before(async () => {
      for (const client of Object.values(CLIENTS)) if (client.needs.every(isThere)) await prepare(client);
    });
    for (const [name, client] of Object.entries(CLIENTS)) {
      const missing = client.needs.filter((program) => !isThere(program));
      const skip = missing.length > 0 && !process.env.CI && `not installed: ${missing}`;
      node.test(name, { skip }, (test) => {
        assert.deepEqual(missing, [], "not installed");
        return body(test, new Client(name, client.command));
      });
    }
  });
}

class Client {
  #command;

  constructor(name, command) {
    this.name = name;
    this.#command = command;
  }

  // Runs to its end.
  publish(url, topic, data, env = {}) {
    return new Running(this.#command, ["publish", topic, data], { CALLOUT_URL: url, ...env }).end();
  }

  // Ends with the test.
  follow(test, url, topic) {
    const child = new Running(this.#command, ["follow", topic], { CALLOUT_URL: url });
    atEnd(test, () => child.process.kill());
    return child;
  }
}

// A process, and what it has printed.
export class Running {
  stdout = "";
  stderr = "";

  constructor([program, ...first], args, env = {}, cwd = EXAMPLES) {
    this.process = spawn(program, [...first, ...args], { cwd, env: { ...process.env, ...env } });
    for (const name of ["stdout", "stderr"]) {
      this.process[name].setEncoding("utf8").on("data", (text) => (this[name] += text));
    }
  }

  async end() {
    const [status] = await once(this.process, "close");
    return { status, stdout: this.stdout, stderr: this.stderr };
  }

  // Waits until it has printed exactly this.
  async prints(wanted, millis = PATIENCE_MILLIS) {
    // What is missing is better seen by comparing.
    await until("it prints what is wanted", () => this.stdout.length >= wanted.length, millis).catch(() => {});
    assert.equal(this.stdout, wanted, this.stderr);
  }
}

// Runs a command as the README has it, in the folder of the examples.
export function runAsWritten(command, env = {}) {
  const path = `${BUILT}/venv/bin:${process.env.PATH}`;
  return new Running(["sh", "-c"], [command], { PATH: path, CARGO_TARGET_DIR: `${BUILT}/rust`, ...env }).end();
}

// A server that answers each request as `answer(request, response)` says. Gives its URL.
export async function pretend(test, answer) {
  const server = createServer(answer).listen(0, "127.0.0.1");
  await once(server, "listening");
  atEnd(test, () => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${server.address().port}`;
}

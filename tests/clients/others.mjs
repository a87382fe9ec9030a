// Other people's clients: for each a small program that prints what the library hands it, and what has to be done so
// that nothing is lost.

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { run } from "./support.mjs";

export const HERE = fileURLToPath(new URL(".", import.meta.url));
const BUILT = fileURLToPath(new URL("../../target/clients", import.meta.url));

// How the programs of each language are built, and where their libraries' versions stand.
const NODE = { needs: ["node"], versions: "node/package.json" };
const PAGE = { ...NODE, needs: ["node", process.env.CHROMIUM ?? "/usr/bin/chromium"] };
const PYTHON = { needs: ["python3"], prepare: venv, versions: "python/requirements.txt" };
const RUST = { needs: ["cargo"], prepare: rust, versions: "rust/Cargo.toml" };
const GO = { needs: ["go"], prepare: () => run("go", ["build", "-o", `${BUILT}/go/`, "./..."], `${HERE}/go`), versions: "go/go.mod" };
const JAVA = { needs: ["java", "mvn"], prepare: () => run("mvn", ["-q", "-B", "compile"], `${HERE}/java`), versions: "java/pom.xml" };

async function venv() {
  await run("python3", ["-m", "venv", `${BUILT}/venv`]);
  const quietly = ["install", "--quiet", "--disable-pip-version-check"];
  await run(`${BUILT}/venv/bin/pip`, [...quietly, "-r", "requirements.txt"], `${HERE}/python`);
}

function rust() {
  return run("cargo", ["build", "--quiet", "--locked", "--target-dir", `${BUILT}/rust`], `${HERE}/rust`);
}

const page = (library) => ["node", "node/page.mjs", library];
const python = (program) => [`${BUILT}/venv/bin/python`, `python/${program}.py`];
const java = (program) => ["java", "-cp", `${BUILT}/java/classes:${BUILT}/java/jars/*`, program];

// As the table in docs/in-a-page.md has it: `todo` is what the program has to do, and `also` are the names of what it is
// handed without data. What depends on how fast the server is back is told in `drained`.
const ITSELF = "nothing";
const ENDS = ["drain", "open"];
const AGAIN = "start it again with the last id when it ends";

export const CLIENTS = [
  { name: "eventsource", where: "Node", ...NODE, command: ["node", "node/eventsource.mjs"], todo: ITSELF },
  { name: "eventsource-client", where: "Node", ...NODE, command: ["node", "node/eventsource-client.mjs"], todo: ITSELF },
  { name: "reconnecting-eventsource", where: "pages", ...PAGE, command: page("reconnecting-eventsource"), todo: ITSELF },
  {
    name: "@microsoft/fetch-event-source",
    where: "pages",
    ...PAGE,
    command: page("fetch-event-source"),
    also: ENDS,
    todo: "look at `event`, which is empty for messages; throw in `onclose`, or it stops after a drain",
  },
  { name: "event-source-polyfill", where: "pages", ...PAGE, command: page("event-source-polyfill"), todo: ITSELF },
  { name: "sse.js", where: "pages", ...PAGE, command: page("sse.js"), todo: "set `autoReconnect: true`" },
  { name: "sseclient-py", where: "Python", ...PYTHON, command: python("with_sseclient"), todo: `${AGAIN}; with requests, \`stream=True\`` },
  {
    name: "httpx-sse",
    where: "Python",
    ...PYTHON,
    command: python("with_httpx_sse"),
    also: ENDS,
    todo: `look at \`event\`, which is \`message\` for messages; ${AGAIN}; set a timeout of 40 s (httpx has 5)`,
  },
  {
    name: "aiohttp-sse-client",
    where: "Python",
    ...PYTHON,
    command: python("with_aiohttp_sse_client"),
    drained: "by itself, if the server is back by then",
    todo: `${AGAIN}; set a timeout without \`total\` (aiohttp has 5 minutes). Drops spaces at the beginning of a line`,
  },
  { name: "eventsource-client", where: "Rust", ...RUST, command: [`${BUILT}/rust/debug/with_eventsource_client`], todo: "set a `read_timeout`" },
  { name: "reqwest-eventsource", where: "Rust", ...RUST, command: [`${BUILT}/rust/debug/with_reqwest_eventsource`], todo: "set a `read_timeout`; go on after errors" },
  {
    name: "r3labs/sse",
    where: "Go",
    ...GO,
    command: [`${BUILT}/go/r3labs`],
    also: ENDS,
    todo: "look at `Event`, which is empty for messages; subscribe again with the same client when it ends",
  },
  {
    name: "tmaxmax/go-sse",
    where: "Go",
    ...GO,
    command: [`${BUILT}/go/tmaxmax`],
    todo: "call `SubscribeMessages` and `SubscribeEvent`; `SubscribeToAll` is handed `open` and `drain` too",
  },
  {
    name: "launchdarkly/eventsource",
    where: "Go",
    ...GO,
    command: [`${BUILT}/go/launchdarkly`],
    also: ENDS,
    todo: "look at `Event()`, which is empty for messages; set an error handler, or read `Errors`, and a read timeout",
  },
  {
    name: "okhttp-eventsource",
    where: "Java",
    ...JAVA,
    command: java("WithOkhttpEventsource"),
    todo: "set `ErrorStrategy.alwaysContinue()`, and a read timeout of 40 s",
  },
  {
    name: "okhttp-sse",
    where: "Java",
    ...JAVA,
    command: java("WithOkhttpSse"),
    todo: `${AGAIN}; set a read timeout of 40 s (OkHttp has 10)`,
  },
  {
    name: "fopen",
    where: "PHP",
    needs: ["php"],
    command: ["php", "php/follow.php"],
    todo: "all of it; set `protocol_version` to 1.0, or it holds back what comes in chunks",
  },
  { name: "curl", where: "shell", needs: ["bash", "curl"], command: ["bash", "shell/follow.sh"], todo: "all of it; `-N`, or it holds back what comes" },
];

// What the table calls a client: its name, its version if a library, and where it runs.
export function title({ name, where, versions }) {
  if (!versions) return `\`${name}\` (${where})`;
  const text = readFileSync(`${HERE}/${versions}`, "utf8");
  const [, rest] = text.split(name);
  const [version] = /\d+\.[\d.]*\d/.exec(rest);
  return `\`${name}\` ${version} (${where})`;
}

// What is not there of what a client needs.
export const missing = ({ needs }) => needs.filter((program) => spawnSync("sh", ["-c", `command -v ${program}`]).status !== 0);

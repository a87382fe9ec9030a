// What the pages share: elements and times, the badge that shows the state, asking the server, the browser's
// connections, and the commands.

// How long a button says that it copied.
const SAID_MILLIS = 1500;

// Without an answer for so long, a request counts as failed.
const ANSWER_MILLIS = 10_000;

export const $ = (id) => document.getElementById(id);

// An element with this text, which is never taken for HTML.
export function element(tag, className, text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.textContent = text;
  return made;
}

// The time of day; with the date unless it is today.
export function time(at) {
  const then = new Date(at);
  const made = element("time");
  made.dateTime = then.toISOString();
  made.title = then.toLocaleString([], { dateStyle: "full", timeStyle: "long" });
  const clock = then.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  const isToday = then.toDateString() === new Date().toDateString();
  made.textContent = isToday ? clock : `${then.toLocaleDateString([], { day: "numeric", month: "short" })}, ${clock}`;
  return made;
}

// Seconds in the two largest units: `2 h 5 min`.
export function span(secs) {
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const first = units.findIndex(([, size]) => secs >= size);
  if (first < 0) return "0 s";
  const parts = [];
  for (const [name, size] of units.slice(first, first + 2)) {
    parts.push(`${Math.floor(secs / size)} ${name}`);
    secs %= size;
  }
  return parts.join(" ");
}

// Shows a state in the page's badge, by its name or by a text. An unchanged badge is left alone, so that
// it is not read out again.
export function showState(state, text = state) {
  const badge = $("state");
  if (badge.textContent === text) return;
  badge.dataset.state = state;
  badge.textContent = text;
}

// Shows what went wrong, in the page's `#trouble`; nothing hides it.
export function complain(text) {
  $("trouble").textContent = text;
  $("trouble").hidden = !text;
}

// Asks, with JSON if there is a body, and gives the answer. An error says in words why there is none.
export async function ask(method, path, body, headers) {
  const json = body && { body: JSON.stringify(body), headers: { "content-type": "application/json", ...headers } };
  let answer;
  try {
    answer = await fetch(path, { method, ...json, signal: AbortSignal.timeout(ANSWER_MILLIS) });
  } catch (error) {
    const isLate = error.name === "TimeoutError";
    throw new Error(isLate ? "no answer in time; it may have arrived all the same" : "the server cannot be reached");
  }
  const { status } = answer;
  const said = await answer.json().catch(() => ({}));
  if (answer.ok) return said;
  throw Object.assign(new Error(said.error ?? said.errorMessage ?? `the server answered ${status}`), { status });
}

// ---- the browser's connections ----

// Without HTTP/2 a browser has six connections to a server, for all its tabs, and each url that is followed takes
// one. So where more than this are followed, tabs that nobody sees let go of theirs, one tab after the other, and
// go on from where they were when they are seen. callout.js hears it as if the browser itself had frozen them.
const FOLLOWED_MAX = 4;

// How often a tab that is seen asks the others for room.
const ASK_MILLIS = 1000;

let tabs = null;
let hasLetGo = false;

addEventListener("pageshow", () => {
  tabs = new BroadcastChannel("callout.tabs");
  tabs.onmessage = () => hasLetGo || navigator.locks?.request("callout.tabs", makeRoom);
});
// A page with an open channel could not be gone back to.
addEventListener("pagehide", () => {
  tabs?.close();
  tabs = null;
});
setInterval(() => document.hidden || tabs?.postMessage("room?"), ASK_MILLIS);

async function makeRoom() {
  const { held } = await navigator.locks.query();
  if (held.filter(({ name }) => name.startsWith("callout:")).length > FOLLOWED_MAX) letGo();
}

function letGo() {
  if (!document.hidden || hasLetGo) return;
  hasLetGo = true;
  dispatchEvent(new Event("freeze"));
}

document.addEventListener("visibilitychange", () => {
  // Without locks (they need https or localhost) nobody can count.
  if (!navigator.locks) letGo();
  if (document.hidden || !hasLetGo) return;
  hasLetGo = false;
  dispatchEvent(new Event("resume"));
});

// ---- commands ----

// The commands on a page name the host that the page came from, and can be copied.
for (const origin of document.querySelectorAll(".origin")) origin.textContent = location.origin;

for (const command of document.querySelectorAll(".command")) {
  const code = command.querySelector("code");
  const button = element("button", "plain", "Copy");
  button.type = "button";
  button.setAttribute("aria-label", `Copy: ${code.textContent}`);
  button.addEventListener("click", async () => {
    button.textContent = (await copy(code)) ? "Copied" : "Selected";
    setTimeout(() => (button.textContent = "Copy"), SAID_MILLIS);
  });
  command.append(button);
}

// Copies the text, or leaves it selected: browsers let only secure pages and localhost copy.
async function copy(code) {
  try {
    await navigator.clipboard.writeText(code.textContent);
    return true;
  } catch {
    getSelection().selectAllChildren(code);
    return false;
  }
}

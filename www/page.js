// What the pages share: elements and times, the badge with the state, requests, what the browser stores, and the
// commands that can be copied.

// How long a button says that it has copied.
const COPIED_MILLIS = 1500;

// A request without an answer for so long counts as failed.
const ANSWER_MILLIS = 10_000;

export const $ = (id) => document.getElementById(id);

// An element with this text, which is never taken for HTML.
export function element(tag, className, text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.textContent = text;
  return made;
}

// Gives the parent these children. A child that is in its place already is not moved: moving it would take the focus.
export function arrange(parent, children) {
  const wanted = new Set(children);
  for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
  children.forEach((child, at) => parent.children[at] === child || parent.insertBefore(child, parent.children[at] ?? null));
}

// Gives the focus back after a request whose button was disabled meanwhile, unless the person has moved it elsewhere.
export function refocus(element, button) {
  if ([document.body, button].includes(document.activeElement)) element.focus();
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

// Shows a state in the page's badge, by its name or by a text. An unchanged badge is left alone, so that a screen
// reader does not read it out again.
export function showState(state, text = state) {
  const badge = $("state");
  if (badge.textContent === text) return;
  badge.dataset.state = state;
  badge.textContent = text;
}

// Shows what went wrong in the page's `#trouble`; an empty text hides it.
export function showTrouble(text) {
  $("trouble").textContent = text;
  $("trouble").hidden = !text;
}

// The folder that the pages came from: callout is there, whatever path a proxy has put it under.
export const HOME = new URL(".", import.meta.url);

// A refusal in words: why, and what to do. Where something that was typed is not valid, the reason alone says it.
export const words = ({ status, data, hint }) => (hint && status !== 400 ? `${data}; ${hint}` : data);

// Sends a request, with JSON if there is a body, and returns the answer's JSON. The error says in words why there is
// none.
export async function ask(method, path, body, headers) {
  const json = body && { "content-type": "application/json" };
  const given = { method, body: body && JSON.stringify(body), headers: { ...json, ...headers } };
  let answer;
  try {
    answer = await fetch(new URL(path, HOME), { ...given, signal: AbortSignal.timeout(ANSWER_MILLIS) });
  } catch (error) {
    const isLate = error.name === "TimeoutError";
    throw new Error(isLate ? "no answer in time; the request may have arrived all the same" : "the server cannot be reached");
  }
  const { status } = answer;
  const content = await answer.json().catch(() => ({}));
  if (answer.ok) return content;
  const { reason = `the server answered ${status}`, hint } = content;
  throw Object.assign(new Error(words({ status, data: reason, hint })), { status, reason, hint });
}

// What `act` returns, or null where the browser stores nothing and so throws.
export function orNull(act) {
  try {
    return act();
  } catch {
    return null;
  }
}

// ---- commands ----

// The commands on a page name the address that the page came from, and can be copied.
for (const origin of document.querySelectorAll(".origin")) origin.textContent = HOME.href.slice(0, -1);

for (const command of document.querySelectorAll(".command")) {
  const code = command.querySelector("code");
  const button = element("button", "plain", "Copy");
  button.type = "button";
  button.setAttribute("aria-label", `Copy: ${code.textContent}`);
  button.addEventListener("click", async () => {
    button.textContent = (await copy(code)) ? "Copied" : "Selected";
    setTimeout(() => (button.textContent = "Copy"), COPIED_MILLIS);
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

// Notifications: a stream of one's own, and what is sent to one user or to everyone.

import { connect } from "./callout.js";
import { $, ask, complain, element, showState, time } from "./page.js";

// Notifications on the page; the oldest go first.
const NOTES_MAX = 200;

const ME_KEY = "callout.me";

// The stream of whoever one is; none while the person wants none.
let stream;

// ---- listening ----

function listen() {
  const me = $("me").value.trim();
  const path = pathOf("sse", me);
  complain(path ? "" : "No address can be made of this: give a name, or a number.");
  if (!path) return $("me").focus();
  stop();
  remember(me);
  for (const whose of document.querySelectorAll(".whose")) whose.textContent = encode(me);
  $("user").value ||= me;
  $("notes").replaceChildren();
  say(`Nothing for ${me} yet.`);
  $("stop").disabled = false;
  stream = connect(path);
  stream.on("error", ({ data }) => complain(`The server says: ${data}.`));
  stream.on("state", () => {
    showState(stream?.state ?? "closed");
    if (stream?.state === "live") complain("");
  });
  stream.on("*", (event) => append(event.name === "reset" ? makeGap() : makeNote(event)));
  showState(stream.state);
}

function stop() {
  stream?.close();
  stream = undefined;
  showState("closed");
  $("stop").disabled = true;
}

function append(item) {
  $("empty").hidden = true;
  $("notes").prepend(item);
  while ($("notes").childElementCount > NOTES_MAX) $("notes").lastElementChild.remove();
}

function makeNote({ name, data }) {
  const head = element("p", "head");
  head.append(element("b", "kind", name), time(new Date()));
  const text = element("p", "text", data);
  text.dir = "auto";
  const item = element("li", "message");
  item.append(head, text);
  return item;
}

function makeGap() {
  const item = element("li", "gap", "Some may be missing here: the server no longer knows where we were. ");
  item.append(time(new Date()));
  return item;
}

function say(text) {
  $("empty").textContent = text;
  $("empty").hidden = false;
}

// ---- sending ----

function notify() {
  const token = $("token").value;
  const body = { event: $("event").value.trim() || undefined, data: $("data").value };
  send("notify", body, token && { authorization: `Bearer ${token}` });
}

// Sends to one or to all, and tells how many streams that reached.
async function send(what, body, headers) {
  const whom = isForAll() ? "" : $("user").value.trim();
  const path = isForAll() ? `/${what}` : pathOf(what, whom);
  if (!path) {
    complain("Which user? Give a name, or choose everyone.");
    return $("user").focus();
  }
  try {
    const { reached } = await ask(body ? "POST" : "GET", path, body, headers);
    complain("");
    const streams = reached === 1 ? "1 stream" : `${reached.toLocaleString()} streams`;
    // With its seconds, so that one sees it when it is the same again.
    $("reached").replaceChildren(`Reached ${streams} `, element("time", "", new Date().toLocaleTimeString()));
  } catch (error) {
    $("reached").textContent = "";
    if (error.status !== 401) return complain(`Not sent: ${error.message}.`);
    $("guard").hidden = false;
    $("token").focus();
    complain("Not sent: this server wants its publish token. Give it, and send again.");
  }
}

function isForAll() {
  return $("notify").elements.whom.value === "all";
}

// The path of a user; none if there can be none: a browser takes dots alone for the folder above.
function pathOf(what, user) {
  return user && !/^\.\.?$/.test(user) && `/${what}/${encode(user)}`;
}

// Also the quotes, for the commands.
function encode(user) {
  return encodeURIComponent(user).replaceAll("'", "%27");
}

// ---- the person ----

$("listen").addEventListener("submit", (event) => {
  event.preventDefault();
  listen();
});
$("stop").addEventListener("click", () => {
  stop();
  $("me").focus();
});
$("notify").addEventListener("submit", (event) => {
  event.preventDefault();
  notify();
});
$("notify").addEventListener("change", () => ($("user").disabled = isForAll()));
$("time").addEventListener("click", () => send("time"));

// A tab that is loaded again stays who it was, whoever the others are. Where a browser keeps nothing, one
// is asked each time.
function remember(me) {
  try {
    sessionStorage[ME_KEY] = localStorage[ME_KEY] = me;
  } catch {}
}

function recall() {
  try {
    return sessionStorage[ME_KEY] ?? localStorage[ME_KEY] ?? "";
  } catch {
    return "";
  }
}

$("me").value ||= recall();
if ($("me").value) listen();
else $("me").focus();

// Notifications: the stream of one user, and a form that notifies one user or everyone.

import { connect } from "./callout.js";
import { $, ask, element, orNull, showState, showTrouble, time, words } from "./page.js";

// Notifications on the page; the oldest are removed first.
const NOTES_MAX = 200;

const ME_KEY = "callout.me";

// The user's stream; none while the person is not subscribed.
let stream;

// ---- receiving ----

function subscribe() {
  const me = $("me").value.trim();
  const path = pathOf("sse", me);
  showTrouble(path ? "" : "This cannot be a user name: enter a name or a number.");
  if (!path) return $("me").focus();
  stop();
  store(me);
  for (const user of document.querySelectorAll(".me")) user.textContent = encode(me);
  $("user").value ||= me;
  $("notes").replaceChildren();
  showEmpty(`Nothing for ${me} yet.`);
  $("stop").disabled = false;
  stream = connect(path);
  stream.on("error", (event) => showTrouble(`The server says: ${words(event)}.`));
  stream.on("state", () => {
    showState(stream?.state ?? "closed");
    if (stream?.state === "live") showTrouble("");
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
  const item = element("li", "gap", "Notifications may be missing here: the server no longer has all that it sent meanwhile. ");
  item.append(time(new Date()));
  return item;
}

function showEmpty(text) {
  $("empty").textContent = text;
  $("empty").hidden = false;
}

// ---- sending ----

function notify() {
  const token = $("token").value;
  const body = { event: $("event").value.trim() || undefined, data: $("data").value };
  send("notify", body, token && { authorization: `Bearer ${token}` });
}

// Sends to one user or to everyone, and shows how many streams that reached.
async function send(what, body, headers) {
  const path = isForAll() ? what : pathOf(what, $("user").value.trim());
  if (!path) {
    showTrouble("Enter the user, or choose everyone.");
    return $("user").focus();
  }
  try {
    const { reached } = await ask(body ? "POST" : "GET", path, body, headers);
    showTrouble("");
    const streams = reached === 1 ? "1 stream" : `${reached.toLocaleString()} streams`;
    // The time has seconds, so that a second answer with the same number is seen.
    $("reached").replaceChildren(`Reached ${streams} `, element("time", "", new Date().toLocaleTimeString()));
  } catch (error) {
    $("reached").textContent = "";
    if (error.status !== 401) return showTrouble(`Not sent: ${error.message}.`);
    $("guard").hidden = false;
    $("token").focus();
    showTrouble("Not sent: this server requires its publish token. Enter it and send again.");
  }
}

function isForAll() {
  return $("notify").elements.whom.value === "all";
}

// The path of a user. There is none for `.` and `..`, which a browser takes for folders.
function pathOf(what, user) {
  return user && !/^\.\.?$/.test(user) && `${what}/${encode(user)}`;
}

// Encodes the single quotes too: in the commands they would end the url.
function encode(user) {
  return encodeURIComponent(user).replaceAll("'", "%27");
}

// ---- the forms ----

$("subscribe").addEventListener("submit", (event) => {
  event.preventDefault();
  subscribe();
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

// A tab that is loaded again keeps its own user, whatever user another tab has; a new tab takes the latest.
function store(me) {
  orNull(() => (sessionStorage[ME_KEY] = localStorage[ME_KEY] = me));
}

$("me").value ||= orNull(() => sessionStorage[ME_KEY] ?? localStorage[ME_KEY]) ?? "";
if ($("me").value) subscribe();
else $("me").focus();

// Notifications: the stream of one user, and a form that notifies one user or everyone.

import { isRefusal, known, onTicket, sentence, subscribe as open, visitor } from "./access.js";
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
  const owner = visitor.user && visitor.user !== me ? `Your ticket is that of ${visitor.user}: the` : "The";
  stream = open(path, `${owner} notifications of ${me} are closed to you.`, {
    error: (event) => showTrouble(`The server says: ${words(event)}.`),
    state: (state) => {
      showState(state);
      if (state === "live") showTrouble("");
    },
    "*": (event) => append(event.name === "reset" ? makeGap() : makeNote(event)),
  });
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
  send("notify", { event: $("event").value.trim() || undefined, data: $("data").value });
}

// Sends to one user or to everyone, and shows how many streams that reached.
async function send(what, body) {
  const token = $("token").value;
  const headers = token && { authorization: `Bearer ${token}` };
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
    if (!isRefusal(error)) return showTrouble(`Not sent: ${error.message}.`);
    $("guard").hidden = false;
    $("token").focus();
    showTrouble(`Not sent: ${error.reason}. Enter the publish token, or another token that may, and send again.`);
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

// With a ticket the user is that of the ticket. Where notifying is refused, the page says so before anybody has tried.
function showVisitor() {
  const { user, pages } = visitor;
  if (user) $("me").value = user;
  const may = pages?.notifications;
  const isGuarded = may?.publish === false;
  $("guard").hidden = !isGuarded;
  $("guard-why").textContent = isGuarded && may.subscribe ? `You may read here, and need a token to notify. ${sentence(may.reason)}` : "";
}

await known;
showVisitor();
$("me").value ||= orNull(() => sessionStorage[ME_KEY] ?? localStorage[ME_KEY]) ?? "";
if ($("me").value) subscribe();
else if (document.activeElement === document.body) $("me").focus();
onTicket((isAnother) => {
  showVisitor();
  if (visitor.user && (isAnother || !stream)) return subscribe();
  if (isAnother) $("notes").replaceChildren();
});

// The chat: one EventSource for what is said and who is here, one POST for each thing said.

// Messages on the page; the oldest go first.
const MESSAGES_MAX = 500;

// Ids of messages already shown. After a `reset` the server sends all that it keeps, and it keeps
// 100,000 events unless told otherwise.
const IDS_MAX = 100_000;

// A stream that the browser gave up is opened again after this, twice as long each time.
const BACKOFF_MILLIS = 1000;
const BACKOFF_MILLIS_MAX = 30_000;

// Without an answer for so long, a POST counts as failed.
const POST_MILLIS = 10_000;

// Nearer to the end than this counts as reading the newest.
const END_PX = 40;

const NAME_KEY = "callout.user";

const $ = (id) => document.getElementById(id);
const [user, message, connect, send, close] = ["user", "message", "connect", "send", "close"].map($);
const [log, messages, users, trouble] = ["log", "messages", "users", "trouble"].map($);

// The stream: `name` is whose it is, empty while the person wants none.
let name = "";
let source = null;
let lastId = "";
let attempts = 0;
let again;

// What is on the page.
const ids = new Set();
let present = 0;
let following = true;
let unread = 0;
let scrolling = false;

// ---- the stream ----

function join() {
  const wanted = user.value.trim();
  if (!wanted) {
    complain("Who are you? Give a name first.");
    user.focus();
    return false;
  }
  complain("");
  name = wanted;
  user.value = wanted;
  remember(wanted);
  open("connecting");
  return true;
}

function leave() {
  name = "";
  shut();
  show("closed");
  showUsers([]);
}

function open(state) {
  shut();
  show(state);
  const query = new URLSearchParams({ user: name });
  // A new EventSource knows no last id; the server takes it from the query too.
  if (lastId) query.set("last_event_id", lastId);
  const url = `/sse?${query}`;
  source = new EventSource(url);
  source.addEventListener("open", () => {
    attempts = 0;
    complain("");
    show("live");
  });
  source.addEventListener("error", () => {
    show($("state").dataset.state === "connecting" ? "connecting" : "reconnecting");
    // Unless it is closed it comes back by itself, with the last id.
    if (source.readyState === EventSource.CLOSED) reopen(url);
  });
  source.addEventListener("message", (event) => {
    lastId = event.lastEventId;
    if (isNew(lastId)) showMessage(JSON.parse(event.data));
  });
  source.addEventListener("presence", (event) => {
    // It has no id of its own and tells that of the last kept event.
    lastId = event.lastEventId;
    const { users, more } = JSON.parse(event.data);
    showUsers(users, more);
  });
  source.addEventListener("reset", (event) => {
    lastId = event.lastEventId;
    showGap();
  });
}

// The browser gave up: an answer other than 200. An EventSource does not tell which, so ask, and try
// again unless it is the name that is refused.
async function reopen(url) {
  shut();
  const wait = Math.min(BACKOFF_MILLIS * 2 ** attempts, BACKOFF_MILLIS_MAX);
  attempts += 1;
  again = setTimeout(() => open($("state").dataset.state), wait * (0.5 + Math.random() / 2));
  const waiting = again;
  const refusal = await whyNot(url);
  // Meanwhile the person may have closed, or it was tried again.
  if (!refusal || waiting !== again || !name) return;
  complain(refusal.text);
  if (refusal.status === 400) {
    leave();
    user.focus();
  }
}

// What the server says against this stream; null if nothing, or if it cannot be asked.
async function whyNot(url) {
  const asking = new AbortController();
  const deadline = setTimeout(() => asking.abort(), POST_MILLIS);
  try {
    const answer = await fetch(url, { signal: asking.signal });
    if (answer.ok) return null;
    const { error } = await answer.json().catch(() => ({}));
    return { status: answer.status, text: error ?? `The server answered ${answer.status}.` };
  } catch {
    return null;
  } finally {
    // Also ends the stream, if one was given.
    asking.abort();
    clearTimeout(deadline);
  }
}

function shut() {
  clearTimeout(again);
  again = undefined;
  source?.close();
  source = null;
}

// A page that is left must not keep one of the six connections that a browser has for a host.
addEventListener("pagehide", shut);
addEventListener("pageshow", () => {
  if (name && !source) open("reconnecting");
});
addEventListener("online", () => {
  if (again) open($("state").dataset.state);
});

// ---- saying something ----

async function say() {
  const text = message.value;
  if (!text.trim()) {
    message.focus();
    return;
  }
  // Whoever speaks is here.
  if (!name && !join()) return;
  send.disabled = true;
  try {
    await post(name, text);
    complain("");
    // Unless it was changed in the meantime.
    if (message.value === text) message.value = "";
    follow();
  } catch (error) {
    complain(`Not sent: ${error.message}`);
  } finally {
    send.disabled = false;
    message.focus();
  }
}

async function post(user, message) {
  let answer;
  try {
    answer = await fetch("/sse/message", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ user, message }),
      signal: AbortSignal.timeout(POST_MILLIS),
    });
  } catch (error) {
    const late = error.name === "TimeoutError";
    throw new Error(late ? "no answer in time; it may have arrived all the same." : "the server cannot be reached.");
  }
  const { succeeded, errorMessage } = await answer.json().catch(() => ({}));
  if (!succeeded) throw new Error(errorMessage ?? `the server answered ${answer.status}.`);
}

// ---- the page ----

function show(state) {
  const badge = $("state");
  if (badge.dataset.state !== state) {
    badge.dataset.state = state;
    badge.textContent = state;
  }
  // A field that is disabled loses the focus, so the name is only locked.
  user.readOnly = state !== "closed";
  connect.disabled = state !== "closed";
  close.disabled = state === "closed";
  showCount();
}

function complain(text) {
  trouble.textContent = text;
  trouble.hidden = !text;
}

function isNew(id) {
  if (ids.has(id)) return false;
  ids.add(id);
  if (ids.size > IDS_MAX) ids.delete(ids.values().next().value);
  return true;
}

function showMessage(said) {
  const who = element("bdi", "user", said.user);
  const text = element("p", "text", said.message);
  // An Arabic message among English ones runs from right to left by itself.
  text.dir = "auto";
  const head = element("p", "head");
  head.append(who, time(said.at));
  const item = element("li", "message");
  item.classList.toggle("mine", said.user === name);
  item.append(head, text);
  append(item);
  if (!following) {
    unread += 1;
    showUnread();
  }
}

function showGap() {
  // One note is enough where nothing was said in between.
  if (messages.lastElementChild?.classList.contains("gap")) messages.lastElementChild.remove();
  const now = new Date().toISOString();
  const item = element("li", "gap", "Some messages may be missing here: the server no longer knows where we were. ");
  item.append(time(now));
  append(item);
}

function append(item) {
  $("empty").hidden = true;
  messages.append(item);
  while (messages.childElementCount > MESSAGES_MAX) messages.firstElementChild.remove();
  scroll();
}

function showUsers(names, more = 0) {
  users.replaceChildren(
    ...names.map((name) => {
      const item = element("li", "user");
      item.append(element("bdi", "", name));
      return item;
    }),
  );
  if (more) users.append(element("li", "more", `and ${more} more`));
  present = names.length + more;
  $("nobody").hidden = present > 0;
  showCount();
}

// Who is here now is not known while nothing arrives.
function showCount() {
  const live = $("state").dataset.state === "live";
  users.classList.toggle("stale", !live);
  const heading = live || !present ? "Here now" : "Here when last heard";
  $("here").textContent = present ? `${heading}: ${present}` : heading;
}

function element(tag, className, text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.textContent = text;
  return made;
}

// The time of day; with the date unless it is today.
function time(at) {
  const then = new Date(at);
  const made = element("time", "");
  made.dateTime = at;
  made.title = then.toLocaleString([], { dateStyle: "full", timeStyle: "long" });
  const clock = then.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  const isToday = then.toDateString() === new Date().toDateString();
  made.textContent = isToday ? clock : `${then.toLocaleDateString([], { day: "numeric", month: "short" })}, ${clock}`;
  return made;
}

// ---- staying with the newest ----

// Once per picture, however many messages came.
function scroll() {
  if (scrolling || !following) return;
  scrolling = true;
  requestAnimationFrame(() => {
    scrolling = false;
    log.scrollTop = log.scrollHeight;
  });
}

function follow() {
  following = true;
  unread = 0;
  showUnread();
  scroll();
}

function showUnread() {
  $("newest").hidden = unread === 0;
  $("newest").textContent = unread === 1 ? "1 new message ↓" : `${unread} new messages ↓`;
}

log.addEventListener("scroll", () => {
  // Our own scroll is still to come.
  if (scrolling) return;
  following = log.scrollHeight - log.scrollTop - log.clientHeight < END_PX;
  if (following && unread) follow();
});
new ResizeObserver(scroll).observe(log);
$("newest").addEventListener("click", () => {
  follow();
  log.focus();
});

// ---- the person ----

$("join").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!name && join()) message.focus();
});
close.addEventListener("click", () => {
  leave();
  connect.focus();
});
$("say").addEventListener("submit", (event) => {
  event.preventDefault();
  say();
});
message.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.isComposing) return;
  event.preventDefault();
  if (!send.disabled) say();
});

// Where a browser keeps nothing, the name is asked for each time.
function remember(name) {
  try {
    localStorage.setItem(NAME_KEY, name);
  } catch {}
}

function recall() {
  try {
    return localStorage.getItem(NAME_KEY) ?? "";
  } catch {
    return "";
  }
}

user.value ||= recall();
(user.value ? message : user).focus();

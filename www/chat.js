// The chat: one stream for what is said and who is here, one POST for each thing said.

import { connect as listen } from "./callout.js";
import { $, ask, complain, element, showState, time } from "./page.js";

// Messages on the page; the oldest go first.
const MESSAGES_MAX = 500;

// Ids of messages already shown. After a `reset` the server sends all that it keeps, and it keeps
// 100,000 events unless told otherwise.
const IDS_MAX = 100_000;

// Nearer to the end than this counts as reading the newest.
const END_PX = 40;

const NAME_KEY = "callout.user";

const [user, message, connect, send, close] = ["user", "message", "connect", "send", "close"].map($);
const [log, messages, users] = ["log", "messages", "users"].map($);

// The stream, and whose it is: empty while the person wants none.
let name = "";
let stream = null;

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
  // Whoever comes in is shown what was said last, also after a reload.
  stream = listen({ url: `/sse?${new URLSearchParams({ user: name })}`, resume: false });
  stream.on("state", () => show(stream.state));
  stream.on("message", (event) => isNew(event.id) && showMessage(event.json()));
  stream.on("presence", (event) => showUsers(event.json()));
  stream.on("reset", showGap);
  stream.on("error", refused);
  show(stream.state);
  return true;
}

function leave() {
  name = "";
  stream.close();
  showUsers({ users: [] });
}

// The stream comes back by itself, unless it is the name that is refused.
function refused({ status, data }) {
  complain(data);
  if (status !== 400) return;
  leave();
  user.focus();
}

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
    await ask("POST", "/sse/message", { user: name, message: text });
    complain("");
    // Unless it was changed in the meantime.
    if (message.value === text) message.value = "";
    follow();
  } catch (error) {
    complain(`Not sent: ${error.message}.`);
  } finally {
    send.disabled = false;
    message.focus();
  }
}

// ---- the page ----

function show(state) {
  showState(state);
  if (state === "live") complain("");
  // A field that is disabled loses the focus, so the name is only locked.
  user.readOnly = state !== "closed";
  connect.disabled = state !== "closed";
  close.disabled = state === "closed";
  showCount();
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
  const item = element("li", "gap", "Some messages may be missing here: the server no longer knows where we were. ");
  item.append(time(Date.now()));
  append(item);
}

function append(item) {
  $("empty").hidden = true;
  messages.append(item);
  while (messages.childElementCount > MESSAGES_MAX) messages.firstElementChild.remove();
  scroll();
}

function showUsers({ users: names, more = 0 }) {
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

// The chat: one stream for the messages and for who is here, one POST for each message.

import { closed, isClosed, refuseWriting, subscribe } from "./access.js";
import { $, ask, element, orNull, refocus, showState, showTrouble, time, words } from "./page.js";

// Messages on the page; the oldest are removed first.
const MESSAGES_MAX = 500;

// Ids of messages already shown. After a `reset` the server sends all that it keeps, which is 100,000 events unless
// it was started with another limit.
const IDS_MAX = 100_000;

// A log that is scrolled nearer to its end than this shows the newest message.
const END_PX = 40;

const NAME_KEY = "callout.user";

// The stream, and the name it was opened with: empty while the person is not connected.
let name = "";
let stream = null;

// What is on the page.
const ids = new Set();
let userCount = 0;
let showsNewest = true;
let unread = 0;
let scrolling = false;

// ---- the stream ----

function join() {
  const wanted = $("user").value.trim();
  if (!wanted) {
    showTrouble("Enter your name first.");
    $("user").focus();
    return false;
  }
  showTrouble("");
  name = wanted;
  $("user").value = wanted;
  orNull(() => localStorage.setItem(NAME_KEY, wanted));
  // Each new stream begins with the latest messages, also after a reload.
  stream = subscribe({ url: `sse?${new URLSearchParams({ user: name })}`, resume: false }, closed("chat"), {
    state: show,
    message: (event) => isNew(event.id) && showMessage(event.json()),
    presence: (event) => showUsers(event.json()),
    reset: showGap,
    error: showRefusal,
  });
  show(stream.state);
  return true;
}

function leave() {
  name = "";
  stream.close();
  showUsers({ users: [] });
}

// The stream reconnects by itself; but where the name is refused, another name has to be entered.
function showRefusal(event) {
  showTrouble(words(event));
  if (event.status !== 400) return;
  leave();
  $("user").focus();
}

// ---- sending a message ----

async function send() {
  const text = $("message").value;
  if (!text.trim()) {
    $("message").focus();
    return;
  }
  // A user who sends a message is here.
  if (!name && !join()) return;
  $("send").disabled = true;
  try {
    await ask("POST", "sse/message", { user: name, message: text });
    showTrouble("");
    // Unless it was changed in the meantime.
    if ($("message").value === text) $("message").value = "";
    showNewest();
  } catch (error) {
    showTrouble(`Not sent: ${error.message}.`);
    await refuseWriting(error);
  } finally {
    $("send").disabled = isClosed();
    refocus($("message"), $("send"));
  }
}

// ---- the page ----

function show(state) {
  showState(state);
  if (state === "live") showTrouble("");
  // The name is made read-only and not disabled: a field that is disabled loses the focus.
  $("user").readOnly = state !== "closed";
  $("connect").disabled = state !== "closed";
  $("close").disabled = state === "closed";
  showUserCount();
}

function isNew(id) {
  if (ids.has(id)) return false;
  ids.add(id);
  if (ids.size > IDS_MAX) ids.delete(ids.values().next().value);
  return true;
}

function showMessage({ user, message, at }) {
  const text = element("p", "text", message);
  // So an Arabic message among English ones runs from right to left.
  text.dir = "auto";
  const head = element("p", "head");
  head.append(element("bdi", "user", user), time(at));
  const item = element("li", "message");
  item.classList.toggle("mine", user === name);
  item.append(head, text);
  append(item);
  if (!showsNewest) {
    unread += 1;
    showUnread();
  }
}

function showGap() {
  // One note is enough where no message came in between.
  const last = $("messages").lastElementChild;
  if (last?.classList.contains("gap")) last.remove();
  const item = element("li", "gap", "Messages may be missing here: the server no longer has all that it sent meanwhile. ");
  item.append(time(Date.now()));
  append(item);
}

function append(item) {
  $("empty").hidden = true;
  $("messages").append(item);
  while ($("messages").childElementCount > MESSAGES_MAX) $("messages").firstElementChild.remove();
  scroll();
}

function showUsers({ users, more = 0 }) {
  $("users").replaceChildren(
    ...users.map((name) => {
      const item = element("li", "user");
      item.append(element("bdi", "", name));
      return item;
    }),
  );
  if (more) $("users").append(element("li", "more", `and ${more} more`));
  userCount = users.length + more;
  $("nobody").hidden = userCount > 0;
  showUserCount();
}

// While the stream is not live nobody knows who is here now.
function showUserCount() {
  const isLive = $("state").dataset.state === "live";
  $("users").classList.toggle("stale", !isLive);
  const heading = isLive || !userCount ? "Here now" : "Here when last connected";
  $("here").textContent = userCount ? `${heading}: ${userCount}` : heading;
}

// ---- the newest message ----

// Scrolls once per frame, however many messages came.
function scroll() {
  if (scrolling || !showsNewest) return;
  scrolling = true;
  requestAnimationFrame(() => {
    scrolling = false;
    $("log").scrollTop = $("log").scrollHeight;
  });
}

function showNewest() {
  showsNewest = true;
  unread = 0;
  showUnread();
  scroll();
}

function showUnread() {
  $("newest").hidden = unread === 0;
  $("newest").textContent = unread === 1 ? "1 new message ↓" : `${unread} new messages ↓`;
}

$("log").addEventListener("scroll", () => {
  // The page is about to scroll by itself.
  if (scrolling) return;
  const { scrollHeight, scrollTop, clientHeight } = $("log");
  showsNewest = scrollHeight - scrollTop - clientHeight < END_PX;
  if (showsNewest && unread) showNewest();
});
new ResizeObserver(scroll).observe($("log"));
$("newest").addEventListener("click", () => {
  showNewest();
  $("log").focus();
});

// ---- the forms ----

$("join").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!name && join()) $("message").focus();
});
$("close").addEventListener("click", () => {
  leave();
  $("connect").focus();
});
$("say").addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
$("message").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.isComposing) return;
  event.preventDefault();
  if (!$("send").disabled) send();
});

$("user").value ||= orNull(() => localStorage.getItem(NAME_KEY)) ?? "";
($("user").value ? $("message") : $("user")).focus();

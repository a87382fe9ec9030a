// Who the visitor is to this server, and what a page says and does where they may not read or write.
//
// A page takes a ticket from its address (`#ticket=…`, or `?ticket=…`, which servers and logs see) or from a field, and
// trades it for a cookie: it is out of reach of scripts, and all tabs of the browser have the same one, as they share
// their streams. A stream that is refused is closed, and opened again when another ticket has come, in whichever tab.

import { connect } from "./callout.js";
import { ask, element, words } from "./page.js";

// Where other tabs are told of another ticket.
const CHANNEL = "callout.ticket";

// What each page calls what it shows.
const NAMES = {
  chat: "The chat",
  activity: "The server’s activity",
  notifications: "The notifications",
  wall: "The wall",
  posts: "The posts",
  check: "The check",
};

// The page's name in rules. The start page has none.
const area = document.querySelector(".site nav [aria-current]")?.textContent.toLowerCase();

// Buttons that publish.
const writers = [...document.querySelectorAll("[data-writes]")];

// What the visitor may, as `GET /access` says it; nothing where it did not answer.
export let visitor = {};

// What is refused: each with what it says. `foreseen` is what the server says before anything was tried.
const refusals = new Map();
let foreseen;

// What is to be done when there is another ticket; each is told whether it is another user's.
const followers = new Set();

// ---- streams ----

// Whether callout refused it, and not a proxy, whose mind may change by itself.
export const isRefusal = ({ status, hint }) => Boolean(hint) && (status === 401 || status === 403);

// A stream of callout.js that is not opened again and again where the visitor may not read it: its state is `refused` then,
// and it goes on after its last id when there is another ticket. `title` says what is closed. The listeners are those of
// callout.js, but that of `state` is handed the state.
export function subscribe(wanted, title, listeners) {
  const given = typeof wanted === "string" ? { url: wanted } : wanted;
  const stream = { state: "connecting", close };
  let end;

  // `mayRepeat`: a ticket that was refused is gone from the browser, and perhaps none is needed.
  function open(isAgain, mayRepeat) {
    const opened = connect(isAgain ? { ...given, resume: true } : given);
    let isOver = false;
    end = () => {
      isOver = true;
      opened.close();
    };
    opened.on("unauthorized", (event) => {
      const { reason: data, hint } = event.json();
      refuse(stream, title, { data, hint });
    });
    opened.on("error", (event) => {
      if (isOver) return;
      if (!isRefusal(event)) return listeners.error?.(event);
      refuse(stream, title, event);
      end();
      if (event.status === 401 && mayRepeat) return open(true, false);
      tell("refused");
      look();
    });
    opened.on("state", () => {
      if (isOver) return;
      if (opened.state === "live") {
        mayRepeat = true;
        if (refusals.has(stream)) look();
        allow(stream);
      }
      tell(opened.state);
    });
    for (const name of Object.keys(listeners).filter((name) => name !== "state" && name !== "error")) {
      opened.on(name, (event) => event.name === "unauthorized" || listeners[name](event));
    }
  }

  function tell(state) {
    if (state === stream.state) return;
    stream.state = state;
    listeners.state?.(state);
  }

  // What one user was let in for, another may not see.
  function again(isAnother) {
    if (stream.state !== "refused" && !isAnother) return;
    end();
    tell("connecting");
    open(true, true);
  }

  function close() {
    end();
    followers.delete(again);
    allow(stream);
    tell("closed");
  }

  followers.add(again);
  open(false, true);
  return stream;
}

// ---- what is refused ----

// To be called with the error of a request that was to write: says why, if it was refused.
export async function refuseWriting(error) {
  if (!isRefusal(error)) return;
  await look();
  // The ticket may have ended, and nobody need have one.
  if (area && visitor.pages?.[area].publish) return;
  refuse(refuseWriting, "You may not write here.", { data: error.reason, hint: error.hint });
}

function refuse(who, title, { data, hint }) {
  // The first reason says most: that a ticket has ended, and not that there is none.
  if (!refusals.has(who)) refusals.set(who, { title, text: sentence(words({ data, hint })) });
  show();
}

function allow(who) {
  if (refusals.delete(who)) show();
}

// Asks what the visitor may, and shows it. Where there is no answer, the streams say so too.
async function look() {
  visitor = await ask("GET", "access").catch(() => ({}));
  const may = visitor.pages?.[area];
  foreseen = undefined;
  if (may && !may.subscribe) foreseen = { title: closed(area), text: sentence(words({ ...may, data: may.reason })) };
  else if (may && !may.publish && writers.length) {
    foreseen = { title: "You may read here, and not write.", text: sentence(words({ ...may, data: may.reason })) };
  }
  show();
  showVisitor();
}

export const closed = (page) => `${NAMES[page]} ${["activity", "check", "chat", "wall"].includes(page) ? "is" : "are"} closed to you.`;

export const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}.`;

// Whether what the page's buttons do would be refused.
export const isClosed = () => Boolean(foreseen) || [...refusals.keys()].some((who) => who !== takeFromAddress);

function show() {
  const shown = refusals.values().next().value ?? foreseen;
  for (const button of writers) {
    button.disabled = isClosed();
    if (button.disabled) button.setAttribute("aria-describedby", gate.says.id);
    else button.removeAttribute("aria-describedby");
  }
  if (!shown) return hide();
  // Text that has not changed is not read out again.
  if (gate.title.textContent !== shown.title) gate.title.textContent = shown.title;
  if (gate.text.textContent !== shown.text) gate.text.textContent = shown.text;
  gate.item.hidden = false;
}

function hide() {
  setHidden(gate.item, true);
  gate.title.textContent = gate.text.textContent = gate.trouble.textContent = gate.field.value = "";
}

// What is hidden loses the focus, which then goes to the page's title.
function setHidden(item, isHidden) {
  const hadFocus = item.contains(document.activeElement);
  item.hidden = isHidden;
  if (hadFocus && isHidden) document.querySelector("h1").focus();
}

// ---- tickets ----

// Called whenever the visitor has got another ticket.
export function onTicket(handler) {
  followers.add(handler);
}

// Takes a ticket, or a link that has one. The error says why it cannot be taken.
async function take(text) {
  const ticket = new URLSearchParams(text.split(/[#?]/).slice(1).join("&")).get("ticket") ?? text.trim();
  await ask("POST", "tickets/cookie", { ticket });
  channel.postMessage("changed");
  await change();
}

// Goes on with what the visitor may now.
async function change() {
  const { user } = visitor;
  refusals.clear();
  await look();
  // A follower may have closed the stream of another.
  for (const follower of [...followers]) if (followers.has(follower)) follower(visitor.user !== user);
}

// The ticket of the page's address, which then has none: addresses are copied and kept.
function fromAddress() {
  const url = new URL(location);
  const hash = new URLSearchParams(url.hash.slice(1));
  const ticket = hash.get("ticket") ?? url.searchParams.get("ticket");
  if (ticket === null) return;
  hash.delete("ticket");
  url.searchParams.delete("ticket");
  url.hash = hash;
  history.replaceState(history.state, "", url);
  return ticket;
}

async function takeFromAddress() {
  const ticket = fromAddress();
  if (ticket === undefined) return;
  await take(ticket).catch((error) => refuse(takeFromAddress, "The ticket in the address cannot be used.", { data: error.message }));
}

async function signOut() {
  await ask("DELETE", "tickets/cookie").catch(() => {});
  channel.postMessage("changed");
  await change();
}

// ---- the page ----

function makeGate() {
  const item = element("section", "gate");
  const says = element("div");
  says.id = "gate-says";
  says.setAttribute("role", "alert");
  const [title, text] = [element("p", "trouble"), element("p")];
  says.append(title, text);
  const form = element("form", "row");
  const label = element("label", "", "Ticket");
  const field = element("input");
  Object.assign(field, { id: "gate-ticket", type: "password", autocomplete: "off", required: true });
  label.htmlFor = field.id;
  const holder = element("div", "field");
  holder.append(label, field);
  form.append(holder, element("button", "", "Use it"));
  const trouble = element("p", "trouble");
  trouble.id = "gate-trouble";
  trouble.setAttribute("role", "alert");
  field.setAttribute("aria-describedby", trouble.id);
  const advice = "Ask whoever runs this server for a ticket. A link with a ticket can be pasted too.";
  item.append(says, element("p", "quiet", advice), form, trouble);
  item.setAttribute("aria-label", "What is closed");
  item.hidden = true;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    trouble.textContent = "";
    try {
      await take(field.value);
      field.value = "";
    } catch (error) {
      trouble.textContent = sentence(error.message);
      field.focus();
    }
  });
  const heading = document.querySelector("main .title");
  heading.querySelector("h1").tabIndex = -1;
  heading.after(item);
  return { item, says, title, text, field, trouble };
}

// Says in the header whose ticket it is.
function showVisitor() {
  const { user } = visitor;
  setHidden(account, !user);
  account.firstElementChild.textContent = user ?? "";
}

function makeAccount() {
  const made = element("p", "account");
  const button = element("button", "plain", "Sign out");
  button.type = "button";
  button.addEventListener("click", signOut);
  made.append(element("bdi"), button);
  made.hidden = true;
  document.querySelector("header.site").append(made);
  return made;
}

const gate = makeGate();
const account = makeAccount();

// A page with an open channel may not be kept for the back button.
let channel;
function listen() {
  channel = new BroadcastChannel(CHANNEL);
  channel.onmessage = change;
}
listen();
addEventListener("pagehide", () => channel.close());
addEventListener("pageshow", ({ persisted }) => {
  if (!persisted) return;
  listen();
  change();
});

addEventListener("hashchange", takeFromAddress);
// What imports this file runs when the ticket of the address was traded.
await takeFromAddress();

// Settles when it is known what the visitor may.
export const known = visitor.pages ? Promise.resolve() : look();

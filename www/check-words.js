// What the check says: each measurement as a finding, which is a verdict, a text, and the name of what helps.

import { EVENTS, LEFT_MILLIS, PAUSE_MILLIS, now } from "./check-measure.js";
import { span } from "./page.js";

// An event that is later than this is late. It counts from the answer to its own publication, so that a long distance
// (a slow line, another continent) is not mistaken for a proxy that holds events up.
const LATE_MILLIS = 250;

// A smaller difference between the clocks is not worth mentioning.
const CLOCK_MILLIS = 2000;

// A stream that is silent for so many heartbeats does not receive them.
const SILENT_HEARTBEATS = 2.5;

export const TITLES = {
  open: "A stream opens",
  pace: "Events arrive at once",
  lasting: "A stream lasts",
  presence: "Leaving is noticed",
  resume: "Reconnecting misses nothing",
  replay: "What was missed arrives at once",
  http: "Many streams at a time",
  clock: "The clocks agree",
  access: "What is open to you",
};

// The verdicts in words; `look` means that it works and could be better.
export const VERDICTS = { wait: "wait", good: "good", look: "look here", bad: "bad", none: "not tried" };

const finding = (verdict) => (text, cure) => ({ verdict, text, cure });
export const [wait, good, look, bad, none] = Object.keys(VERDICTS).map(finding);

export function opening(stream) {
  if (stream.opened) return good(`The server’s first bytes arrived after ${spent(stream.opened - stream.began)}.`);
  if (stream.isRefused) return bad(`It was refused: ${stream.end}.`, refusalCure(stream));
  const waited = spent((stream.ended ?? now()) - stream.began);
  const text = `Nothing arrived within ${waited}, not even the greeting that the server sends at once`;
  return bad(stream.end ? `${text}; then ${stream.end}.` : `${text}.`);
}

const refusalCure = (stream) => stream.isFull && "streams";

export function pace(stream, sent) {
  const missing = sent.filter(({ arrived }) => !arrived);
  if (missing.length) return paceOfSome(stream, missing);
  const late = sent.map(({ arrived, answered }) => arrived - answered);
  const took = median(sent.map(({ arrived, sent }) => arrived - sent));
  const isLump = ({ arrived }, at) => at && arrived - sent[at - 1].arrived < PAUSE_MILLIS / 4;
  const usual = `an event arrives ${spent(took)} after it was sent`;
  const latest = spent(Math.max(...late));
  if (Math.max(...late) < LATE_MILLIS) {
    const far = took < LATE_MILLIS ? "" : ", which is how long the way itself takes";
    return good(`At once: ${usual} (the median of ${EVENTS})${far}.`);
  }
  if (sent.some(isLump)) return bad(`Held up: events arrive several at a time, the latest ${latest} after it was published.`, "buffering");
  if (median(late) < LATE_MILLIS) return look(`Not all at once: ${usual}, the latest ${latest} after it was published.`, "buffering");
  return bad(`Late: ${usual}, the latest ${latest} after it was published.`, "buffering");
}

function paceOfSome(stream, missing) {
  const waited = (stream.ended ?? now()) - missing[0].answered;
  if (missing.every(({ reached }) => reached === 0)) {
    return bad("The server that received the events has no stream of this page. Does another server hold the stream?", "servers");
  }
  if (waited < LEFT_MILLIS) return bad(`The stream was cut meanwhile: ${stream.end}.`, "silence");
  const arrived = missing.length === EVENTS ? `none of ${EVENTS} events` : `${EVENTS - missing.length} of ${EVENTS} events`;
  return bad(`Held up: ${arrived} arrived within ${spent(waited)}, though the server sent them at once.`, "buffering");
}

export function protocol(spoken) {
  if (!spoken) return none("This browser does not say which version of HTTP it uses.");
  if (spoken === "h2" || spoken === "h3") {
    return good(`HTTP/${spoken[1]}: all tabs share one connection, which has room for about a hundred streams.`);
  }
  // Browsers have locks for https and localhost only, and without them the tabs cannot agree which of them reads.
  const shared = navigator.locks
    ? "Pages that use callout.js share one stream. For other pages let a proxy in front speak HTTP/2."
    : "Pages that use callout.js would share one stream, but not without https. Let a proxy in front speak HTTP/2, which needs https too.";
  const text =
    "HTTP/1.1: the browser has six connections to this host, for all its tabs together, and each stream takes one. " + shared;
  return look(text, "http2");
}

// Of several attempts the fastest says most about the clocks.
export function clock(attempts) {
  const { took, ahead } = attempts.reduce((best, one) => (one.took < best.took ? one : best));
  const doubt = took / 2;
  const off = Math.abs(ahead);
  const within = `give or take ${spent(doubt)}, half of the round trip`;
  if (off - doubt < CLOCK_MILLIS) return good(`They are ${spent(off)} apart, ${within}.`);
  const which = ahead < 0 ? "The server’s clock is slow" : "The server’s clock is fast, or this browser’s slow";
  return look(`${which}: by ${spent(off)}, ${within}. Times on the pages are wrong by as much.`, "clock");
}

export function presence({ wasCut, missed, took, isStillHere }) {
  if (wasCut) return none("The stream was cut before the page could leave it.");
  if (isStillHere) return bad(`After ${spent(took)} the server still counts this page as present.`, "presence");
  if (missed.length === 1) return good("The server noticed within a second, without writing anything.");
  return look(`The server noticed after ${spent(took)}, and only because it wrote something.`, "presence");
}

// None if there was no last id to reconnect with.
export function resuming(resumed) {
  if (!resumed) return none("Cannot be tried while events are held up.");
  const { stream, missed, wanted, received } = resumed;
  if (stream.isRefused) return none(`Could not be tried: ${stream.end}.`, refusalCure(stream));
  if (received.join() === wanted.join()) {
    const count = missed.length === 1 ? "One event was" : `${missed.length} events were`;
    return good(`${count} published meanwhile and arrived, in order and once, and then a new one.`);
  }
  if (stream.events.some((event) => event.name === "reset")) {
    return bad("The server does not know the last id, which this page has from the server itself.", "servers");
  }
  if (wanted.slice(-1).join() === received.join()) {
    return bad("The missed events did not arrive: the server was not told the last id.", "header");
  }
  return bad(`Of ${wanted.length} events ${received.length} arrived, or in another order.`, "buffering");
}

// How long it took from the request until the missed events were there, beside how long a stream takes to open.
export function replay(resumed) {
  if (!resumed || resumed.stream.isRefused) return none("Cannot be tried without reconnecting.");
  const { before, stream, missed } = resumed;
  const last = stream.events.find(({ id }) => id === missed.at(-1).id);
  if (!last) return bad(`Held up, or lost: the ${missed.length} events did not arrive together.`, "buffering");
  const took = last.at - stream.began;
  const text = `The last of ${missed.length} missed events arrived ${spent(took)} after the page asked for them`;
  if (took - (before.opened - before.began) < 2 * LATE_MILLIS) return good(`${text}.`);
  return bad(`Held up: ${text[0].toLowerCase()}${text.slice(1)}. A large piece is treated otherwise than a small one.`, "buffering");
}

// What the server's rules give the visitor: no fault, whatever it is.
export function access({ user, pages }) {
  if (!pages) return none("The server did not say.");
  const may = Object.entries(pages);
  const names = (wanted) => may.filter(([, page]) => wanted(page)).map(([name]) => name).join(", ");
  const parts = [
    ["to read and write", names(({ subscribe, publish }) => subscribe && publish)],
    ["to read only", names(({ subscribe, publish }) => subscribe && !publish)],
    ["closed", names(({ subscribe }) => !subscribe)],
  ];
  const found = parts.filter(([, names]) => names).map(([what, names]) => `${what}: ${names}`);
  return good(`${user ? `With the ticket of ${user}` : "Without a ticket"}, ${found.join("; ")}.`);
}

// A stream that goes on, and the cuts before it.
export function lasting(stream, cuts) {
  const { heartbeat_secs } = stream;
  const silence = now() - stream.heard;
  const lasted = `Has lasted ${spent(now() - stream.began)} so far`;
  const beat = `the server sends a heartbeat every ${heartbeat_secs} s`;
  const before = cuts.length ? ` The one before ${ending(cuts)}` : "";
  if (silence > heartbeat_secs * SILENT_HEARTBEATS * 1000) {
    return bad(`${lasted}, silent for ${spent(silence)}, though ${beat}.${before}`, "buffering");
  }
  if (cuts.length) return { ...cuts.at(-1), text: `${lasted}.${before}` };
  if (stream.beats) return good(`${lasted}; ${beat}, the last one ${spent(silence)} ago. It goes on while this page is open.`);
  return wait(`${lasted}; ${beat}, the first is still to come.`);
}

export function notLasting(stream) {
  if (stream.isRefused) return bad(`No stream: ${stream.end}.`, refusalCure(stream));
  return bad("No answer from the server, or from the proxy in front of it.");
}

// A finding about what ended a stream that the page did not close, with how long it had lasted. `health` is what the
// server answers afterwards.
export function cut(stream, health) {
  const lasted = stream.ended - stream.began;
  return { ...causeOfCut(stream, health, lasted), lasted };
}

function causeOfCut(stream, health, lasted) {
  if (stream.isDrained) return look("the server said goodbye: it was stopped or is being replaced.");
  if (!health) return look("there was no answer any more from the server, or from the proxy in front of it.");
  if (health.uptime_secs * 1000 < lasted) return look("the server was restarted.");
  if (stream.beats) return look("it was cut although heartbeats arrived: something limits how long an answer may take.", "duration");
  const first = `the server’s first heartbeat, which comes after ${stream.heartbeat_secs} s of silence`;
  return bad(`it was cut before ${first}.`, "silence");
}

export function afterCut(cuts) {
  return { ...cuts.at(-1), text: `The stream ${ending(cuts)}` };
}

function ending(cuts) {
  const { lasted, text } = cuts.at(-1);
  const times = cuts.slice(-3).map((cut) => spent(cut.lasted)).join(", ");
  const often = cuts.length > 1 ? ` That is ${cuts.length} times so far, after ${times}.` : "";
  return `ended after ${spent(lasted)}: ${text}${often}`;
}

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return (sorted[Math.ceil(middle) - 1] + sorted[Math.floor(middle)]) / 2;
}

// Milliseconds in words, no more exact than a person can feel: `7 ms`, `1.2 s`, `2 min 10 s`.
function spent(millis) {
  const secs = millis / 1000;
  if (secs < 1) return `${Math.round(millis)} ms`;
  if (secs < 10) return `${secs.toFixed(1).replace(".0", "")} s`;
  return span(Math.round(secs));
}

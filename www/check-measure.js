// What the check measures: streams of its own, events that it sends to itself, and what became of them.
//
// It reads the streams itself and shares none with other tabs, because the way itself is what is measured. Nothing is
// judged here; `check-words.js` does that.

import { HOME, words } from "./page.js";

// A request without an answer for so long has failed, and an event that has not arrived by then is held up.
export const PATIENCE_MILLIS = 10_000;

// A stream that has not opened after so long is sent events all the same, a little before most proxies give up on it.
export const OPENING_MILLIS = 2000;

// Events to measure with, and the pause between them, which is longer than the intervals at which proxies usually flush.
export const EVENTS = 6;
export const PAUSE_MILLIS = 400;

// Events that a browser misses before it reconnects: together they are larger than what a proxy lets through as it is
// because it is small.
export const MISSED_EVENTS = 24;

// How soon the server has to notice that a browser left, and how long the page waits for that.
export const LEFT_MILLIS = 1000;
const LEFT_PATIENCE_MILLIS = 5000;

// The server's default, for a stream that has not said it.
const HEARTBEAT_SECS = 15;

// How often a condition is looked at while the page waits for it.
const LOOK_MILLIS = 20;

export const now = () => performance.now();
export const pause = (millis) => new Promise((done) => setTimeout(done, millis));
export const randomId = () => crypto.getRandomValues(new Uint32Array(4)).join("-");

// Waits until it holds, or until the time is over.
export async function until(holds, millis, signal) {
  const giveUp = now() + millis;
  while (!holds() && now() < giveUp && !signal.aborted) await pause(LOOK_MILLIS);
}

// ---- measurements ----

// Opens a stream and waits for its first bytes, but not for ever.
export async function open(id, signal) {
  const stream = subscribe(id, signal);
  await until(() => stream.opened || stream.end, OPENING_MILLIS, signal);
  return stream;
}

// Sends events and waits for them. They are sent to a stream that has not opened too: a proxy that collects what the
// server sends may collect the greeting. Returns what was sent, each with the time of its arrival if it arrived.
export async function pace(stream, send, progress) {
  const sent = [];
  for (let count = 0; count < EVENTS; count += 1) {
    progress(`Sending ${count + 1} of ${EVENTS} …`);
    sent.push(await send());
    await pause(PAUSE_MILLIS);
  }
  const arrival = ({ id }) => stream.events.find((event) => event.id === id)?.at;
  progress("Waiting for the events …");
  await until(() => sent.every(arrival) || stream.end, PATIENCE_MILLIS, stream.signal);
  return sent.map((event) => ({ ...event, arrived: arrival(event) }));
}

// Closes the stream, and sends events until the server knows that. Returns how long that took, whether the last event
// still reached the stream, and the events that were sent meanwhile.
export async function leave(stream, send) {
  const missed = [];
  const wasCut = Boolean(stream.end);
  const left = now();
  stream.close();
  // Sending makes the server write to the stream, and some servers notice only then that nobody reads it. So the page
  // waits first.
  await pause(LEFT_MILLIS);
  let sent;
  do {
    sent = await send();
    missed.push(sent);
    if (sent.reached) await pause(PAUSE_MILLIS);
  } while (sent.reached && now() - left < LEFT_PATIENCE_MILLIS);
  return { wasCut, missed, took: sent.answered - left, isStillHere: sent.reached > 0 };
}

// Reconnects as an EventSource does, with the last id that `before` received. Returns the new stream, the ids of the
// events that it received and of those that it should have received: the missed ones, then a new one.
export async function resume(id, before, missed, send, signal) {
  const lastId = before.events.at(-1)?.id;
  if (!lastId) return null;
  const more = Array.from({ length: MISSED_EVENTS - missed.length }, send);
  missed = [...missed, ...(await Promise.all(more))].sort((a, b) => (a.id < b.id ? -1 : 1));
  const stream = subscribe(id, signal, lastId);
  await until(() => stream.events.length >= missed.length || stream.end, PATIENCE_MILLIS, signal);
  const wanted = [...missed, await send()].map((event) => event.id);
  await until(() => stream.events.at(-1)?.id === wanted.at(-1) || stream.end, PATIENCE_MILLIS, signal);
  stream.close();
  return { before, stream, missed, wanted, received: stream.events.map((event) => event.id) };
}

// The version of HTTP that the browser speaks with the server, or with the proxy that is next to the browser.
export function protocol(id) {
  const url = new URL(`check/${id}`, HOME).href;
  return performance.getEntriesByName(url).at(-1)?.nextHopProtocol;
}

// ---- talking to the server ----

// A stream: what arrived when, and how it ended.
export function subscribe(id, signal, lastId) {
  const ending = new AbortController();
  signal.addEventListener("abort", () => ending.abort());
  const stream = { signal, events: [], beats: 0, heartbeat_secs: HEARTBEAT_SECS, began: now(), heard: now() };
  stream.close = () => ending.abort();
  const headers = { accept: "text/event-stream" };
  if (lastId) headers["last-event-id"] = lastId;
  read(stream, fetch(new URL(`check/${id}`, HOME), { headers, cache: "no-store", signal: ending.signal })).then(
    () => finish(stream, "it ended"),
    (error) => finish(stream, stream.isRefused ? error.message : "the connection broke"),
  );
  return stream;
}

async function read(stream, answering) {
  const answer = await answering;
  if (answer.status !== 200) {
    stream.isRefused = true;
    throw new Error(await reason(answer));
  }
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let fields = {};
  for (let rest = ""; ; ) {
    const { done, value } = await reader.read();
    if (done) return;
    stream.heard = now();
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      const [, name, value] = /^([^:]*):? ?(.*)$/s.exec(line);
      if (line && name) fields[name] = value;
      else if (line) hear(stream, value);
      else {
        take(stream, fields);
        fields = {};
      }
    }
  }
}

// Takes a comment. The first is the greeting, and those after it are heartbeats.
function hear(stream, comment) {
  if (stream.opened) stream.beats += 1;
  stream.opened ??= stream.heard;
  stream.heartbeat_secs = Number(/heartbeat=([\d.]+)/.exec(comment)?.[1] ?? stream.heartbeat_secs);
}

function take(stream, { id, event, data }) {
  // A stream begins with the greeting. A server that has no permit left for a stream sends only the time after which
  // to reconnect, because a status other than 200 would stop an EventSource for good.
  if (!stream.opened) {
    Object.assign(stream, { isRefused: true, isFull: true });
    throw new Error("the server has as many streams as it may have");
  }
  stream.isDrained = event === "drain";
  if (data !== undefined) stream.events.push({ id, name: event, at: stream.heard });
}

function finish(stream, end) {
  stream.ended = now();
  // It is used in sentences that have a full stop of their own.
  stream.end = end.replace(/\.$/, "");
}

// Sends an event to the streams of this id. Returns when it was sent and answered, how many streams it reached, and how
// far the server's clock is ahead.
export async function post(id, signal) {
  const [sent, clock] = [now(), Date.now()];
  let answer;
  try {
    const deadline = AbortSignal.timeout(PATIENCE_MILLIS);
    answer = await fetch(new URL(`check/${id}`, HOME), { method: "POST", signal: AbortSignal.any([deadline, signal]) });
  } catch (error) {
    if (error.name !== "TimeoutError") throw new Error("the server cannot be reached.");
    throw new Error(`no answer within ${PATIENCE_MILLIS / 1000} s. Do other tabs hold all connections to this host?`);
  }
  const answered = now();
  if (!answer.ok) throw new Error(`publishing an event was answered ${answer.status}: ${await reason(answer)}.`);
  const { reached, at, ...event } = await answer.json();
  const took = answered - sent;
  return { ...event, reached, sent, answered, took, ahead: at - clock - took / 2 };
}

// The server's figures, or null if there is no answer.
export async function health() {
  try {
    const answer = await fetch(new URL("healthz", HOME), { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MILLIS) });
    return answer.ok ? await answer.json() : null;
  } catch {
    return null;
  }
}

async function reason(answer) {
  const { status, statusText } = answer;
  const { reason: data = `${status} ${statusText}`.trim(), hint } = await answer.json().catch(() => ({}));
  return words({ status, data, hint });
}

// Measures the way between this browser and callout: streams of its own, events to itself, and what became
// of them, in words. It reads the streams itself and shares none: it is the raw way that is tried out.

import { $, element, showState, span } from "./page.js";

// What may be late without anybody noticing. An event counts from the answer to its own publication, so that
// a long way (a slow line, another continent) is not mistaken for somebody who holds events up.
const LATE_MILLIS = 250;

// What has not come by then is held up. A stream that has not opened is sent events all the same, a little
// earlier than most of those in between give up on it.
const PATIENCE_MILLIS = 10_000;
const OPENING_MILLIS = 2000;

// Events to measure with, and the pause between them: longer than a proxy's usual delays are apart.
const EVENTS = 6;
const PAUSE_MILLIS = 400;

// How soon the server has to know that a browser left, and how long that is looked at.
const LEFT_MILLIS = 1000;
const LEFT_PATIENCE_MILLIS = 5000;

// A clock that is wrong by less is not worth a word.
const CLOCK_MILLIS = 2000;

// What callout does unless it is told otherwise, for a stream that has not said it.
const HEARTBEAT_SECS = 15;

// A stream that is silent for so many heartbeats does not get them.
const SILENT_HEARTBEATS = 2.5;

// How often times are shown anew, how often it is looked whether something came, and the pause before a
// stream that was cut is opened again.
const SHOW_MILLIS = 1000;
const LOOK_MILLIS = 20;
const AGAIN_MILLIS = 1000;

const TITLES = {
  open: "A stream opens",
  pace: "Events arrive at once",
  lasting: "A stream lasts",
  presence: "Leaving is noticed",
  resume: "Coming back misses nothing",
  http: "Many streams at a time",
  clock: "The clocks agree",
};

// The words for what was found; `look` means that it works and could be better.
const WORDS = { wait: "wait", good: "good", look: "look here", bad: "bad", none: "not tried" };

const now = () => performance.now();
const pause = (millis) => new Promise((done) => setTimeout(done, millis));

// The run whose findings are shown. What an earlier one still finds is nobody's business.
let run;

// ---- the run ----

async function check() {
  run?.abort();
  const { signal } = (run = new AbortController());
  const show = (...finding) => signal.aborted || showFinding(...finding);
  performance.clearResourceTimings();
  $("cures").append(...document.querySelectorAll(".findings .cure"));
  $("findings").replaceChildren();
  $("summary").textContent = "Checking…";
  $("findings").ariaBusy = "true";
  for (const name in TITLES) show(name, "wait", "");

  showState("connecting");
  const id = crypto.getRandomValues(new Uint32Array(4)).join("-");
  const tries = [];
  const send = async () => {
    const sent = await post(id, signal);
    tries.push(sent);
    return sent;
  };
  try {
    const stream = await opening(id, signal, show);
    // Only now: where one place is left, more is found out with it by this stream than by one that lasts.
    last(signal, show);
    // What needs no stream is found out without one too.
    if (stream.isRefused) await send();
    else await pace(stream, send, show);
    protocol(id, show);
    clock(tries, show);
    if (stream.isRefused) throw new Error("no stream could be opened.");
    const missed = await presence(stream, send, show);
    await resuming(id, stream, missed, send, signal, show);
  } catch (error) {
    if (signal.aborted) return;
    for (const name in TITLES) {
      if (name !== "lasting" && found(name) === "wait") show(name, "none", `Could not be tried: ${error.message}`);
    }
  }
  if (signal.aborted) return;
  $("findings").ariaBusy = "false";
  summarize();
}

async function opening(id, signal, show) {
  const stream = follow(id, signal);
  await until(() => stream.opened || stream.end, OPENING_MILLIS, signal);
  showOpening(stream, show);
  return stream;
}

function showOpening(stream, show) {
  const waited = spent((stream.ended ?? now()) - stream.began);
  if (stream.opened) {
    show("open", "good", `The server’s first words came after ${spent(stream.opened - stream.began)}.`);
  } else if (stream.isRefused) {
    show("open", "bad", `It was refused: ${stream.end}.`, stream.advice);
  } else {
    const text = `Nothing came within ${waited}, not even the greeting that the server sends at once`;
    show("open", "bad", stream.end ? `${text}; then ${stream.end}.` : `${text}.`);
  }
}

// Sends events and looks when they come. They are sent to a stream that has not opened too: who collects
// what the server sends may collect its greeting.
async function pace(stream, send, show) {
  const sent = [];
  for (let count = 0; count < EVENTS; count += 1) {
    show("pace", "wait", `Sending ${count + 1} of ${EVENTS} …`);
    sent.push(await send());
    await pause(PAUSE_MILLIS);
  }
  const arrival = ({ id }) => stream.events.find((event) => event.id === id)?.at;
  show("pace", "wait", "Waiting for the events …");
  await until(() => sent.every(arrival) || stream.end, PATIENCE_MILLIS, stream.signal);
  showOpening(stream, show);
  // It took longer than a stream is waited for.
  if (stream.isRefused) return;
  const missing = sent.filter((event) => !arrival(event));
  if (missing.length) {
    const came = missing.length === EVENTS ? `none of ${EVENTS} events` : `${EVENTS - missing.length} of ${EVENTS} events`;
    const waited = (stream.ended ?? now()) - missing[0].answered;
    if (missing.every(({ reached }) => reached === 0)) {
      const text = "The server that was sent the events has no stream of this page. Is it another one than holds the stream?";
      show("pace", "bad", text, "servers");
    } else if (waited < LEFT_MILLIS) {
      show("pace", "bad", `The stream was cut meanwhile: ${stream.end}.`, "silence");
    } else {
      const text = `Held up: ${came} came within ${spent(waited)}, though the server passed them on at once.`;
      show("pace", "bad", text, "buffering");
    }
    return;
  }
  const late = sent.map((event) => arrival(event) - event.answered);
  const took = median(sent.map((event) => arrival(event) - event.sent));
  const lumps = sent.filter((event, at) => at && arrival(event) - arrival(sent[at - 1]) < PAUSE_MILLIS / 4).length;
  const usual = `an event is here ${spent(took)} after it was sent`;
  if (Math.max(...late) < LATE_MILLIS) {
    const far = took < LATE_MILLIS ? "" : ", which is as long as the way takes";
    show("pace", "good", `At once: ${usual} (the middle one of ${EVENTS})${far}.`);
  } else if (lumps) {
    const text = `Held up: they come in lumps, the latest ${spent(Math.max(...late))} after it was published.`;
    show("pace", "bad", text, "buffering");
  } else {
    const some = median(late) < LATE_MILLIS;
    const text = `${some ? "Not all at once" : "Late"}: ${usual}, the latest ${spent(Math.max(...late))} after it was published.`;
    show("pace", some ? "look" : "bad", text, "buffering");
  }
}

// Which HTTP the browser speaks with whoever is next to it.
function protocol(id, show) {
  const url = new URL(`/check/${id}`, location.href).href;
  const spoken = performance.getEntriesByName(url).at(-1)?.nextHopProtocol;
  if (spoken === "h2" || spoken === "h3") {
    show("http", "good", `HTTP/${spoken[1]}: all tabs share one connection, and about a hundred streams fit on it.`);
  } else if (spoken) {
    const text =
      "HTTP/1.1: the browser keeps six connections to this host, for all its tabs together, and each EventSource " +
      "takes one. Pages that use callout.js share one stream. For others let something in front speak HTTP/2.";
    show("http", "look", text, "http2");
  } else {
    show("http", "none", "This browser does not tell which HTTP it speaks.");
  }
}

function clock(tries, show) {
  const { answered, sent, ahead } = tries.reduce((best, one) => (one.took < best.took ? one : best));
  const doubt = (answered - sent) / 2;
  const off = Math.abs(ahead);
  const within = `give or take ${spent(doubt)}, half of the way there and back`;
  if (off - doubt < CLOCK_MILLIS) {
    show("clock", "good", `They are ${spent(off)} apart, ${within}.`);
    return;
  }
  const who = ahead < 0 ? "The server’s clock is late" : "The server’s clock is early, or this browser’s late";
  show("clock", "look", `${who}: by ${spent(off)}, ${within}. Times on the pages look wrong by as much.`, "clock");
}

// Leaves, and asks until the server knows. Gives the events that nobody was there for.
async function presence(stream, send, show) {
  const missed = [];
  const wasCut = stream.end;
  const left = now();
  stream.close();
  show("presence", "wait", "Leaving …");
  // To be asked is to write to whoever is still there, and some notice only then. So not at once.
  await pause(LEFT_MILLIS);
  let sent;
  do {
    sent = await send();
    missed.push(sent);
    if (sent.reached) await pause(PAUSE_MILLIS);
  } while (sent.reached && now() - left < LEFT_PATIENCE_MILLIS);
  const took = spent(sent.answered - left);
  if (wasCut) show("presence", "none", "The stream was cut before it could be left.");
  else if (sent.reached) show("presence", "bad", `After ${took} the server still counts this page as here.`, "presence");
  else if (missed.length === 1) show("presence", "good", "The server knew within a second, without writing anything.");
  else show("presence", "look", `The server knew after ${took}, and only because it wrote something.`, "presence");
  return missed;
}

// Comes back as an EventSource does: what was missed has to come, in order, once, and then what is new.
async function resuming(id, before, missed, send, signal, show) {
  const lastId = before.events.at(-1)?.id;
  if (!lastId) {
    show("resume", "none", "Not to be seen while events are held up.");
    return;
  }
  show("resume", "wait", "Coming back …");
  const stream = follow(id, signal, lastId);
  await until(() => stream.events.length >= missed.length || stream.end, PATIENCE_MILLIS, signal);
  const wanted = [...missed, await send()].map((event) => event.id);
  await until(() => stream.events.at(-1)?.id === wanted.at(-1) || stream.end, PATIENCE_MILLIS, signal);
  stream.close();
  if (stream.isRefused) {
    show("resume", "none", `Could not be tried: ${stream.end}.`, stream.advice);
    return;
  }
  const came = stream.events.map((event) => event.id);
  if (came.join() === wanted.join()) {
    const count = missed.length === 1 ? "One event was" : `${missed.length} events were`;
    show("resume", "good", `${count} published meanwhile, and came: in order, once, and then what was new.`);
  } else if (stream.events.some((event) => event.name === "reset")) {
    show("resume", "bad", "The server does not know the last id that it gave this page itself.", "servers");
  } else if (wanted.slice(-1).join() === came.join()) {
    show("resume", "bad", "What was missed did not come: the server was not told the last id.", "header");
  } else {
    show("resume", "bad", `Of ${wanted.length} events ${came.length} came, or in another order.`, "buffering");
  }
}

// ---- how long a stream lasts ----

// Keeps a stream that only has heartbeats, for as long as the page is open.
async function last(signal, show) {
  const cuts = [];
  let isAway = false;
  while (!signal.aborted) {
    const stream = follow(crypto.getRandomValues(new Uint32Array(4)).join("-"), signal);
    showState(cuts.length || isAway ? "reconnecting" : "connecting");
    while (!stream.end && !signal.aborted) {
      const { opened } = stream;
      if (opened) showState("live");
      // One that is only tried again has nothing new to say.
      if (opened || !isAway || now() - stream.began > OPENING_MILLIS) showLasting(stream, cuts, show);
      await until(() => stream.end || stream.opened !== opened, SHOW_MILLIS, signal);
    }
    if (signal.aborted) return;
    showState("reconnecting");
    // Where a server is started anew this is often enough.
    await pause(AGAIN_MILLIS);
    isAway = !stream.opened && (stream.isRefused || stream.ended - stream.began < LEFT_MILLIS);
    if (isAway) {
      const text = stream.isRefused ? `No stream: ${stream.end}.` : "No answer from the server, or from what is in front of it.";
      show("lasting", "bad", text, stream.advice);
      continue;
    }
    const cut = await autopsy(stream);
    if (signal.aborted) return;
    cuts.push(cut);
    show("lasting", cut.verdict, `The stream ${tell(cuts)}`, cut.advice);
  }
}

function showLasting(stream, cuts, show) {
  const { heartbeat_secs } = stream;
  const silence = now() - stream.heard;
  const lasted = `Lasted ${spent(now() - stream.began)} so far`;
  const beat = `the server sends a sign of life every ${heartbeat_secs} s`;
  const before = cuts.length ? ` The one before ${tell(cuts)}` : "";
  if (silence > heartbeat_secs * SILENT_HEARTBEATS * 1000) {
    const text = `${lasted}, silent for ${spent(silence)}, though ${beat}.${before}`;
    show("lasting", "bad", text, "buffering");
  } else if (cuts.length) {
    show("lasting", cuts.at(-1).verdict, `${lasted}.${before}`, cuts.at(-1).advice);
  } else if (stream.beats) {
    show("lasting", "good", `${lasted}; ${beat}, the last was ${spent(silence)} ago. It goes on while this page is open.`);
  } else {
    show("lasting", "wait", `${lasted}; ${beat}, the first is still to come.`);
  }
}

// What ended a stream that nobody closed.
async function autopsy(stream) {
  const lasted = stream.ended - stream.began;
  const cut = { lasted, verdict: "look" };
  if (stream.farewell) return { ...cut, text: "the server said goodbye: it was stopped or is being replaced." };
  const health = await ask("/healthz");
  if (!health) return { ...cut, text: "no answer came any more from the server, or from what is in front of it." };
  if (health.uptime_secs * 1000 < lasted) return { ...cut, text: "the server was started anew." };
  if (stream.beats) {
    const text = "it was cut although signs of life came: something limits how long an answer may take.";
    return { ...cut, text, advice: "duration" };
  }
  const text = `it was cut before the server’s first sign of life, which comes after ${stream.heartbeat_secs} s of silence.`;
  return { ...cut, verdict: "bad", text, advice: "silence" };
}

function tell(cuts) {
  const { lasted, text } = cuts.at(-1);
  const times = cuts.slice(-3).map((cut) => spent(cut.lasted)).join(", ");
  const often = cuts.length > 1 ? ` That is ${cuts.length} times so far, after ${times}.` : "";
  return `ended after ${spent(lasted)}: ${text}${often}`;
}

// ---- talking to the server ----

// A stream, read as it comes: what arrived when, and how it ended.
function follow(id, signal, lastId) {
  const ending = new AbortController();
  signal.addEventListener("abort", () => ending.abort());
  const stream = { signal, events: [], beats: 0, heartbeat_secs: HEARTBEAT_SECS, began: now(), heard: now() };
  stream.close = () => ending.abort();
  const headers = { accept: "text/event-stream" };
  if (lastId) headers["last-event-id"] = lastId;
  read(stream, fetch(`/check/${id}`, { headers, cache: "no-store", signal: ending.signal })).then(
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
  for (let rest = ""; ; ) {
    const { done, value } = await reader.read();
    if (done) return;
    stream.heard = now();
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    blocks.forEach((block) => take(stream, block));
  }
}

function take(stream, block) {
  const fields = {};
  for (const line of block.split("\n")) {
    const [, name, value] = /^([^:]*):? ?(.*)$/s.exec(line);
    fields[name] = value;
  }
  // A stream begins with the greeting. Whoever finds no place is only told when to come back, for a status
  // would stop an EventSource for good.
  if (!stream.opened && "retry" in fields) {
    Object.assign(stream, { isRefused: true, advice: "places" });
    throw new Error("the server has no place left for another stream");
  }
  // The first is the greeting, and comments after it are heartbeats.
  if (stream.opened && "" in fields) stream.beats += 1;
  stream.opened ??= stream.heard;
  stream.heartbeat_secs = Number(/heartbeat=([\d.]+)/.exec(fields[""])?.[1] ?? stream.heartbeat_secs);
  // Where a stream begins it has an id too; a server that ends it says only when to come back.
  stream.farewell = "retry" in fields && !("id" in fields);
  if ("data" in fields) stream.events.push({ id: fields.id, name: fields.event, at: stream.heard });
}

function finish(stream, end) {
  stream.ended = now();
  // It goes into sentences that have a full stop of their own.
  stream.end = end.replace(/\.$/, "");
}

// Sends the streams of this id an event. Says when that was sent and answered, and how far the server's
// clock is ahead.
async function post(id, signal) {
  const [sent, clock] = [now(), Date.now()];
  let answer;
  try {
    const deadline = AbortSignal.timeout(PATIENCE_MILLIS);
    answer = await fetch(`/check/${id}`, { method: "POST", signal: AbortSignal.any([deadline, signal]) });
  } catch (error) {
    if (error.name !== "TimeoutError") throw new Error("the server cannot be reached.");
    throw new Error(`no answer within ${spent(PATIENCE_MILLIS)}. Do other tabs hold all connections to this host?`);
  }
  const answered = now();
  if (!answer.ok) throw new Error(`publishing an event was answered ${answer.status}: ${await reason(answer)}.`);
  const said = await answer.json();
  const took = answered - sent;
  return { ...said, sent, answered, took, ahead: said.at - clock - took / 2 };
}

async function ask(path) {
  try {
    const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MILLIS) });
    return answer.ok ? await answer.json() : null;
  } catch {
    return null;
  }
}

async function reason(answer) {
  const { error } = await answer.json().catch(() => ({}));
  return error ?? `${answer.status} ${answer.statusText}`.trim();
}

// Waits until it holds, but not for ever.
async function until(holds, millis, signal) {
  const give_up = now() + millis;
  while (!holds() && now() < give_up && !signal.aborted) await pause(LOOK_MILLIS);
}

// ---- the page ----

function showFinding(name, verdict, text, cure) {
  let item = $(`finding-${name}`);
  if (!item) {
    item = element("li", "finding");
    item.id = `finding-${name}`;
    item.append(element("p", "verdict"), element("h2", "", TITLES[name]), element("p", "what"), element("div"));
    $("findings").append(item);
  }
  const [word, , what, advice] = item.children;
  if (item.dataset.verdict !== verdict) {
    item.dataset.verdict = verdict;
    word.textContent = WORDS[verdict];
  }
  if (what.textContent !== text) what.textContent = text;
  // The page has each cure once; what several findings need stands at the first.
  const shown = advice.firstElementChild;
  if (shown && shown.id !== `cure-${cure}`) $("cures").append(shown);
  const wanted = $("cures").querySelector(`#cure-${cure}`);
  if (wanted) advice.append(wanted);
  if ($("findings").ariaBusy === "false") summarize();
}

const found = (name) => $(`finding-${name}`).dataset.verdict;

function summarize() {
  const names = (verdict) => Object.keys(TITLES).filter((name) => found(name) === verdict);
  const [bad, look] = [names("bad"), names("look")];
  const list = (names) => names.map((name) => `“${TITLES[name]}”`).join(", ");
  let text = "All is well between this browser and callout.";
  if ($("findings").querySelector("#cure-places")) text = "The server had no place left for another stream.";
  else if ($("finding-pace").querySelector("#cure-buffering")) text = "Something between this browser and callout holds events up.";
  else if (bad.length) text = `Something is wrong: ${list(bad)}.`;
  else if (look.length) text = `It works. Have a look at ${list(look)}.`;
  if ($("summary").textContent !== text) $("summary").textContent = text;
}

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return (sorted[Math.ceil(middle) - 1] + sorted[Math.floor(middle)]) / 2;
}

// Milliseconds in words, as exact as one can feel: `7 ms`, `1.2 s`, `2 min 10 s`.
function spent(millis) {
  const secs = millis / 1000;
  if (secs < 1) return `${Math.round(millis)} ms`;
  if (secs < 10) return `${secs.toFixed(1).replace(".0", "")} s`;
  return span(Math.round(secs));
}

$("again").addEventListener("click", check);
// A page that is left must not keep its connections.
addEventListener("pagehide", () => {
  run?.abort();
  showState("closed");
});
addEventListener("pageshow", (event) => {
  if (event.persisted) check();
});
check();

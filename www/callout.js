// callout in a web page: one stream for all tabs of an origin, which comes back by itself.
//
//   const news = connect({ topics: ["news"] });
//   news.on("message", (event) => console.log(event.data));
//
// Every tab sees each kept event once, in order and without a gap. If there is a gap it is told, by an event
// `reset`. It is `fetch` that reads the stream and not EventSource, for only so does a page see every byte
// (heartbeats are comments), the status of a refusal, and events of any name.
//
// One tab leads: it has the Web Lock of this url, reads the stream, and says over a BroadcastChannel what it
// reads, each event with the id before it. The others follow and queue for the lock. Whoever does not know
// that id is behind: it has just come, or missed something. It then reads a stream of its own, from its own
// last id, until it knows what the leader knows; so the server alone says what a newcomer sees. Whoever
// knows more than that id knows the event too: a new leader goes on from its own last id. Without locks
// (browsers have them for https and localhost) nobody leads, and each tab reads its own stream.

// The newest events that a tab knows. Who is ahead of its leader by more reads a stream of its own.
const KNOWN = 200;

// How often a leader says that it is there. A follower that can be seen takes the lead after so many ticks
// of silence, 1.8 seconds at most; so a hidden tab, whose clock the browser slows down, leads only others
// that are hidden.
const TICK_MILLIS = 450;
const SILENT_TICKS = 4;

// So long without a byte, for each second between heartbeats, and the stream is taken for dead.
const STALL_MILLIS = 2500;

// The longest delay that is not the server's own wish, and the time after which publishing is given up.
const LONG_MILLIS = 30_000;

// Where a browser keeps nothing, a page that is loaded again begins anew.
let storage = {};
try {
  storage = sessionStorage;
} catch {}

// Opens a stream on a url, or on topics. What is relative belongs to the server that this file came from.
export function connect(wanted) {
  // A text has none of these fields: it is the url itself.
  const { topics, url: at = topics ? "/" : wanted, resume = true } = wanted;
  const url = new URL(topics ? "/topics" : at, new URL(at, import.meta.url));
  for (const topic of topics ?? []) url.searchParams.append("topic", topic);
  const key = `callout:${url}`;
  const stream = Object.assign(new EventTarget(), { state: "connecting", close, publish: publish.bind(null, url) });
  stream.on = stream.addEventListener;
  stream.off = stream.removeEventListener;

  // Its part among the tabs. `turn` is its time in the queue and in the lead, from start to stop.
  let turn, channel, leading, behind, quiet;
  // What is true now (presence, statistics) follows in its own stream, which must not end before. A stream's
  // opening says so; until then nobody knows.
  let present;
  // The stream that it reads. `cut` ends it, or the pause before the next.
  let cut, heard;
  let beat = 15; // seconds between heartbeats
  let retry = 1000; // milliseconds
  // What it has seen: the last id, and the newest ones.
  let id = (resume && storage[key]) || "";
  let known = [id];

  function start() {
    if (turn) return;
    behind = present = true;
    queue();
    cut();
  }

  function stop() {
    turn?.abort();
    channel?.close();
    turn = channel = leading = behind = null;
    cut();
    storage[key] = id;
  }

  function close() {
    for (const name in acts) removeEventListener(name, acts[name], true);
    clearInterval(ticker);
    stop();
    apply({ state: "closed" });
  }

  // ---- the tabs ----

  async function queue(steal) {
    turn?.abort();
    const { signal } = (turn = new AbortController());
    quiet = 0;
    try {
      channel ??= new BroadcastChannel(key);
      channel.onmessage = hear;
      await navigator.locks.request(key, steal ? { steal } : { signal }, () => signal.aborted || new Promise(lead));
    } catch (error) {
      if (signal.aborted || error.name !== "AbortError") return;
      // The lead was stolen. Our stream goes on until we know what the new leader knows.
      leading = false;
      behind = true;
      queue();
    }
  }

  // Has the lock until it is done.
  function lead(done) {
    turn.signal.onabort = done;
    leading = true;
    if (!behind) cut();
  }

  function tick() {
    if (leading) say();
    else quiet = document.hidden ? 0 : quiet + 1;
    if (quiet === SILENT_TICKS) queue(true);
    if (Date.now() > heard + beat * STALL_MILLIS) cut();
  }

  function say(more) {
    const said = { id, state: stream.state, ...more };
    if (leading) channel.postMessage(said);
    apply(said);
  }

  function hear({ data: said }) {
    quiet = 0;
    if (leading || present) return;
    const wasBehind = behind;
    behind = !known.includes(said.id);
    if (behind !== wasBehind) cut();
    // Whoever is ahead of the leader has seen the event already.
    if (!behind && (said.id === id || !said.event?.id)) apply(said);
  }

  function apply({ state, error, event }) {
    if (state !== stream.state) emit("state", { data: (stream.state = state) });
    if (error) emit("error", error);
    if (event?.id) {
      id = event.id;
      known = [...known, id].slice(-KNOWN);
    }
    // The place where a stream begins has an id and no data.
    if (event?.data == null) return;
    for (const type of new Set([event.name, "*"])) emit(type, { ...event, json: () => JSON.parse(event.data) });
  }

  const emit = (type, detail) => stream.dispatchEvent(Object.assign(new Event(type), detail));

  // ---- the stream ----

  // Reads streams, one after the other, while the tab leads or is behind. What cuts a pause wants no pause.
  async function run() {
    for (let pause = 0; stream.state !== "closed"; ) {
      const state = navigator.onLine ? "reconnecting" : "offline";
      if ((leading || behind) && stream.state !== "connecting") say({ state });
      // Asked again, for a handler may have closed.
      if ((leading || behind) && navigator.onLine && !pause) {
        // If it breaks or is cut, the next one goes on from the last id.
        await read().catch(() => {});
        heard = NaN;
        pause = retry;
        // Unless the server tells, longer each time, and not all tabs at once.
        retry = Math.min(retry * (1.5 + Math.random()), LONG_MILLIS);
      } else {
        await new Promise((done) => setTimeout((cut = done), pause || LONG_MILLIS));
        pause = 0;
      }
    }
  }

  // Reads one stream (HTML standard, section 9.2.6) to its end. Lines end with LF, as callout writes them.
  async function read() {
    const ending = new AbortController();
    cut = () => ending.abort();
    heard = Date.now();
    if (id) url.searchParams.set("last_event_id", id);
    const answer = await fetch(url, { headers: { accept: "text/event-stream" }, signal: ending.signal });
    if (answer.status !== 200) return say({ error: { ...(await refusal(answer)) } });
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let rest = ""; ; ) {
      const { done, value } = await reader.read();
      if (done) return;
      heard = Date.now();
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop();
      // A handler may close.
      for (const block of blocks) if (!ending.signal.aborted) take(parse(block));
    }
  }

  function take({ "": comment, event: name = "message", data, id, retry: wish = retry }) {
    [, beat, present] = /heartbeat=(\S+)( snapshot)?/.exec(comment) ?? [0, beat, present];
    if (data && !id) present = "";
    retry = Number(wish);
    say({ state: comment ? "live" : stream.state, event: { id, name, data } });
  }

  const wake = () => cut();
  const acts = { pagehide: stop, freeze: stop, pageshow: start, resume: start, offline: wake, online: wake };
  for (const name in acts) addEventListener(name, acts[name], true);
  const ticker = setInterval(tick, TICK_MILLIS);
  run();
  start();
  return stream;
}

// Publishes, again and again where no answer comes: the event's own id makes that safe.
async function publish(url, topic, data, { id = `${Date.now()}-${Math.random()}`, token, ...given } = {}) {
  const query = new URLSearchParams(id === null ? given : { id, ...given });
  const to = new URL(`/topics/${encodeURIComponent(topic)}?${query}`, url);
  const body = typeof data === "string" ? data : JSON.stringify(data);
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  for (let pause = 500; ; pause *= 2) {
    const answer = await fetch(to, { method: "POST", body, headers }).catch((error) => {
      if (id === null || pause > LONG_MILLIS) throw error;
    });
    if (answer?.ok) return answer.json();
    if (answer) throw await refusal(answer);
    await new Promise((done) => setTimeout(done, pause));
  }
}

// A block of lines as an object of its fields. A comment is a field without a name.
function parse(text) {
  const block = {};
  for (const line of text.split("\n")) {
    const [, field, value] = /^([^:]*):? ?(.*)$/s.exec(line);
    block[field] = field in block ? `${block[field]}\n${value}` : value;
  }
  return block;
}

// Why a request was refused, in the server's words.
async function refusal(answer) {
  const { error = `status ${answer.status}` } = await answer.json().catch(() => ({}));
  return Object.assign(new Error(error), { data: error, status: answer.status });
}

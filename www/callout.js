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
// knows the event too hears it a second time, for a new leader goes on from its own last id. Without locks
// (browsers have them for https and localhost) nobody leads, and each tab reads its own stream.

// The newest events that a tab knows. Who is ahead of its leader by more reads a stream of its own.
const KNOWN = 200;

// How often a leader says that it is there. A follower that can be seen takes the lead after so many ticks
// of silence, 1.8 seconds at most; so a hidden tab, whose clock the browser slows down, leads only others
// that are hidden.
const TICK_MILLIS = 450;
const SILENT_TICKS = 4;

// So many heartbeats without a byte and the stream is taken for dead.
const STALL_BEATS = 2.5;

// The longest delay that is not the server's own wish, and the time after which publishing is given up.
const LONG_MILLIS = 30_000;

// Opens a stream on a url, or on topics. What is relative belongs to the server that this file came from.
export function connect(wanted) {
  const { topics, url: at = "/", resume = true } = typeof wanted === "string" ? { url: wanted } : wanted;
  const query = new URLSearchParams(topics?.map((topic) => ["topic", topic]));
  const url = new URL(topics ? `/topics?${query}` : at, new URL(at, import.meta.url));
  const key = `callout:${url}`;
  const stream = Object.assign(new EventTarget(), { state: "connecting", close, publish });
  stream.on = stream.addEventListener;
  stream.off = stream.removeEventListener;

  // Its part among the tabs: `life` lasts from start to stop, `turn` is its time in the queue and in the
  // lead.
  let life, turn, ticker, channel, leading, behind, quiet;

  // What is true now (presence, statistics) follows in its own stream, which must not end before. A stream's
  // opening says so; until then nobody knows.
  let present;

  // The stream that it reads. `cut` ends it, or the pause before the next, which is over when it is `due`.
  let cut, heard, due;
  let beat = 15; // seconds between heartbeats
  let retry = 1000; // milliseconds

  // What it has seen. Where a browser keeps nothing, a page that is loaded again begins anew.
  let id = "";
  let known = [];
  try {
    if (resume) id = sessionStorage[key] ?? "";
  } catch {}

  function start() {
    if (life) return;
    life = new AbortController();
    ticker = setInterval(tick, TICK_MILLIS);
    behind = present = true;
    due = NaN;
    run(life.signal);
    queue();
  }

  function stop() {
    clearInterval(ticker);
    life?.abort();
    turn?.abort();
    channel?.close();
    life = channel = leading = null;
    cut();
    try {
      sessionStorage[key] = id;
    } catch {}
  }

  function close() {
    for (const name in acts) removeEventListener(name, acts[name], true);
    stop();
    apply({ state: "closed" });
  }

  // ---- the tabs ----

  async function queue(steal) {
    turn?.abort();
    const { signal } = (turn = new AbortController());
    quiet = 0;
    const lead = (done) => {
      signal.onabort = done;
      leading = true;
      if (!behind) cut();
    };
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

  function tick() {
    if (leading) say();
    else quiet = document.hidden ? 0 : quiet + 1;
    if (quiet === SILENT_TICKS) queue(true);
    if (Date.now() > heard + beat * STALL_BEATS * 1000) cut();
  }

  function say(more) {
    const said = { due, state: stream.state, ...more };
    if (leading) channel.postMessage({ id, ...said });
    apply(said);
  }

  function hear({ data: said }) {
    const { event } = said;
    if (leading) return said.ask && say();
    if (said.ask) return;
    quiet = 0;
    const isBehind = !!present || (said.id !== id && !known.some((old) => old.id === said.id));
    if (behind !== isBehind) cut();
    behind = isBehind;
    // The leader has no place to go on from, we have.
    if (id && !said.id) queue(true);
    if (behind || (event?.id && known.some((old) => old.id === event.id && old.data === event.data))) return;
    apply(said);
  }

  function apply(said) {
    ({ due } = said);
    if (said.state !== stream.state) emit("state", { data: (stream.state = said.state) });
    if (said.error) emit("error", said.error);
    if (said.event) keep(said.event);
  }

  function keep(event) {
    if (event.id) {
      id = event.id;
      known = [...known, event].slice(-KNOWN);
    }
    // The place where a stream begins is no event; and a handler may have closed.
    if (!event.name || !life) return;
    for (const type of new Set([event.name, "*"])) emit(type, { ...event, json: () => JSON.parse(event.data) });
  }

  const emit = (type, detail) => stream.dispatchEvent(Object.assign(new Event(type), detail));

  // ---- the stream ----

  // Reads streams, one after the other, while the tab leads or is behind.
  async function run(signal) {
    while (!signal.aborted) {
      const { onLine } = navigator;
      const isReader = leading || behind;
      if (isReader && stream.state !== "connecting") say({ state: onLine ? "reconnecting" : "offline" });
      const millis = isReader && onLine ? due - Date.now() : LONG_MILLIS;
      await new Promise((done) => setTimeout((cut = done), millis));
      if (signal.aborted || !navigator.onLine || !(leading || behind)) continue;
      const ending = new AbortController();
      cut = () => ending.abort();
      heard = Date.now();
      // If it breaks or is cut, the next one goes on from the last id.
      await read(ending.signal).catch(() => {});
      heard = NaN;
      due = Date.now() + retry;
      // Unless the server tells, longer each time, and not all tabs at once.
      retry = Math.min(retry * (1.5 + Math.random()), LONG_MILLIS);
    }
  }

  // Reads one stream (HTML standard, section 9.2.6) to its end. Lines end with LF, as callout writes them.
  async function read(signal) {
    if (id) url.searchParams.set("last_event_id", id);
    const answer = await fetch(url, { cache: "no-store", headers: { accept: "text/event-stream" }, signal });
    if (answer.status !== 200) return say({ error: { ...(await refusal(answer)) } });
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let rest = ""; ; ) {
      const { done, value } = await reader.read();
      if (done || signal.aborted) return;
      heard = Date.now();
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop();
      blocks.map(parse).forEach(take);
      if (!leading) channel?.postMessage({ ask: 1 });
    }
  }

  function take({ "": comment, event: name = "message", data, id, retry: wish = retry }) {
    [, beat, present] = /heartbeat=(\S+)( present)?/.exec(comment) ?? [0, beat, present];
    if (data != null && !id) present = "";
    retry = +wish;
    const event = data == null ? id && { id } : { id, name, data };
    if (comment || event) say({ state: "live", due: NaN, event });
  }

  // Publishes, again and again where no answer comes: the event's own id makes that safe.
  async function publish(topic, data, { token, ...given } = {}) {
    const query = new URLSearchParams({ id: `${Date.now()}-${Math.random()}`, ...given });
    if (given.id === null) query.delete("id");
    const to = new URL(`/topics/${encodeURIComponent(topic)}?${query}`, url);
    const body = typeof data === "string" ? data : JSON.stringify(data);
    const request = { method: "POST", body, headers: token ? { authorization: `Bearer ${token}` } : {} };
    for (let pause = 500; ; pause *= 2) {
      const answer = await fetch(to, request).catch((error) => {
        if (given.id === null || pause > LONG_MILLIS) throw error;
      });
      if (answer?.ok) return answer.json();
      if (answer) throw await refusal(answer);
      await new Promise((done) => setTimeout(done, pause));
    }
  }

  const wake = () => cut();
  const acts = { pagehide: stop, freeze: stop, pageshow: start, resume: start, offline: wake, online: wake };
  for (const name in acts) addEventListener(name, acts[name], true);
  start();
  return stream;
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
  const { status } = answer;
  const { error = `status ${status}` } = await answer.json().catch(() => ({}));
  return Object.assign(new Error(error), { data: error, status });
}

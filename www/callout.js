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
const STALL_HEARTBEATS = 2.5;

// The longest delay that is not the server's own wish, and the time after which publishing is given up.
const RETRY_MILLIS_MAX = 30_000;

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
  let life, turn, ticker, channel, leading, behind, silence;

  // The stream that it reads. `interrupt` ends it, or the pause before the next, which is over when it is
  // `due`.
  let interrupt, heard, due;
  let heartbeatSecs = 15;
  let retry = 1000;

  // What it has seen. Where a browser keeps nothing, a page that is loaded again begins anew.
  let id = "";
  const known = [];
  try {
    if (resume) id = sessionStorage[key] ?? "";
  } catch {}

  function start() {
    if (life) return;
    life = new AbortController();
    ticker = setInterval(tick, TICK_MILLIS);
    behind = true;
    due = NaN;
    run(life.signal);
    queue();
  }

  function stop() {
    clearInterval(ticker);
    life?.abort();
    turn?.abort();
    channel?.close();
    life = channel = null;
    leading = false;
    interrupt();
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
    turn = new AbortController();
    silence = 0;
    const { signal } = turn;
    const lead = (done) => {
      signal.onabort = done;
      leading = true;
      if (!behind) interrupt();
    };
    try {
      channel ??= new BroadcastChannel(key);
      channel.onmessage = hear;
      await navigator.locks.request(key, steal ? { steal } : { signal }, () => new Promise(lead));
    } catch (error) {
      if (signal.aborted || error.name !== "AbortError") return;
      // The lead was stolen. Our stream goes on until we know what the new leader knows.
      leading = false;
      behind = true;
      queue();
    }
  }

  function tick() {
    if (leading) say({});
    else silence = document.hidden ? 0 : silence + 1;
    if (silence === SILENT_TICKS) queue(true);
    if (Date.now() > heard + heartbeatSecs * STALL_HEARTBEATS * 1000) interrupt();
  }

  function say(more) {
    const said = { due, state: stream.state, ...more };
    if (leading) channel.postMessage({ id, ...said });
    apply(said);
  }

  function hear({ data: said }) {
    const { ask, event } = said;
    if (ask && leading) say({});
    if (ask || leading) return;
    silence = 0;
    const wasBehind = behind;
    behind = said.id !== id && !known.some((old) => old.id === said.id);
    if (behind !== wasBehind) interrupt();
    // The leader has no place to go on from, we have.
    if (behind && !said.id) queue(true);
    const isDouble = event?.id && known.some((old) => old.id === event.id && old.data === event.data);
    if (!behind && !isDouble) apply(said);
  }

  function apply(said) {
    const { error, event, state } = said;
    due = said.due;
    if (state !== stream.state) {
      stream.state = state;
      emit("state", { data: state });
    }
    if (error) emit("error", error);
    if (event) keep(event);
  }

  function keep(event) {
    if (event.id) {
      id = event.id;
      known.push(event);
      if (known.length > KNOWN) known.shift();
    }
    // The place where a stream begins is no event; and a handler may have closed.
    if (!event.name || !life) return;
    const detail = { ...event, json: () => JSON.parse(event.data) };
    // These two names mean something else to whoever listens here.
    if (event.name !== "state" && event.name !== "*") emit(event.name, detail);
    emit("*", detail);
  }

  const emit = (type, detail) => stream.dispatchEvent(Object.assign(new Event(type), detail));

  // ---- the stream ----

  // Reads streams, one after the other, while the tab leads or is behind.
  async function run(signal) {
    for (;;) {
      const { onLine } = navigator;
      const reads = leading || behind;
      if (reads && stream.state !== "connecting") say({ state: onLine ? "reconnecting" : "offline" });
      const millis = reads && onLine ? due - Date.now() : RETRY_MILLIS_MAX;
      await new Promise((done) => setTimeout((interrupt = done), millis));
      const ending = new AbortController();
      interrupt = () => ending.abort();
      heard = Date.now();
      // It may break, or be interrupted: the next one goes on from the last id.
      const isWanted = !signal.aborted && navigator.onLine && (leading || behind);
      if (isWanted) await read(ending.signal).catch(() => {});
      heard = NaN;
      if (signal.aborted) return;
      if (!isWanted || !(leading || behind)) continue;
      due = Date.now() + retry;
      // Unless the server tells, longer each time, and not all tabs at once.
      retry = Math.min(retry * (1.5 + Math.random()), RETRY_MILLIS_MAX);
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
      if (!leading) channel?.postMessage({ ask: true });
    }
  }

  function take({ "": comment, event: name = "message", data, id, retry: wish = retry }) {
    heartbeatSecs = /heartbeat=([\d.]+)/.exec(comment)?.[1] ?? heartbeatSecs;
    retry = Number(wish);
    const event = data == null ? id && { id } : { id, name, data };
    if (comment || event) say({ state: "live", due: NaN, event });
  }

  // Publishes, again and again where no answer comes: the event's own id makes that safe.
  async function publish(topic, data, { token, ...given } = {}) {
    const query = new URLSearchParams({ id: `${Date.now()}-${Math.random()}`, ...given });
    if (given.id === null) query.delete("id");
    const to = new URL(`/topics/${encodeURIComponent(topic)}?${query}`, url);
    const request = { method: "POST", body: typeof data === "string" ? data : JSON.stringify(data) };
    if (token) request.headers = { authorization: `Bearer ${token}` };
    for (let pause = 500; ; pause *= 2) {
      const answer = await fetch(to, request).catch((error) => {
        if (given.id === null || pause > RETRY_MILLIS_MAX) throw error;
      });
      if (answer?.ok) return answer.json();
      if (answer) throw await refusal(answer);
      await new Promise((done) => setTimeout(done, pause));
    }
  }

  const wake = () => interrupt();
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
  const { error = `the server answered ${status}` } = await answer.json().catch(() => ({}));
  return Object.assign(new Error(error), { data: error, status });
}

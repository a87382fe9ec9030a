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
// reads, each event with the id before it. The others follow and queue for the lock. Who does not know that
// id has missed something, and asks; who knows the event hears it a second time, for a new leader goes on
// from its own last id. Without locks (browsers have them for https and localhost) every tab leads itself.

// Events that a tab remembers, for newcomers and against doubles: whoever needs older ones is told by a
// `reset`. Of those that are only true now it is the newest of each name.
const MEMORY = 200;

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
  const stream = new EventTarget();
  const listening = new AbortController();

  // Its part among the tabs: `turn` is its time in the queue and in the lead.
  const me = Math.random();
  let channel, ticker, turn, leading, silence;

  // The leader's stream. `interrupt` ends it, or the pause before the next, which begins when it is `due`.
  let due, heard, interrupt;
  let heartbeatSecs = 15;
  let retry = 1000;

  // What this tab has seen. Where a browser keeps nothing, a page that is loaded again begins anew.
  let id = "";
  try {
    if (resume) id = sessionStorage[key] ?? "";
  } catch {}
  let kept = [{ id }];

  // ---- the page ----

  function start() {
    if (turn) return;
    ticker = setInterval(tick, TICK_MILLIS);
    due = NaN;
    queue();
  }

  function stop() {
    clearInterval(ticker);
    leave();
    channel?.close();
    channel = turn = null;
    try {
      sessionStorage[key] = id;
    } catch {}
  }

  function close() {
    listening.abort();
    stop();
    become("closed");
  }

  function become(state) {
    if (state === stream.state) return;
    stream.state = state;
    emit("state", { data: state });
  }

  function emit(type, detail) {
    stream.dispatchEvent(Object.assign(new Event(type), detail));
  }

  function show(event) {
    // The place where a stream begins is no event; and a handler may have closed.
    if (!event.name || !turn) return;
    const detail = { ...event, json: () => JSON.parse(event.data) };
    // These two names mean something else to whoever listens here.
    if (event.name !== "state" && event.name !== "*") emit(event.name, detail);
    emit("*", detail);
  }

  // ---- the tabs ----

  async function queue(steal) {
    leave();
    const { signal } = (turn = new AbortController());
    silence = 0;
    try {
      const { locks } = navigator;
      channel ??= locks && new BroadcastChannel(key);
      channel.onmessage = ({ data }) => hear(data);
      ask();
      await locks.request(key, steal ? { steal } : { signal }, () => lead(signal));
    } catch (error) {
      // The lead was stolen, or there are no locks.
      if (!signal.aborted) error.name === "AbortError" ? queue() : lead(signal);
    }
  }

  function leave() {
    turn?.abort();
    leading = false;
    interrupt?.();
  }

  function ask() {
    channel.postMessage({ ask: me });
  }

  function tell(more) {
    channel?.postMessage({ id, due, state: stream.state, ...more });
  }

  function hear(said) {
    const { event, error } = said;
    if (leading && said.ask) tell({ to: said.ask, kept });
    if (leading || said.ask || (said.to ?? me) !== me) return;
    silence = 0;
    // The leader has no place to go on from, we have.
    if (id && !said.id) return queue(true);
    if (said.to) join(said);
    else if (!kept.some((old) => old.id === said.id)) ask();
    else if (event && !kept.some((old) => old.id && old.id === event.id && old.data === event.data)) keep(event);
    if (error) emit("error", error);
    due = said.due;
    become(said.state);
  }

  // A newcomer sees what a new stream would have shown; whoever was here before, what came since.
  function join(said) {
    const last = said.kept.findLastIndex((old) => old.id === id);
    const reset = { requested: id, continues_after: said.id };
    if (id && last < 0) show({ name: "reset", data: JSON.stringify(reset) });
    // A stream on topics begins with what comes from now on.
    const begin = id || !url.pathname.startsWith("/topics") ? last : MEMORY;
    ({ id, kept } = said);
    kept.forEach((event, at) => (at > begin || !event.id) && show(event));
  }

  function keep(event) {
    id = event.id ?? id;
    kept = kept.filter((old) => old.id || old.name !== event.name);
    // A gap is no history.
    kept.push(event.name === "reset" ? { id } : event);
    if (kept.length > MEMORY) kept.splice(kept.findIndex((old) => old.id), 1);
    show(event);
  }

  function tick() {
    if (leading) {
      tell();
      if (Date.now() > heard + heartbeatSecs * STALL_HEARTBEATS * 1000) interrupt();
    } else {
      silence = document.hidden ? 0 : silence + 1;
      if (silence === SILENT_TICKS) queue(true);
    }
  }

  // ---- the stream ----

  async function lead(signal) {
    leading = true;
    while (!signal.aborted) {
      const { onLine } = navigator;
      if (stream.state !== "connecting") become(onLine ? "reconnecting" : "offline");
      tell();
      await new Promise((done) => {
        interrupt = done;
        if (onLine) setTimeout(done, due - Date.now());
      });
      if (signal.aborted || !navigator.onLine) continue;
      const ending = new AbortController();
      interrupt = () => ending.abort();
      heard = Date.now();
      // It may break, or be interrupted: the next one goes on from the last id.
      await read(ending.signal).catch(() => {});
      heard = NaN;
      due = Date.now() + retry;
      // Unless the server tells, longer each time, and not all tabs at once.
      retry = Math.min(retry * (1.5 + Math.random()), RETRY_MILLIS_MAX);
    }
  }

  // Reads one stream (HTML standard, section 9.2.6) to its end. Lines end with LF, as callout writes them.
  async function read(signal) {
    if (id) url.searchParams.set("last_event_id", id);
    const answer = await fetch(url, { cache: "no-store", headers: { accept: "text/event-stream" }, signal });
    if (answer.status !== 200) {
      const error = await refusal(answer);
      tell({ error });
      return emit("error", error);
    }
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let rest = ""; ; ) {
      const { done, value } = await reader.read();
      if (done) return;
      heard = Date.now();
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop();
      blocks.forEach(take);
    }
  }

  // Takes a block of lines. A comment is a field without a name.
  function take(text) {
    const block = {};
    for (const line of text.split("\n")) {
      const [, field, value] = /^([^:]*):? ?(.*)$/s.exec(line);
      block[field] = field in block ? `${block[field]}\n${value}` : value;
    }
    const { "": comment, event: name = "message", data, id } = block;
    heartbeatSecs = /heartbeat=([\d.]+)/.exec(comment)?.[1] ?? heartbeatSecs;
    retry = Number(block.retry ?? retry);
    if (comment || data) {
      due = NaN;
      become("live");
    }
    if (!id && data == null) return;
    const event = data == null ? { id } : { id, name, data };
    tell({ event });
    keep(event);
  }

  // Publishes, again and again where no answer comes: the event's own id makes that safe.
  async function publish(topic, data, { token, ...given } = {}) {
    const query = new URLSearchParams({ id: `${Date.now()}-${Math.random()}`, ...given });
    if (given.id === null) query.delete("id");
    const to = new URL(`/topics/${encodeURIComponent(topic)}?${query}`, url);
    const body = typeof data === "string" ? data : JSON.stringify(data);
    const headers = token ? { authorization: `Bearer ${token}` } : {};
    for (let pause = 500; ; pause *= 2) {
      const answer = await fetch(to, { method: "POST", body, headers }).catch((error) => {
        if (given.id === null || pause > RETRY_MILLIS_MAX) throw error;
      });
      if (answer?.ok) return answer.json();
      if (answer) {
        const error = await refusal(answer);
        throw Object.assign(new Error(error.data), error);
      }
      await new Promise((done) => setTimeout(done, pause));
    }
  }

  const wake = () => interrupt?.();
  const acts = { pagehide: stop, freeze: stop, pageshow: start, resume: start, offline: wake, online: wake };
  for (const name in acts) addEventListener(name, acts[name], { capture: true, signal: listening.signal });
  const { addEventListener: on, removeEventListener: off } = stream;
  Object.assign(stream, { on, off, close, publish, state: "connecting" });
  start();
  return stream;
}

// Why a request was refused, in the server's words.
async function refusal(answer) {
  const { error } = await answer.json().catch(() => ({}));
  return { status: answer.status, data: error ?? answer.statusText };
}

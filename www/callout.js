// callout in a web page: one stream for all tabs of an origin, which comes back by itself.
//
//   const news = connect({ topics: ["news"] });
//   news.on("message", (event) => console.log(event.data));
//
// Every tab sees each kept event once, in order and without a gap. If there is a gap it is told, by an event
// `reset`. It is `fetch` that reads the stream and not EventSource, for only so does a page see every byte
// (heartbeats are comments), the status of a refusal, and events of any name.
//
// One tab leads: it has the Web Lock of this url, reads the stream, and says over a BroadcastChannel what
// it reads. The others follow, queue for the lock, and go on from their own last id when it is theirs.
// Kept events are counted (`seq`) along a line of leaders, so that whoever hears a second time what it
// knows, or misses something, notices; what it missed is in the leader's memory.

// Kept events that a tab remembers for newcomers: whoever needs older ones is told by a `reset`. And so
// many names of events that are only true now, of each the newest: with more, all are forgotten.
const MEMORY = 200;

// How often a leader looks whether its stream is silent, and a follower whether its leader is. The
// follower asks after so many silent ticks, and takes the lead after 1.5 seconds.
const TICK_MILLIS = 500;
const ASK_TICKS = 2;
const STEAL_TICKS = 3;

// So many heartbeats without a byte and the stream is taken for dead. The server tells how long one is.
const STALL_HEARTBEATS = 2.5;

// The longest delay that is not the server's own wish.
const BACKOFF_MILLIS_MAX = 30_000;

// Without an answer for so long a publication counts as failed. It is tried so often, for half a minute.
const PUBLISH_MILLIS = 10_000;
const PUBLISH_TRIES = 6;

// Opens a stream on a url, or on topics. What is relative belongs to the server that this file is from.
export function connect(wanted) {
  const { topics, url: at = "/", resume = true } = typeof wanted === "string" ? { url: wanted } : wanted;
  const query = new URLSearchParams(topics?.map((topic) => ["topic", topic]));
  const url = new URL(topics ? `/topics?${query}` : at, new URL(at, import.meta.url));
  const key = `callout:${url}`;
  const handlers = new EventTarget();
  const listening = new AbortController();
  let state = "connecting";
  let wasLive = false;

  // Where this tab is: its last id, and its count along a line of leaders, named by when it began.
  let id = (resume && storage()[key]) || "";
  let line;
  let seq = 0;
  let kept = id ? [{ id, seq }] : [];
  const present = new Map();

  // Its part among the tabs: `turn` is its time in the queue and in the lead.
  const me = Math.random();
  let turn, channel, ticker, leading, quiet;

  // The stream of a leader. `interrupt` ends it, or the pause before the next.
  let interrupt = () => {};
  let heard, due;
  let failures = 0;
  let retry = 1000;
  let heartbeat = 15;

  // ---- the page ----

  function start() {
    if (turn) return;
    become(wasLive ? "reconnecting" : "connecting");
    due = quiet = 0;
    ticker = setInterval(tick, TICK_MILLIS);
    if (navigator.locks && window.BroadcastChannel) {
      channel = new BroadcastChannel(key);
      channel.onmessage = ({ data }) => hear(data);
      queue();
    } else lead((turn = new AbortController()).signal);
  }

  function stop() {
    clearInterval(ticker);
    leave();
    channel?.close();
    turn = channel = undefined;
  }

  function close() {
    stop();
    listening.abort();
    become("closed");
  }

  function become(next) {
    if (state === next) return;
    wasLive ||= next === "live";
    state = next;
    emit("state", { data: state });
  }

  function emit(type, detail) {
    handlers.dispatchEvent(Object.assign(new Event(type), detail));
  }

  function show(event) {
    // A handler may have closed, and where a stream began is no event.
    if (state === "closed" || !event.name) return;
    const detail = { ...event, json: () => JSON.parse(event.data) };
    if (!["state", "*"].includes(event.name)) emit(event.name, detail);
    emit("*", detail);
  }

  // ---- the tabs ----

  // Queues for the lead, as a newcomer: of two lines the older one lasts.
  function queue() {
    line = Date.now() + me;
    ask();
    take({});
  }

  async function take(how) {
    leave();
    const { signal } = (turn = new AbortController());
    try {
      await navigator.locks.request(key, how.steal ? how : { signal }, () => lead(signal));
    } catch (error) {
      if (signal.aborted) return;
      // It was stolen; or else this browser forbids locks.
      if (error.name === "AbortError") queue();
      else lead(signal);
    }
  }

  function leave() {
    turn?.abort();
    leading = false;
    interrupt();
  }

  function ask() {
    channel.postMessage({ ask: me, line, seq });
  }

  function tell(more) {
    channel?.postMessage({ line, seq, id, state, due, ...more });
  }

  function hear(said) {
    const { event } = said;
    if (leading) {
      // A hidden tab's clock is slow, this message is not. And if its stream has to be opened again, that
      // is better done by a tab that can be seen.
      if (said.ask) tick();
      if (!said.ask || (document.hidden && state !== "live")) return;
      tell(said.line === line && said.seq === seq ? {} : { to: said.ask, kept, present: [...present.values()] });
    } else if (!said.ask) {
      quiet = 0;
      if (said.line > line) return take({ steal: true });
      if (said.to === me) join(said);
      if (said.line < line) return event || said.to || ask();
      if (event && (!event.id || event.seq === seq + 1 || event.name === "reset")) keep(event);
      if (said.error) emit("error", said.error);
      if (said.seq === seq) note(said.id);
      if (said.seq > seq) ask();
      due = said.due;
      become(said.state);
    }
  }

  // A newcomer sees what a new stream would have shown; whoever was here before, what came since.
  function join(said) {
    const last = said.kept.findLastIndex((event) => (said.line === line ? event.seq === seq : event.id === id));
    // A stream on topics begins with what comes from now on.
    const begin = !id && url.pathname.startsWith("/topics") ? said.kept.length : last + 1;
    const missed = id && last < 0 && { requested: id, continues_after: said.id };
    ({ line, seq, kept } = said);
    note(said.id);
    if (missed) show({ name: "reset", id, data: JSON.stringify(missed) });
    kept.slice(begin).forEach(show);
    said.present.forEach(keep);
  }

  function keep(event) {
    if (event.id) {
      seq = event.seq;
      note(event.id);
      // A gap is not history.
      kept.push(event.name === "reset" ? { id, seq } : event);
      if (kept.length > MEMORY) kept.shift();
    } else {
      if (present.size > MEMORY) present.clear();
      present.set(event.name, event);
    }
    show(event);
  }

  function note(last) {
    storage()[key] = id = last;
  }

  function tick() {
    if (leading) {
      if (Date.now() > heard + heartbeat * STALL_HEARTBEATS * 1000) interrupt();
      return;
    }
    quiet = document.hidden ? 0 : quiet + 1;
    if (quiet === ASK_TICKS) ask();
    if (quiet === STEAL_TICKS) take({ steal: true });
  }

  // ---- the stream ----

  async function lead(signal) {
    leading = true;
    while (!signal.aborted) {
      const { onLine } = navigator;
      become(!onLine ? "offline" : wasLive ? "reconnecting" : "connecting");
      tell();
      await new Promise((done) => {
        interrupt = done;
        // A time long past would wrap around.
        if (onLine) setTimeout(done, Math.max(0, due - Date.now()));
      });
      if (!signal.aborted && navigator.onLine) await follow();
    }
  }

  // Reads one stream to its end, and finds when the next is due.
  async function follow() {
    const ending = new AbortController();
    interrupt = () => ending.abort();
    heard = Date.now();
    failures += 1;
    try {
      const from = new URL(url);
      if (id) from.searchParams.set("last_event_id", id);
      const headers = { accept: "text/event-stream" };
      const answer = await fetch(from, { cache: "no-store", headers, signal: ending.signal });
      if (answer.status === 200) await read(answer.body, receive);
      else {
        const error = { status: answer.status, data: await reason(answer) };
        tell({ error });
        emit("error", error);
      }
    } catch {
      // It broke or was interrupted; either way the next one goes on from the last id.
    }
    heard = Infinity;
    const backoff = Math.min(retry * 2 ** (failures - 1), BACKOFF_MILLIS_MAX) * (0.5 + Math.random() / 2);
    due = Date.now() + (failures ? backoff : retry);
  }

  function receive(block) {
    heard = Date.now();
    heartbeat = Number(/heartbeat=([\d.]+)/.exec(block[""])?.[1]) || heartbeat;
    if (block.retry) {
      // Whoever is told when to come back has reached the server.
      retry = Number(block.retry);
      failures = 0;
    }
    if ("" in block || "data" in block) {
      due = 0;
      become("live");
    }
    if ("data" in block) {
      const event = { name: block.event || "message", data: block.data, id: block.id };
      if (event.id) event.seq = seq + 1;
      keep(event);
      tell({ event });
    } else if (block.id) {
      note(block.id);
      if (!kept.length) kept.push({ id, seq });
      tell();
    }
  }

  // Publishes, again and again where no answer comes: the event's own id makes that safe.
  async function publish(topic, data, { token, ...given } = {}) {
    const options = Object.entries({ id: unique(), ...given }).filter((option) => option[1] != null);
    const to = new URL(`/topics/${encodeURIComponent(topic)}?${new URLSearchParams(options)}`, url);
    const request = { method: "POST", body: typeof data === "string" ? data : JSON.stringify(data) };
    if (token) request.headers = { authorization: `Bearer ${token}` };
    for (let tries = 1; ; tries += 1) {
      try {
        const answer = await fetch(to, { ...request, signal: AbortSignal.timeout(PUBLISH_MILLIS) });
        if (answer.ok) return await answer.json();
        throw Object.assign(new Error(await reason(answer)), { status: answer.status });
      } catch (error) {
        if (error.status || given.id === null || tries === PUBLISH_TRIES) throw error;
        await new Promise((done) => setTimeout(done, 500 * 2 ** tries));
      }
    }
  }

  const acts = {
    pagehide: stop,
    pageshow: start,
    freeze: stop,
    resume: start,
    offline: () => leading && interrupt(),
    online: () => {
      due = 0;
      if (state !== "live") interrupt();
    },
  };
  for (const name in acts) addEventListener(name, acts[name], { capture: true, signal: listening.signal });
  start();

  return {
    on(name, handler) {
      handlers.addEventListener(name, handler);
      return this;
    },
    off(name, handler) {
      handlers.removeEventListener(name, handler);
      return this;
    },
    get state() {
      return state;
    },
    close,
    publish,
  };
}

// Reads an event stream (HTML standard, section 9.2.6) and gives its blocks as objects of their fields; a
// comment's field has no name. Each chunk gives one that is empty.
async function read(body, receive) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let block = {};
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    // A CR at the end may be half of a CRLF.
    const lines = (rest + value).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop();
    receive({});
    for (const line of lines) {
      const [, name, text] = /^([^:]*):? ?(.*)$/s.exec(line);
      if (!line) {
        receive(block);
        block = {};
      } else block[name] = name === "data" && name in block ? `${block.data}\n${text}` : text;
    }
  }
}

// Why a request was refused, in the server's words.
async function reason(answer) {
  const { error } = await answer.json().catch(() => ({}));
  return error ?? `the server answered ${answer.status}`;
}

// An id that the server takes: digits and letters with hyphens.
function unique() {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (part) => part.toString(36)).join("-");
}

// Where a browser keeps nothing, a page that is loaded again begins anew.
function storage() {
  try {
    return sessionStorage;
  } catch {
    return {};
  }
}

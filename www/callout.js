// callout in a web page: one stream for all tabs of an origin, which reconnects by itself.
//
//   const news = connect({ topics: ["news"] });
//   news.on("message", (event) => console.log(event.data));
//
// Every tab sees each kept event once, in order and without a gap. If there is a gap, an event `reset` says so
// before anything later. The stream is read with `fetch` and not with EventSource: only `fetch` shows every byte
// (heartbeats are comments), the status of a refusal, and events of any name.
//
// One tab leads: it holds the Web Lock of this url, reads the stream and broadcasts what it reads over a
// BroadcastChannel, each event with the id of the one before it. The other tabs follow and queue for the lock. A
// follower that does not know that id is behind: it has just been opened, or has missed something. It then reads a
// stream of its own, from its own last id, until it knows what the leader knows; so the server alone decides what a
// new tab sees. A follower that knows a later id has seen the event already; a new leader goes on from its own last
// id. Without locks (browsers have them for https and localhost) no tab leads, and each reads its own stream.

// How many of the newest ids a tab knows. A tab that is ahead of its leader by more reads a stream of its own.
const KNOWN = 200;

// How often a leader says that it is alive. A follower whose tab is visible takes the lead after so many silent
// ticks, 1.8 seconds at most. So a hidden tab, whose timers the browser slows down, leads only other hidden tabs.
const TICK_MILLIS = 450;
const SILENT_TICKS = 4;

// For each second between heartbeats: a stream without a byte for so long is taken for dead.
const STALL_MILLIS = 2500;

// The longest delay between two attempts unless the server asks for more, and the one after which `publish` gives up.
const LONG_MILLIS = 30_000;

// Without HTTP/2 a browser has six connections to a server, for all its tabs. When more streams than this are open,
// hidden tabs close theirs.
const STREAMS_MAX = 4;

// Where the browser stores nothing, a page that is loaded again starts without a last id.
let storage = {};
try {
  storage = sessionStorage;
} catch {}

// Opens a stream on a url, or on topics. A relative url belongs to the server that this file came from.
export function connect(wanted) {
  // A string has none of these fields: it is the url itself.
  const { topics, url: at = topics ? "/" : wanted, resume = true, background } = wanted;
  const url = new URL(topics ? "/topics" : at, new URL(at, import.meta.url));
  for (const topic of topics ?? []) url.searchParams.append("topic", topic);
  const key = `callout:${url}`;
  const stream = Object.assign(new EventTarget(), { state: "connecting", close, publish: publish.bind(null, url) });
  stream.on = stream.addEventListener;
  stream.off = stream.removeEventListener;

  // This tab's part among the tabs. `turn` is its time in the queue and in the lead, from start to stop.
  let turn, channel, room, leading, behind, quiet;
  // A snapshot (presence, statistics) follows in the tab's own stream, which must not end before. The opening comment
  // says whether one follows; until then nobody knows.
  let snapshot;
  // The stream that it reads. `cut` ends that stream, or the pause before the next.
  let cut, heard;
  let beat = 15; // seconds between heartbeats
  let retry = 1000; // milliseconds
  // What it has seen: the last id, and the newest ones.
  let id = (resume && storage[key]) || "";
  let known = [id];

  function start() {
    if (turn) return;
    behind = snapshot = true;
    queue();
    cut();
  }

  function stop() {
    turn?.abort();
    channel?.close();
    room?.close();
    turn = channel = room = leading = behind = null;
    cut();
    storage[key] = id;
  }

  function close() {
    for (const name in handlers) removeEventListener(name, handlers[name], true);
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
      channel.onmessage = receive;
      room ??= new BroadcastChannel("callout");
      room.onmessage = makeRoom;
      await navigator.locks.request(key, steal ? { steal } : { signal }, () => signal.aborted || new Promise(lead));
    } catch (error) {
      if (signal.aborted || error.name !== "AbortError") return;
      // The lead was stolen. This tab's stream goes on until it knows what the new leader knows.
      leading = false;
      behind = true;
      queue();
    }
  }

  // Holds the lock until `done` is called.
  function lead(done) {
    turn.signal.onabort = done;
    leading = true;
    if (!behind) cut();
    room.postMessage("one more stream");
    makeRoom();
  }

  // Closes the stream of a hidden tab when too many are open, one tab after the other. It goes on from its last id
  // when the tab is shown.
  async function makeRoom() {
    // A page on its way into the back/forward cache has stopped already; with a lock it would not be cached.
    if (!document.hidden || background || !turn) return;
    // Without locks nobody can count the streams.
    if (!navigator.locks) return stop();
    await navigator.locks.request("callout", async () => {
      const { held } = await navigator.locks.query();
      const streams = held.filter(({ name }) => name.startsWith("callout:"));
      if (document.hidden && streams.length > STREAMS_MAX) stop();
    });
  }

  const look = () => (document.hidden ? makeRoom() : start());

  function tick() {
    if (leading) broadcast();
    else quiet = document.hidden ? 0 : quiet + 1;
    if (quiet === SILENT_TICKS) queue(true);
    if (Date.now() > heard + beat * STALL_MILLIS) cut();
  }

  function broadcast(news) {
    const message = { id, state: stream.state, ...news };
    if (leading) channel.postMessage(message);
    apply(message);
  }

  function receive({ data: message }) {
    quiet = 0;
    if (leading || snapshot) return;
    const wasBehind = behind;
    behind = !known.includes(message.id);
    if (behind !== wasBehind) cut();
    // A tab that is ahead of the leader has seen the event already.
    if (!behind && (message.id === id || !message.event?.id)) apply(message);
  }

  function apply({ state, error, event }) {
    if (state !== stream.state) emit("state", { data: (stream.state = state) });
    if (error) emit("error", error);
    if (event?.id) {
      id = event.id;
      known = [...known, id].slice(-KNOWN);
    }
    // The position at which a stream begins has an id and no data.
    if (event?.data == null) return;
    for (const type of new Set([event.name, "*"])) emit(type, { ...event, json: () => JSON.parse(event.data) });
  }

  const emit = (type, detail) => stream.dispatchEvent(Object.assign(new Event(type), detail));

  // ---- the stream ----

  // Reads one stream after the other while the tab leads or is behind. After a pause that was cut there is no pause.
  async function run() {
    for (let pause = 0; stream.state !== "closed"; ) {
      const state = navigator.onLine ? "reconnecting" : "offline";
      if ((leading || behind) && stream.state !== "connecting") broadcast({ state });
      // Asked again, because a handler may have closed the stream.
      if ((leading || behind) && navigator.onLine && !pause) {
        // If it breaks or is cut, the next one goes on from the last id.
        await read().catch(() => {});
        heard = NaN;
        pause = retry;
        // Unless the server says how long: longer each time, and not all tabs at once.
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
    if (answer.status !== 200) return broadcast({ error: { ...(await refusal(answer)) } });
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let rest = ""; ; ) {
      const { done, value } = await reader.read();
      if (done) return;
      heard = Date.now();
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop();
      // A handler may close the stream.
      for (const block of blocks) if (!ending.signal.aborted) take(parse(block));
    }
  }

  function take({ "": comment, event: name = "message", data, id, retry: delay = retry }) {
    [, beat, snapshot] = /heartbeat=(\S+)( snapshot)?/.exec(comment) ?? [0, beat, snapshot];
    if (data && !id) snapshot = "";
    retry = Number(delay);
    broadcast({ state: comment ? "live" : stream.state, event: { id, name, data } });
  }

  const wake = () => cut();
  const handlers = {
    pagehide: stop,
    freeze: stop,
    pageshow: start,
    resume: start,
    visibilitychange: look,
    offline: wake,
    online: wake,
  };
  for (const name in handlers) addEventListener(name, handlers[name], true);
  const ticker = setInterval(tick, TICK_MILLIS);
  run();
  start();
  return stream;
}

// Publishes, again and again while no answer comes: the event's own id makes that safe.
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

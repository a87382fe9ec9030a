// callout in a web page or in a worker: one stream for all tabs of an origin, which reconnects by itself.
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

// The least delay while the browser says that it is offline. It says so without internet too, and the server may be on
// this machine or in this building.
const OFFLINE_MILLIS = 5000;

// A publication without an answer for so long is repeated.
const ANSWER_MILLIS = 10_000;

// The names of the library's own events. No event of the stream is dispatched under them, because a publisher may use
// them too. `reset` is the server's, which refuses it to publishers.
const OWN = ["state", "error"];

// Without HTTP/2 a browser has six connections to a server, for all its tabs. When more streams than this are open,
// hidden tabs close theirs.
const STREAMS_MAX = 4;

// A function that gives tickets is asked for the next one after this part of a ticket's time, so that not all pages ask at
// once; and no timer is longer than this.
const RENEW_AFTER = 0.75;
const RENEW_WITHIN = 0.2;
const TIMER_MILLIS_MAX = 2 ** 31 - 1;

// The folder that this file came from: callout is there, whatever path a proxy has put it under.
const HOME = new URL(".", import.meta.url);

// Where the browser stores nothing, and in a worker, what is loaded again starts without a last id.
let storage = {};
try {
  storage = sessionStorage;
} catch {}

// A worker is never hidden.
const isHidden = () => globalThis.document?.hidden;

// Opens a stream on a url, or on topics and prefixes. A relative url is taken from the folder that this file came from.
export function connect(wanted) {
  // A string has none of these fields: it is the url itself.
  const { topics, url: at = topics ? "." : wanted, resume = true, background, ticket } = wanted;
  // Where callout is: with topics that is what `url` says, with or without a slash at its end.
  const given = new URL(topics ? at.replace(/\/?$/, "/") : at, HOME);
  const home = topics || !given.href.startsWith(HOME.href) ? new URL(topics ? "." : "/", given) : HOME;
  const url = topics ? new URL("topics", home) : given;
  for (const topic of topics ?? []) url.searchParams.append("topic", topic);
  // One topic needs no naming. Of several, and of a prefix (`rooms/*`), each event says its own.
  const only = topics?.length === 1 && !topics[0].endsWith("*") ? topics[0] : undefined;
  if (topics && !only) url.searchParams.append("with", "topic");
  const key = `callout:${url}`;
  const stream = Object.assign(new EventTarget(), { state: "connecting", close, publish: publishWithTicket });
  stream.on = stream.addEventListener;
  stream.off = stream.removeEventListener;

  // This tab's part among the tabs. `turn` is its time in the queue and in the lead, from start to stop.
  let turn, channel, room, leading, behind, quiet;
  // A snapshot (presence, statistics) follows in the tab's own stream, which must not end before. The opening comment
  // says whether one follows; until then nobody knows.
  let snapshot;
  // The stream that it reads. `cut` ends that stream, or the pause before the next; `isUrgent` says that there is to be
  // no pause. `goodbye` is where the server is told that the stream will not come back, if it wants to know.
  let cut, heard, isUrgent, goodbye;
  let beat = 15; // seconds between heartbeats
  let retry = 1000; // milliseconds
  // The ticket of now, where a function gives them, and whether it was just given.
  let held, isFresh;
  const gives = typeof ticket === "function";
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
    if (goodbye && (leading || !navigator.locks)) leave(new URL(goodbye, home)).catch(() => {});
    stop();
    apply({ state: "closed" });
  }

  // Says goodbye, unless another tab goes on. A page that is reloaded comes back, so a page that is left says nothing.
  async function leave(to) {
    const { pending = [] } = (await navigator.locks?.query()) ?? {};
    if (!pending.some(({ name }) => name === key)) await fetch(to, { method: "POST", keepalive: true });
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
    if (!isHidden() || background || !turn) return;
    // Without locks nobody can count the streams.
    if (!navigator.locks) return stop();
    await navigator.locks.request("callout", async () => {
      const { held } = await navigator.locks.query();
      const streams = held.filter(({ name }) => name.startsWith("callout:"));
      if (isHidden() && streams.length > STREAMS_MAX) stop();
    });
  }

  const look = () => (isHidden() ? makeRoom() : start());

  function tick() {
    if (leading) broadcast();
    else quiet = isHidden() ? 0 : quiet + 1;
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
    const types = new Set(OWN.includes(event.name) ? "*" : [event.name, "*"]);
    for (const type of types) emit(type, { ...event, json: () => JSON.parse(event.data) });
  }

  const emit = (type, detail) => stream.dispatchEvent(Object.assign(new Event(type), detail));

  // ---- the ticket ----

  // A ticket to present; a new one if the last was refused or is about to end.
  async function present(anew) {
    isFresh = anew || !held;
    if (isFresh) held = await (gives ? ticket() : ticket);
    return held?.ticket ?? held;
  }

  // The ticket that was presented is not valid. Says whether another one may be.
  function isWorthAnother() {
    held = undefined;
    return gives && !isFresh;
  }

  // Goes on with a new ticket before the old one ends. Without one the stream goes on until its end.
  function renewLater(text) {
    const millis = lasting(text) * (RENEW_AFTER + Math.random() * RENEW_WITHIN);
    if (gives && millis > 0) return setTimeout(() => present(true).then(wake, () => {}), Math.min(millis, TIMER_MILLIS_MAX));
  }

  async function publishWithTicket(topic, data, { token, ...options } = {}) {
    const attempt = async () => publish(home, topic, data, { token: token ?? (await present()), ...options });
    try {
      return await attempt();
    } catch (error) {
      if (error.status !== 401 || token || !isWorthAnother()) throw error;
      return attempt();
    }
  }

  // ---- the stream ----

  // Reads one stream after the other while the tab leads or is behind. After a pause that was cut there is no pause.
  async function run() {
    for (let pause = 0; stream.state !== "closed"; ) {
      const state = navigator.onLine ? "reconnecting" : "offline";
      if ((leading || behind) && stream.state !== "connecting") broadcast({ state });
      // Asked again, because a handler may have closed the stream.
      if ((leading || behind) && !pause) {
        isUrgent = false;
        // If it breaks or is cut, the next one goes on from the last id.
        await read().catch(() => {});
        heard = NaN;
        goodbye = "";
        pause = isUrgent ? 0 : navigator.onLine ? retry : Math.max(retry, OFFLINE_MILLIS);
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
    let bearer;
    try {
      bearer = await present();
    } catch ({ message }) {
      return broadcast({ error: { data: `no ticket: ${message}`, status: 0 } });
    }
    if (id) url.searchParams.set("last_event_id", id);
    const headers = { accept: "text/event-stream", ...authorization(bearer) };
    // Without `no-store` Firefox lets a fetch wait for the end of another of the same url.
    const answer = await fetch(url, { headers, cache: "no-store", signal: ending.signal });
    if (answer.status !== 200 || !/^text\/event-stream\b/i.test(typeOf(answer))) {
      if (answer.status === 401 && isWorthAnother()) return wake();
      const { data, hint, status } = await refusal(answer);
      broadcast({ error: { data, hint, status } });
      return ending.abort();
    }
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    const renewal = renewLater(bearer);
    isFresh = false;
    try {
      for (let rest = ""; ; ) {
        const { done, value } = await reader.read();
        if (done) return;
        heard = Date.now();
        const blocks = (rest + value).split("\n\n");
        rest = blocks.pop();
        // A handler may close the stream.
        for (const block of blocks) if (!ending.signal.aborted) take(parse(block));
      }
    } finally {
      clearTimeout(renewal);
    }
  }

  function take({ "": comment, event: name = "message", data, id, topic = only, retry: delay = retry }) {
    const opening = /heartbeat=(\S+)( snapshot)?(?: goodbye=(\S+))?/.exec(comment);
    if (opening) [, beat, snapshot, goodbye] = opening;
    if (data && !id) snapshot = "";
    retry = Number(delay);
    // With another ticket it goes on where it was, and nobody need know.
    if (name === "unauthorized" && isWorthAnother()) return;
    broadcast({ state: opening ? "live" : stream.state, event: { id, name, data, topic } });
  }

  const wake = () => {
    isUrgent = true;
    cut();
  };
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

// Publishes, again and again while callout does not answer: the event's own id makes that safe. The topics are in the
// query, because proxies rewrite paths.
async function publish(home, topic, data, { id = `${Date.now()}-${Math.random()}`, token, ...given } = {}) {
  const query = new URLSearchParams(id === null ? given : { id, ...given });
  for (const name of [topic].flat()) query.append("topic", name);
  const to = new URL(`topics?${query}`, home);
  const body = typeof data === "string" ? data : JSON.stringify(data);
  const headers = authorization(token);
  for (let pause = 500; ; pause *= 2) {
    try {
      return await post(to, { body, headers });
    } catch (error) {
      if (error.isFinal || id === null || pause > LONG_MILLIS) throw error;
    }
    await new Promise((done) => setTimeout(done, pause));
  }
}

// Asks once. The error is final where another attempt would fail the same way.
async function post(to, { body, headers }) {
  // A redirect that is followed may turn the POST into a GET, which publishes nothing and opens a stream.
  const request = { method: "POST", body, headers, redirect: "manual", signal: AbortSignal.timeout(ANSWER_MILLIS) };
  const answer = await fetch(to, request);
  if (answer.ok && /json/.test(typeOf(answer))) return answer.json();
  if (answer.type === "opaqueredirect") {
    // A page is not shown where a redirect leads, but where it has arrived.
    const { url = "elsewhere" } = await fetch(to, { method: "HEAD" }).catch(() => ({}));
    const data = `redirected to ${url}: a publication is not redirected, so connect to that address`;
    throw Object.assign(new Error(data), { data, status: 0, isFinal: true });
  }
  const error = await refusal(answer);
  // 502, 503 and 504 without callout's words are a proxy's, while callout is away.
  throw Object.assign(error, { isFinal: error.isCallouts || answer.status < 502 });
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

const authorization = (bearer) => (bearer ? { authorization: `Bearer ${bearer}` } : {});

// How long a ticket or a JWT lasts, in milliseconds, as it says itself: clocks need not agree. NaN where it does not say.
function lasting(text = "") {
  try {
    const json = atob(text.split(".").at(-2).replaceAll("-", "+").replaceAll("_", "/"));
    const { issued, expires, iat, exp } = JSON.parse(json);
    return expires ? (expires - issued) / 1000 : (exp - iat) * 1000;
  } catch {
    return NaN;
  }
}

const typeOf = (answer) => answer.headers.get("content-type") ?? "";

// Why a request was refused: in callout's words, or else what came in the place of its answer.
async function refusal(answer) {
  const { status, url } = answer;
  const type = typeOf(answer) || "something without a type";
  const { reason, hint } = /json/.test(type) ? await answer.json().catch(() => ({})) : {};
  const data = reason ?? (answer.ok ? `${url} answered with ${type}, which is not callout` : `status ${status}`);
  return Object.assign(new Error(data), { data, hint, status, isCallouts: Boolean(reason) });
}

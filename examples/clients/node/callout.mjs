// Publishes to callout and follows a topic, with nothing but Node's fetch.
//
//   node callout.mjs publish news 'hello, world'
//   node callout.mjs follow news

import { setTimeout as sleep } from "node:timers/promises";

const { CALLOUT_URL: url = "http://127.0.0.1:8080", CALLOUT_PUBLISH_TOKEN: token } = process.env;

// The server sends something every 15 s at least (`--heartbeat`). After 40 s without a byte the stream is dead.
const SILENCE_MILLIS = 40_000;

class Refused extends Error {}

// Publishes text and gives the event's id. What was not answered, or was answered 5xx, is sent again. That is
// safe, because the event keeps its id: callout publishes an id once.
async function publish(topic, data) {
  const to = `${topicUrl(topic)}?id=${crypto.randomUUID()}`;
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  let reason;
  for (const pauseMillis of [1000, 2000, 4000, 8000, 0]) {
    try {
      const response = await fetch(to, { method: "POST", body: data, headers, signal: AbortSignal.timeout(10_000) });
      if (response.ok) return (await response.json()).id;
      reason = await response.text();
      if (response.status < 500) break;
    } catch (error) {
      reason = error.cause ?? error;
    }
    await sleep(pauseMillis);
  }
  throw new Refused(`failed to publish: ${reason}`);
}

// Yields the events of a topic for ever.
async function* follow(topic, lastId = "") {
  let retryMillis = 3000;
  for (;;) {
    const ending = new AbortController();
    const silence = setTimeout(() => ending.abort(), SILENCE_MILLIS);
    try {
      const headers = { accept: "text/event-stream", ...(lastId && { "last-event-id": lastId }) };
      const response = await fetch(topicUrl(topic), { headers, signal: ending.signal });
      // What the server refuses it will refuse again.
      if (response.status >= 400 && response.status < 500) throw new Refused(`refused: ${await response.text()}`);
      let rest = "";
      for await (const text of response.ok ? response.body.pipeThrough(new TextDecoderStream()) : []) {
        silence.refresh();
        // An empty line ends an event. What comes before it is not whole, and neither is its id.
        const blocks = (rest + text).split("\n\n");
        rest = blocks.pop();
        for (const event of blocks.map(parse)) {
          lastId = event.id ?? lastId;
          retryMillis = Number(event.retry ?? retryMillis);
          if (event.data !== undefined) yield event;
        }
      }
    } catch (error) {
      if (error instanceof Refused) throw error;
      console.error("the stream broke:", String(error.cause ?? error));
    } finally {
      clearTimeout(silence);
    }
    await sleep(retryMillis);
  }
}

// The lines `field: value` as an object. callout ends lines with LF.
function parse(block) {
  const event = { event: "message" };
  for (const line of block.split("\n")) {
    const [, field, value] = /^([^:]*):? ?(.*)$/s.exec(line);
    event[field] = field === "data" && "data" in event ? `${event.data}\n${value}` : value;
  }
  return event;
}

function topicUrl(topic) {
  return `${url}/topics/${encodeURIComponent(topic)}`;
}

const [act, topic, data] = process.argv.slice(2);
if (act === "publish") console.log(await publish(topic, data));
if (act === "follow") {
  for await (const { event, data } of follow(topic)) {
    // After `reset` the last id was unknown or too old: some events are lost. Load afresh what they would have
    // changed.
    console.log(event === "message" ? data : `${event}: ${data}`);
  }
}

// It opens a browser's EventSource anew when that has given up, with the last id in the query, as `lastEventId`.

import ReconnectingEventSource from "/node_modules/reconnecting-eventsource/build/esm/reconnecting-eventsource.js";
import { NAMES, note, sayEvent } from "/say.mjs";

export function follow(url) {
  const stream = new ReconnectingEventSource(url);
  for (const name of NAMES) stream.addEventListener(name, sayEvent);
  stream.onerror = (event) => note(event.type);
}

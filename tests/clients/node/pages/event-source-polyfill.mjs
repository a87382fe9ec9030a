// It sends the last id in the query, under a name of its own unless it is told another.

import { NAMES, note, sayEvent } from "/say.mjs";

export function follow(url) {
  const stream = new EventSourcePolyfill(url, { lastEventIdQueryParameterName: "last_event_id" });
  for (const name of NAMES) stream.addEventListener(name, sayEvent);
  stream.onerror = (event) => note(event.error ?? event.type);
}

// It sends the last id in the query, as `lastEventId`.

import { NAMES, note, sayEvent } from "/say.mjs";

export function follow(url) {
  const stream = new EventSourcePolyfill(url);
  for (const name of NAMES) stream.addEventListener(name, sayEvent);
  stream.onerror = (event) => note(event.error ?? event.type);
}

// It comes back only when asked to.

import { SSE } from "/node_modules/sse.js/lib/sse.js";
import { NAMES, note, sayEvent } from "/say.mjs";

export function follow(url) {
  const stream = new SSE(url, { autoReconnect: true });
  for (const name of NAMES) stream.addEventListener(name, sayEvent);
  stream.addEventListener("error", (event) => note(`status ${event.responseCode}`));
}

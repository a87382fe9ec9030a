// After a clean end, as after a drain, the library stops for good unless `onclose` throws.

import { fetchEventSource } from "/node_modules/@microsoft/fetch-event-source/lib/esm/index.js";
import { note, say } from "/say.mjs";

export function follow(url) {
  fetchEventSource(url, {
    openWhenHidden: true,
    onmessage: ({ event, data, id }) => say(event, data, id),
    onclose() {
      throw new Error("the stream ended");
    },
    onerror: note,
  });
}

// eventsource, the `EventSource` of the browsers for Node: node eventsource.mjs URL

import { EventSource } from "eventsource";
import { NAMES, note, sayEvent } from "./say.mjs";

const stream = new EventSource(process.argv[2]);
for (const name of NAMES) stream.addEventListener(name, sayEvent);
stream.onerror = (event) => note(event.message);

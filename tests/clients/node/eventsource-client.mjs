// eventsource-client, which hands out every event whatever its name: node eventsource-client.mjs URL

import { createEventSource } from "eventsource-client";
import { note, say } from "./say.mjs";

const stream = createEventSource({ url: process.argv[2], onDisconnect: () => note("disconnected") });
for await (const { event, data, id } of stream) say(event, data, id);

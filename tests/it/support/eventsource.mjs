// What an EventSource that nobody here wrote makes of a stream: prints the events as JSON, one array.
//
//   node --experimental-eventsource eventsource.mjs URL LAST_EVENT_NAME < names.json

import { readFileSync } from "node:fs";

const [url, lastName] = process.argv.slice(2);
const names = JSON.parse(readFileSync(0, "utf8"));
const source = new EventSource(url);
const seen = [];
for (const name of new Set([...names, lastName])) {
  source.addEventListener(name, (event) => {
    if (name === lastName) {
      source.close();
      console.log(JSON.stringify(seen));
    } else {
      seen.push({ id: event.lastEventId, event: event.type, data: event.data });
    }
  });
}
source.onerror = () => {
  console.error("the stream broke");
  process.exit(1);
};

// Serves the pages of this folder, and passes /topics on to callout, as a reverse proxy in front of a site does.

import { readFile } from "node:fs/promises";
import { createServer, request } from "node:http";
import { extname } from "node:path";
import { pipeline } from "node:stream";

const { CALLOUT_URL = "http://127.0.0.1:8080", PORT = 3000 } = process.env;
const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript" };

const server = createServer((asked, answer) => (asked.url.startsWith("/topics/") ? pass : serve)(asked, answer));
server.listen(PORT, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}/callout.html`));

async function serve(asked, answer) {
  // A URL has no `..` left that would lead out of the folder.
  const { pathname } = new URL(`http://pages${asked.url}`);
  // Datastar's package is made for a bundler: its imports leave out `.js` and `/index.js`.
  for (const path of [pathname, `${pathname}.js`, `${pathname}/index.js`]) {
    const content = await readFile(new URL(`.${path}`, import.meta.url)).catch(() => null);
    if (!content) continue;
    if (path !== pathname) return answer.writeHead(302, { location: path }).end();
    return answer.writeHead(200, { "content-type": TYPES[extname(path)] ?? "application/octet-stream" }).end(content);
  }
  answer.writeHead(404).end();
}

function pass(asked, answer) {
  const onward = request(new URL(asked.url, CALLOUT_URL), { method: asked.method, headers: asked.headers });
  onward.on("response", (response) => {
    answer.writeHead(response.statusCode, response.headers);
    pipeline(response, answer, () => onward.destroy());
  });
  onward.on("error", () => {
    // callout cannot be reached. An EventSource that is answered 502 never comes back; a stream that ends at once
    // tells it when to.
    if (answer.headersSent) answer.destroy();
    else if (asked.method !== "GET") answer.writeHead(502).end();
    else answer.writeHead(200, { "content-type": "text/event-stream" }).end("retry: 1000\n\n");
  });
  // A browser that leaves is noticed by callout too.
  answer.on("close", () => onward.destroy());
  asked.pipe(onward);
}

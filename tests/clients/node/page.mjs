// The libraries for pages, in Chromium: node page.mjs LIBRARY URL. The page prints on its console.

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { extname } from "node:path";
import { launch, quit } from "../../browser/engines/chromium.mjs";

const [library, url] = process.argv.slice(2);

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript" };

// The files of this folder. The library of Microsoft imports its own without their endings.
const server = createServer(async (request, response) => {
  const path = request.url.slice(1);
  const name = extname(path) in TYPES ? path : `${path}.js`;
  try {
    const file = await readFile(new URL(name, import.meta.url));
    response.writeHead(200, { "content-type": TYPES[extname(name)] }).end(file);
  } catch {
    response.writeHead(404).end();
  }
});

server.listen(0, "127.0.0.1", async () => {
  const browser = await launch();
  for (const signal of ["SIGTERM", "SIGINT"]) process.once(signal, () => quit().then(() => process.exit()));
  const page = await browser.newPage(console.error);
  page.on("console", (message) => message.type() === "log" && console.log(message.text()));
  await page.goto(`http://127.0.0.1:${server.address().port}/pages/empty.html`);
  await page.evaluate(
    async ([library, url]) => {
      const { follow } = await import(`/pages/${library}.mjs`);
      follow(url);
    },
    [library, url],
  );
});

// A proxy in front of callout that does to requests what the test tells it, in every engine.

import { once } from "node:events";
import { createServer, request } from "node:http";
import { atEnd } from "./support.mjs";

// Starts a proxy that ends with the test, and gives its origin. `treat(asked, answer, pass)` may answer by itself; or it
// calls `pass`, perhaps later, and with a function that is given callout's answer in place of the one who asked.
export async function proxied(test, callout, treat) {
  const proxy = createServer((asked, answer) => {
    const pass = (take = forward, path = asked.url) => {
      const { method, headers } = asked;
      const passed = request(new URL(path, callout.url), { method, headers }, (from) => take(from, answer));
      passed.on("error", () => answer.destroy());
      answer.on("close", () => passed.destroy());
      asked.pipe(passed);
    };
    treat(asked, answer, pass);
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  atEnd(test, () => {
    proxy.close();
    proxy.closeAllConnections();
  });
  return `http://127.0.0.1:${proxy.address().port}`;
}

export function forward(from, answer) {
  answer.writeHead(from.statusCode, from.headers);
  from.pipe(answer);
  // What was cut off behind the proxy is cut off before it.
  from.on("close", () => from.complete || answer.destroy());
}

// Answers with text, as a proxy does that has nothing behind it.
export function say(answer, status, text = "", headers = {}) {
  answer.writeHead(status, { "content-type": "text/html", ...headers }).end(text);
}

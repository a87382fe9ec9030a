// The README's pictures: `make screenshots`.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Callout, launch, until } from "./support.mjs";

const FOLDER = fileURLToPath(new URL("../../docs", import.meta.url));

const SAID = [
  ["ann", "Good morning! The new board is on the desk."],
  ["bob", "Already? Does it boot?"],
  ["ann", "It does.\nThe fan is louder than the old one, though."],
  ["cleo", "Lunch at twelve?"],
  ["bob", "Yes."],
];

// A page in a window of a size that is still legible in half the width of a README.
async function picture(browser, callout, name, path, ready) {
  const viewport = { width: 900, height: 760 };
  const context = await browser.newContext({ viewport, colorScheme: "light", locale: "en-GB", timezoneId: "UTC" });
  const page = await context.newPage();
  await page.goto(callout.url + path);
  await ready(page);
  await page.screenshot({ path: join(FOLDER, `${name}.png`) });
}

const callout = new Callout();
await callout.start();
const browser = await launch();
mkdirSync(FOLDER, { recursive: true });
try {
  for (const [user, message] of SAID) {
    await callout.post("/sse/message", { user, message });
  }
  const others = ["ann", "cleo"].map(() => new AbortController());
  for (const [at, user] of ["ann", "cleo"].entries()) {
    await fetch(`${callout.url}/sse?user=${user}`, { signal: others[at].signal });
  }
  await picture(browser, callout, "chat", "/sse.html", async (page) => {
    await page.fill("#user", "bob");
    await page.click("#connect");
    await until("everybody is here", async () => (await page.locator("#users li").count()) === 3);
  });
  others.forEach((other) => other.abort());
} finally {
  await browser.close();
  await callout.remove();
}

// Makes the README's pictures: `make screenshots`.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { launch, quit } from "./engines/chromium.mjs";
import { Callout, until } from "./support.mjs";

const FOLDER = fileURLToPath(new URL("../../docs", import.meta.url));

const SAID = [
  ["ann", "Good morning! The new board is on the desk."],
  ["bob", "Already? Does it boot?"],
  ["ann", "It does.\nThe fan is louder than the old one, though."],
  ["cleo", "Lunch at twelve?"],
  ["bob", "Yes."],
];

// How long the activity page shows a server that is in use, and the paths that are requested meanwhile.
const LIFE_SECS = 90;
const ASKED = ["/", "/sse.html", "/healthz", "/wall.html", "/posts.html", "/site.css", "/callout.js"];

// Requests for the charts, sometimes more and sometimes fewer.
async function live(callout) {
  for (let tenths = 0; tenths < LIFE_SECS * 10; tenths += 1) {
    const busy = 3 + 3 * Math.sin(tenths / 90) + 2 * Math.sin(tenths / 23);
    for (let count = 0; count < busy; count += 1) {
      await fetch(`${callout.url}/topics/news`, { method: "POST", body: "x".repeat(200) });
    }
    if (tenths % 7 === 0) await fetch(callout.url + ASKED[tenths % ASKED.length]);
    await new Promise((done) => setTimeout(done, 100));
  }
}

// A page in a small window, so that the picture is legible at half the width of a README.
async function picture(callout, name, path, ready) {
  const viewport = { width: 900, height: 760 };
  const browser = await launch({ viewport, colorScheme: "light", locale: "en-GB", timezoneId: "UTC" });
  try {
    const page = await browser.newPage(console.error);
    await page.goto(callout.url + path);
    await ready(page);
    await page.screenshot({ path: join(FOLDER, `${name}.png`) });
  } finally {
    await browser.close();
  }
}

const callout = new Callout();
await callout.start();
mkdirSync(FOLDER, { recursive: true });
try {
  for (const [user, message] of SAID) {
    await callout.post("/sse/message", { user, message });
  }
  const others = await Promise.all(["ann", "cleo"].map((user) => fetch(`${callout.url}/sse?user=${user}`)));
  await picture(callout, "chat", "/sse.html", async (page) => {
    await page.fill("#user", "bob");
    await page.click("#connect");
    await until("everybody is here", async () => (await page.locator("#users li").count()) === 3);
  });
  for (const other of others) await other.body.cancel();
  await picture(callout, "activity", "/activity.html", () => live(callout));
} finally {
  await quit();
  await callout.remove();
}

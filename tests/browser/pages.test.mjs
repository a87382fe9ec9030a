// Every page works with a screen reader and in a narrow window, without an error on the console (a violation of the
// content security policy is one). Their screenshots are in `target/screenshots`.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { isState, open, pictures, serve, test, until } from "./support.mjs";

const AXE = readFileSync(new URL("node_modules/axe-core/axe.min.js", import.meta.url), "utf8");

// The pages, and how each gets into the state that is checked.
const PAGES = [
  { name: "index", path: "/", ready: receive },
  { name: "chat", path: "/sse.html", ready: talk },
  { name: "activity", path: "/activity.html", ready: request },
  { name: "notifications", path: "/notifications.html", ready: notify },
  { name: "wall", path: "/wall.html", ready: put },
  { name: "posts", path: "/posts.html", ready: post },
  { name: "check", path: "/check.html", ready: check },
];

// A small phone, a large one, and a screen.
const WIDTHS = [{ width: 320, needs: ["narrow"] }, { width: 480 }, { width: 1440 }];

async function receive(page) {
  await isState(page, "live");
  for (const body of ["hello, world", "W" + "o".repeat(150) + "w"]) {
    await page.evaluate((body) => fetch("/topics/news", { method: "POST", body }), body);
  }
  await until("two messages", async () => (await page.locator("#messages li").count()) === 2);
}

async function talk(page) {
  await page.fill("#user", "ann");
  await page.click("#connect");
  await isState(page, "live");
  await page.waitForSelector("#users li");
  await page.waitForSelector("#messages .message");
}

async function request(page) {
  await isState(page, "live");
  await until("a request is shown", async () => {
    await page.evaluate(() => fetch("/healthz"));
    return page.locator("#actions li").count();
  });
  await until("there are lines", async () => (await page.getAttribute("#charts path:not(.area)", "d")).includes("L"));
}

async function notify(page) {
  await page.fill("#me", "ann");
  await page.click("#subscribe [type=submit]");
  await isState(page, "live");
  for (const data of ["An important message", "W" + "o".repeat(150) + "w", "مرحبا"]) {
    await page.fill("#data", data);
    await page.click("#notify [type=submit]");
    await page.locator("#notes .text", { hasText: data }).waitFor();
  }
  await page.waitForSelector("#reached time");
}

async function put(page) {
  await isState(page, "live");
  for (const type of ["red", "yellow", "blue", "a-rather-long-type-without-a-space"]) {
    const text = `${type} <b>${"o".repeat(60)}</b>`;
    await page.fill("#text", text);
    if (type.length < 9) await page.check(`[value=${type}]`);
    else await page.fill("#other", type);
    await page.click("#put [type=submit]");
    await page.locator(".column .text", { hasText: text }).waitFor();
  }
}

async function post(page) {
  await isState(page, "live");
  await page.click("#write");
  for (const title of ["Good morning", "W" + "o".repeat(150) + "w"]) {
    await page.fill("#title", title);
    await page.fill("#author", "ann");
    await page.fill("#content", `The new board is on the desk.\n\n#GoLang and #${"x".repeat(90)}`);
    await page.click("#new [type=submit]");
    await page.locator(".card h3", { hasText: title }).waitFor();
  }
  await page.waitForSelector("#published .tag");
  await page.$eval(".card button", (button) => button.click());
  await page.fill(".card textarea", "half typed");
}

async function check(page) {
  await page.waitForSelector("#findings[aria-busy=false]");
  await isState(page, "live");
}

for (const { name, path, ready } of PAGES) {
  for (const { width, needs } of WIDTHS) {
    test(`${name} can be read by everybody, ${width} px wide`, async (test) => {
      for (const colorScheme of ["dark", "light"]) {
        const callout = await serve(test);
        await callout.post("/sse/message", { user: "bob", message: "Good morning! The new board is on the desk." });
        // `bypassCSP` would hide violations, so axe-core is evaluated and not added as a script.
        const window = await open(test, { colorScheme, viewport: { width, height: 900 } });
        const page = await window.tab(callout.url + path);
        assert.equal(await page.evaluate(() => innerWidth), width);
        assert.equal(await page.evaluate(() => matchMedia("(prefers-color-scheme: dark)").matches), colorScheme === "dark");
        await ready(page);
        await page.screenshot({ path: join(pictures(test), `${name}-${width}-${colorScheme}.png`), fullPage: true });
        const surplus = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(surplus <= 0, `${surplus} px too wide`);
        await page.evaluate(AXE);
        const { violations } = await page.evaluate(() => axe.run());
        const serious = violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
        assert.deepEqual(serious.map(({ id, nodes }) => [id, nodes.map((node) => node.html)]), []);
      }
    }, { needs });
  }
}

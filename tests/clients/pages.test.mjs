// The example pages in Chromium: each shows every event once, whatever happens to the server.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { atEnd, open, serve, test, until } from "../browser/support.mjs";
import { EXAMPLES, README, runAsWritten } from "./support.mjs";

// Where callout is by itself. `callout.html` has it in its text.
const USUAL = "http://127.0.0.1:8080";

// So that the tests need not wait long for a page that comes back.
const SOON = { retry: 100 };

// What Chromium says on the console when a stream breaks, beside what the library of the page says.
const BROKEN = /net::ERR_/;

// Where each page follows, and what is published so that it shows these texts. All but the last of them are
// published already. `says` is what its library says when a stream breaks.
const item = (text) => `<li>${text}</li>`;
const PAGES = {
  callout: { topic: "news", data: (texts) => texts.at(-1) },
  turbo: {
    topic: "turbo",
    data: (texts) => `<turbo-stream action="append" target="news"><template>${item(texts.at(-1))}</template></turbo-stream>`,
  },
  htmx: { topic: "htmx", data: (texts) => item(texts.at(-1)), says: /^htmx: htmx:sse:error: network error/ },
  "htmx-2": { topic: "htmx", data: (texts) => item(texts.at(-1)), says: /^\[object Event\]$/ },
  datastar: {
    topic: "datastar",
    says: /^Datastar failed to reach \S+ retrying|^network error$/,
    query: { event: "datastar-merge-fragments" },
    data: (texts) => `fragments <ul id="news">${texts.map(item).join("")}</ul>`,
  },
};

// Starts callout and the server of the pages, and opens one.
async function show(test, name, ...flags) {
  // The pages' origin is known only when they are served, and callout is to allow it.
  const isElsewhere = name === "callout";
  const start = async (origin) => serve(test, ...(origin ? ["--cors", origin] : []), ...flags);
  const first = isElsewhere ? null : await start();
  const pages = await servePages(test, first?.url ?? USUAL);
  const callout = first ?? (await start(new URL(pages).origin));
  const window = await open(test);
  // What the page asks of callout's usual address is asked of the test's own.
  const redirect = (route) => route.continue({ url: route.request().url().replace(USUAL, callout.url) });
  await window.context.route(`${USUAL}/**`, redirect);
  const page = await window.tab(new URL(`${name}.html`, pages).href);
  const texts = await follows(callout, name, page);
  const mayBreak = () => (window.expected = new RegExp([BROKEN, PAGES[name].says ?? BROKEN].map(({ source }) => source).join("|")));
  return { callout, page, texts, mayBreak };
}

// Publishes until the page shows it: a stream is counted before it is live. Gives what the page shows then.
async function follows(callout, name, page) {
  const texts = [];
  await until("the page follows", async () => {
    texts.push(`probe ${texts.length + 1}`);
    await publish(callout, name, texts);
    return (await seen(page)).length > 0;
  });
  await until("it shows the last probe", async () => (await seen(page)).at(-1) === texts.at(-1));
  return seen(page);
}

// The server of the pages on a free port; it ends with the test. Gives the URL of a page.
async function servePages(test, url) {
  const env = { ...process.env, PORT: 0, CALLOUT_URL: url };
  const child = spawn("node", [`${EXAMPLES}/pages/serve.mjs`], { env, stdio: ["ignore", "pipe", "inherit"] });
  atEnd(test, () => child.kill());
  const [page] = await once(createInterface(child.stdout), "line");
  return page;
}

// Publishes a text, as the page wants to read it.
function publish(callout, name, texts) {
  const { topic, data, query } = PAGES[name];
  return callout.publish(topic, data(texts), { ...query, ...SOON });
}

const seen = (page) => page.$$eval("#news li", (items) => items.map((item) => item.textContent));

async function shows(page, texts) {
  // What is missing is better seen by comparing.
  await until("it shows what was published", async () => (await seen(page)).length >= texts.length).catch(() => {});
  assert.deepEqual(await seen(page), texts);
}

for (const name in PAGES) {
  test(`${name}.html misses and doubles nothing when the server is killed`, async (test) => {
    const { callout, page, texts, mayBreak } = await show(test, name);
    mayBreak();
    const add = (text) => {
      texts.push(text);
      return publish(callout, name, texts);
    };
    await add("one");
    await shows(page, texts);
    for (const round of [1, 2]) {
      // Not all of these may have reached the page.
      for (const text of ["a", "b", "c"]) await add(`${text}${round}`);
      await callout.stop("SIGKILL");
      await callout.start();
      for (const text of ["away", "back"]) {
        await add(`${text}${round}`);
        await shows(page, texts);
      }
    }
  });
}

// Datastar's page always shows the newest list, so it needs no `reset`.
for (const name of ["callout", "turbo", "htmx", "htmx-2"]) {
  test(`${name}.html is loaded again when events were lost`, async (test) => {
    const { callout, page, mayBreak } = await show(test, name, "--data", "memory");
    mayBreak();
    await callout.stop("SIGKILL");
    const loaded = page.waitForEvent("load");
    await callout.start();
    await loaded;
    // Its new stream may not be live yet.
    await until("it shows something", async () => {
      await publish(callout, name, ["new"]);
      return (await seen(page)).length > 0;
    });
    assert.deepEqual(new Set(await seen(page)), new Set(["new"]));
  });
}

for (const name in PAGES) {
  test(`${name}.html shows what the command in the README publishes`, async (test) => {
    const { callout, page, texts } = await show(test, name);
    const row = README.split("\n").find((line) => line.startsWith("|") && line.includes(`${name}.html`));
    const [command] = /curl [^`]+/.exec(row);
    const published = await runAsWritten(command.replace(new URL(USUAL).host, new URL(callout.url).host));
    assert.equal(published.status, 0, published.stderr);
    // Datastar's event is the whole list.
    await shows(page, name === "datastar" ? ["hello"] : [...texts, "hello"]);
  });
}

test("callout.html publishes too", async (test) => {
  const { page, texts } = await show(test, "callout");
  await page.click("#hello");
  await shows(page, [...texts, "hello from a page"]);
});

// Both read by an EventSource, which sends no headers of its own; htmx 2 sends cookies along, which `*` would forbid.
for (const [name, selector, html] of [
  ["turbo", "turbo-stream-source", '<turbo-stream-source src="URL"></turbo-stream-source>'],
  ["htmx-2", "main", '<main hx-ext="sse" sse-connect="URL"><ul id="news" sse-swap="message" hx-swap="beforeend"></ul></main>'],
]) {
  test(`${name}.html can read from another origin that allows it`, async (test) => {
    const { callout: near, page } = await show(test, name);
    const far = await serve(test, "--cors", new URL(page.url()).origin);
    const replace = ([selector, html]) => {
      document.querySelector(selector).outerHTML = html;
      window.htmx?.process(document.body);
    };
    await page.evaluate(replace, [selector, html.replace("URL", `${far.url}/topics/${PAGES[name].topic}`)]);
    await page.$eval("#news", (list) => list.replaceChildren());
    const texts = await follows(far, name, page);
    await publish(near, name, ["near"]);
    await publish(far, name, ["far"]);
    await shows(page, [...texts, "far"]);
  });
}

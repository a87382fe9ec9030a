// The activity page draws the server's statistics and lists the requests that it answers.

import assert from "node:assert/strict";
import { UNREACHABLE, isState, open, serve, test, until } from "./support.mjs";

async function show(test, callout) {
  const window = await open(test);
  window.expected = UNREACHABLE;
  const page = await window.tab(`${callout.url}/activity.html`);
  return page;
}

const chart = (page, label) => page.locator("#charts li", { hasText: new RegExp(`^\\s*${label}`) });
const line = (page, label) => chart(page, label).locator("path:not(.area)").getAttribute("d");
const shows = (page, text) => until(`it shows ${text}`, async () => (await page.textContent("#actions")).includes(text));

// The parts of a line, and all its points.
const parts = (d) => (d ? d.split("M").slice(1) : []);
const points = (d) => (d ? d.split(/[ML]/).slice(1) : []);

// Ephemeral events do not reach a stream that is still opening. From its second statistics on, all activity does.
const receivesAll = (page) => until("all activity arrives", async () => points(await line(page, "Threads")).length > 1);

test("the statistics are figures and lines, and answered requests are listed", async (test) => {
  const callout = await serve(test);
  const page = await show(test, callout);
  await isState(page, "live");
  await until("there is a line", async () => points(await line(page, "Memory")).length > 2);
  assert.match(await chart(page, "Memory").textContent(), /Memory[\d.]+ MB/);
  assert.match(await chart(page, "Open streams").textContent(), /^Open streams11 straight, 0 behindmax 1$/);
  // An unknown figure is a dash and has no line.
  assert.equal(await chart(page, "Commit").locator("strong").textContent(), "–");
  assert.equal(await line(page, "Commit"), "");

  await callout.publish("<script>fail()</script>", "x");
  await shows(page, "POST/topics/%3Cscript%3E");
  await until("a commit is measured", async () => /ms$/.test(await chart(page, "Commit").locator("strong").textContent()));
  const kept = page.locator("#figures div", { hasText: "events kept" });
  assert.equal(await kept.textContent(), "events kept1");
});

test("the line is broken where the server was away", async (test) => {
  const callout = await serve(test);
  const page = await show(test, callout);
  await until("there is a line", async () => points(await line(page, "Threads")).length > 2);
  assert.equal(parts(await line(page, "Threads")).length, 1);
  await callout.stop();
  await isState(page, "reconnecting");
  const before = points(await line(page, "Threads")).length;
  // The page believes that it was away for ten seconds.
  await page.evaluate(() => {
    const now = Date.now;
    Date.now = () => now() + 10_000;
  });
  await callout.start();
  await isState(page, "live");
  await until("the line goes on", async () => points(await line(page, "Threads")).length > before + 1);
  assert.equal(parts(await line(page, "Threads")).length, 2);
});

test("the list can be paused, and then shows the requests that came meanwhile", async (test) => {
  const callout = await serve(test);
  const page = await show(test, callout);
  await receivesAll(page);
  await callout.publish("before", "x");
  await shows(page, "/topics/before");
  await page.click("#pause");
  await callout.publish("meanwhile", "x");
  await until("it waits", async () => (await page.textContent("#waiting")) !== "");
  assert.ok(!(await page.textContent("#actions")).includes("/topics/meanwhile"));
  await page.click("#pause");
  await shows(page, "/topics/meanwhile");
});

test("of many requests the newest are kept", async (test) => {
  const callout = await serve(test);
  const page = await show(test, callout);
  await receivesAll(page);
  // Fewer at once than the server passes on in one tick.
  for (const topic of ["first", "second", "last"]) {
    for (let count = 0; count < 100; count += 1) await callout.streams();
    await callout.publish(topic, "x");
    await shows(page, `/topics/${topic}`);
  }
  assert.equal(await page.locator("#actions li").count(), 200);
});

test("a server without activity says so", async (test) => {
  const callout = await serve(test, "--no-activity");
  const page = await show(test, callout);
  await until("the page says so", async () => (await page.textContent("#trouble")).includes("--no-activity"));
  assert.notEqual(await page.textContent("#state"), "live");
});

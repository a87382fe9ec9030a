// The wall shows each message once, in the column of its type, whatever happens to the server.

import assert from "node:assert/strict";
import { UNREACHABLE, isState, open, serve, test, until } from "./support.mjs";

const put = (callout, type, data) => callout.post("/messages", { type, data });

async function look(window, callout) {
  const page = await window.tab(`${callout.url}/wall.html`);
  await isState(page, "live");
  return page;
}

// The texts of a column, newest first.
const texts = (page, column) => page.locator(`#${column} .text`).allTextContents();

async function has(page, column, ...wanted) {
  await until(`${column} has ${wanted}`, async () => (await texts(page, column)).length >= wanted.length);
  assert.deepEqual(await texts(page, column), wanted);
}

test("a message is in the column of its type, and any other type in the fourth", async (test) => {
  const callout = await serve(test);
  const window = await open(test);
  const page = await look(window, callout);
  const script = "<script>fail()</script>";
  for (const type of ["red", "yellow", "blue", "green", "*", "state", "message", script]) await put(callout, type, script);
  await has(page, "others", script, script, script, script, script);
  const kinds = await page.locator("#others .kind").allTextContents();
  assert.deepEqual(kinds, [script, "message", "state", "*", "green"]);
  for (const column of ["red", "yellow", "blue"]) await has(page, column, script);

  await page.fill("#text", "from the form");
  await page.check("[value=blue]");
  await page.click("#put [type=submit]");
  await has(page, "blue", "from the form", script);
  await page.fill("#other", "violet");
  await page.fill("#text", "another type");
  await page.press("#text", "Control+Enter");
  await until("it is there", async () => (await texts(page, "others"))[0] === "another type");
  // The message may be back before the answer to its request.
  await until("the form is empty again", async () => (await page.inputValue("#text")) === "");

  window.expected = /400/;
  await page.fill("#other", "error");
  await page.fill("#text", "refused");
  await page.click("#put [type=submit]");
  await until("the page says so", async () => (await page.textContent("#trouble")).includes("`error`"));
  assert.equal(await page.inputValue("#text"), "refused");
});

test("a new tab shows the last hundred, also after a reload", async (test) => {
  const callout = await serve(test);
  for (let count = 0; count < 120; count += 1) await put(callout, "red", String(count));
  const last = Array.from({ length: 100 }, (_, at) => String(119 - at));
  const window = await open(test);
  const page = await look(window, callout);
  await has(page, "red", ...last);
  await page.reload();
  await has(page, "red", ...last);
  const second = await look(window, callout);
  await has(second, "red", ...last);
  // The second reads a stream of its own until it knows what the first knows.
  await until("they share one stream", async () => (await callout.streams()) === 1);
});

test("after a kill and a restart nothing is missing or doubled", async (test) => {
  const callout = await serve(test);
  const window = await open(test);
  window.expected = UNREACHABLE;
  const pages = [await look(window, callout), await look(window, callout)];
  for (let count = 0; count < 5; count += 1) await put(callout, "red", String(count));
  await callout.stop("SIGKILL");
  const [page] = pages;
  for (const page of pages) await isState(page, "reconnecting");
  await page.fill("#text", "5");
  await page.click("#put [type=submit]");
  await until("the page says so", async () => (await page.textContent("#trouble")).includes("cannot be reached"));
  await callout.start();
  await page.click("#put [type=submit]");
  for (let count = 6; count < 9; count += 1) await put(callout, "red", String(count));
  for (const page of pages) {
    await isState(page, "live");
    await has(page, "red", "8", "7", "6", "5", "4", "3", "2", "1", "0");
    assert.equal(await page.isVisible("#gap"), false);
  }
});

test("a server that has kept nothing starts a new wall", async (test) => {
  const callout = await serve(test, "--data", "memory");
  const window = await open(test);
  window.expected = UNREACHABLE;
  const page = await look(window, callout);
  await put(callout, "red", "old");
  await has(page, "red", "old");
  await callout.stop();
  await callout.start();
  await put(callout, "blue", "new");
  await has(page, "blue", "new");
  await has(page, "red");
  assert.equal(await page.isVisible("#gap"), true);
});

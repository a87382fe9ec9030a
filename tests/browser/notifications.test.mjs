// The notifications page: a notification reaches all tabs of its user and no others.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { UNREACHABLE, isState, open, serve, test, until } from "./support.mjs";

async function subscribe(window, callout, user) {
  const page = await window.tab(`${callout.url}/notifications.html`);
  await page.fill("#me", user);
  await page.click("#subscribe [type=submit]");
  await isState(page, "live");
  return page;
}

async function notify(page, data) {
  await page.fill("#data", data);
  await page.click("#notify [type=submit]");
}

const notes = (page) => page.locator("#notes .text").allTextContents();
const has = (page, ...wanted) => until(`it has ${wanted}`, async () => (await notes(page)).join() === wanted.join());
const says = (page, where, text) => until(`it says ${text}`, async () => (await page.textContent(where)).includes(text));

test("a notification reaches two of three tabs: the two of that user", async (test) => {
  const callout = await serve(test);
  const window = await open(test);
  const [one, two, bob] = [
    await subscribe(window, callout, "ann"),
    await subscribe(window, callout, "ann"),
    await subscribe(window, callout, "bob"),
  ];
  // At first the second tab reads a stream of its own.
  await until("ann's tabs share one stream", async () => (await callout.streams()) === 2);
  await bob.fill("#user", "ann");
  await bob.fill("#event", "lunch");
  await notify(bob, "<script>fail()</script>");
  for (const tab of [one, two]) {
    await has(tab, "<script>fail()</script>");
    assert.equal(await tab.textContent("#notes .kind"), "lunch");
  }
  await says(bob, "#reached", "Reached 1 stream ");

  await bob.check("[name=whom][value=all]");
  await notify(bob, "for all");
  for (const tab of [one, two]) await has(tab, "for all", "<script>fail()</script>");
  // This is bob's first.
  await has(bob, "for all");
  await says(bob, "#reached", "Reached 2 streams ");

  await one.click("#time");
  await says(one, "#reached", "Reached 1 stream ");
  await until("the time comes", async () => /^\d\d:\d\d:\d\d$/.test((await notes(two))[0]));
  await has(bob, "for all");

  // After a reload each tab has its own user.
  await one.reload();
  await isState(one, "live");
  assert.equal(await one.inputValue("#me"), "ann");
  await bob.click("#stop");
  await isState(bob, "closed");
  await until("bob is gone", async () => (await callout.streams()) === 1);
});

test("a notification that could not be sent can be sent again", async (test) => {
  const callout = await serve(test);
  const window = await open(test);
  window.expected = UNREACHABLE;
  const ann = await subscribe(window, callout, "ann");
  await notify(ann, "1");
  await has(ann, "1");
  await callout.stop();
  await isState(ann, "reconnecting");
  await notify(ann, "2");
  await says(ann, "#trouble", "cannot be reached");
  assert.equal(await ann.inputValue("#data"), "2", "it can be sent again");
  await callout.start();
  await notify(ann, "2");
  await has(ann, "2", "1");
});

test("the page asks for a publish token and does not store it", async (test) => {
  const callout = await serve(test, "--publish-token", "sesame");
  const window = await open(test);
  window.expected = UNREACHABLE;
  const ann = await subscribe(window, callout, "ann");
  await notify(ann, "hello");
  await says(ann, "#trouble", "publish token");
  await ann.fill("#token", "sesame");
  await notify(ann, "hello");
  await has(ann, "hello");
  // The event may arrive before the answer to its own request.
  await until("the request for the token goes", () => ann.isHidden("#trouble"));
  const stored = await ann.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }]));
  assert.ok(stored.includes("ann") && !stored.includes("sesame"), stored);
});

test("a name of any characters works, also in the commands", async (test) => {
  const callout = await serve(test);
  const window = await open(test);
  const name = `<b>d'Artagnan</b> & "größe" $(id)/../%41`;
  const page = await subscribe(window, callout, name);
  await notify(page, "hello");
  await has(page, "hello");
  const [, command] = await page.locator(".command code").allTextContents();
  const { stdout } = await promisify(execFile)("sh", ["-c", command]);
  assert.equal(JSON.parse(stdout).reached, 1);
  await has(page, "hello", "hello");

  await page.fill("#me", "..");
  await page.click("#subscribe [type=submit]");
  await says(page, "#trouble", "cannot be a user name");
});

// The posts: every open page shows each change, and no change touches what a person is typing.

import assert from "node:assert/strict";
import { proxied } from "./proxy.mjs";
import { UNREACHABLE, isState, open, serve, test, until } from "./support.mjs";

const count = (page, selector) => page.locator(selector).count();

const titles = (page) => page.$$eval(".card h3", (list) => list.map((item) => item.textContent));

const has = (page, ...wanted) =>
  until(`the posts ${wanted}`, async () => (await titles(page)).join() === wanted.join()).catch(async () => {
    assert.deepEqual(await titles(page), wanted);
  });

const feedHas = (page, feed, number) =>
  until(`${number} in #${feed}`, async () => {
    const numbers = await page.$$eval(`#feeds [data-name="${feed}"] .number`, (list) => list.map((item) => item.textContent));
    return numbers.join() === String(number);
  });

async function send(callout, method, path, body) {
  const headers = { "content-type": "application/json" };
  const answer = await fetch(callout.url + path, { method, body: body && JSON.stringify(body), headers });
  assert.ok(answer.ok, `${answer.status}`);
  return answer.json();
}

const add = (callout, title, content, author = "ann") => send(callout, "POST", "/api/posts", { title, content, author });

const edit = (callout, { id }, change) => send(callout, "PATCH", `/api/posts/${id}`, change);

async function show(window, callout, hash = "") {
  const page = await window.tab(`${callout.url}/posts.html${hash}`);
  await isState(page, "live");
  return page;
}

// A page with a feed that has older posts.
const showMany = async (test, callout) => show(await open(test), callout, "#feed=many");

const hash = (page) => page.evaluate(() => location.hash);

const press = (page, words) => page.locator(".card button", { hasText: words }).click();

const card = (page, title) => page.locator(".card", { hasText: title });

// callout behind a proxy that holds requests back, once `begin` is called and until `go` is.
async function holding(test, callout, isHeld) {
  let go;
  const opened = new Promise((done) => (go = done));
  let holds = false;
  const url = await proxied(test, callout, async (asked, answer, pass) => {
    if (holds && isHeld(asked, answer)) await opened;
    pass();
  });
  return { url, begin: () => (holds = true), go };
}

const isEdit = ({ method }) => method === "PATCH";

test("a post is written in one tab and is in the feeds of the other, and its tags lead to feeds that exist", async (test) => {
  const callout = await serve(test);
  const window = await open(test);
  await add(callout, "First", "The #golang one");
  const [one, two] = [await show(window, callout), await show(window, callout, "#feed=golang")];
  await has(one, "First");
  await one.click("#write");
  await one.fill("#title", "Second");
  await one.fill("#author", "bob");
  await one.fill("#content", "Hello\n#HelloWorld and #golang");
  await one.click("#new button");
  for (const page of [one, two]) {
    await has(page, "Second", "First");
    await feedHas(page, "golang", 2);
    await feedHas(page, "helloworld", 1);
  }
  assert.equal(await one.inputValue("#content"), "");
  assert.match(await one.textContent("#published"), /Second is in #helloworld, #golang/);
  await card(two, "Second").locator(".text a", { hasText: "#HelloWorld" }).click();
  await until("the feed", async () => (await two.textContent("#shown")) === "#helloworld");
  await has(two, "Second");
  assert.equal((await hash(two)), "#feed=helloworld");
  await two.goBack();
  await has(two, "Second", "First");
  await two.goForward();
  await has(two, "Second");
  await two.click(".card h3 a");
  await until("one post", async () => (await two.textContent("#shown")) === "One post");
  await two.reload();
  await has(two, "Second");
});

test("an edit in one tab is shown in the other, and a half-typed edit is not lost", async (test) => {
  const callout = await serve(test);
  const window = await open(test);
  const post = await add(callout, "Title", "Text #golang");
  const [one, two] = [await show(window, callout, "#feed=golang"), await show(window, callout, `#post=${post.id}`)];
  for (const page of [one, two]) await has(page, "Title");
  await card(two, "Title").locator("button", { hasText: "Edit" }).click();
  await two.fill(".card textarea", "Half ty");

  await card(one, "Title").locator("button", { hasText: "Edit" }).click();
  await one.fill(".card input", "New title");
  await one.fill(".card textarea", "New text #rust");
  await press(one, "Save");
  await until("it was changed meanwhile", () => two.isVisible(".conflict"));
  assert.match(await two.textContent(".conflict"), /changed while you were writing.*New title.*New text #rust/s);
  assert.equal(await two.inputValue(".card textarea"), "Half ty");
  // Chromium writes the refusal to the console too.
  window.expected = /412/;
  // The edit does not overwrite the other without being told to. It is not lost by visiting another feed, by a reload, or
  // when the post leaves the feed.
  await two.press(".card input", "Enter");
  await until("the conflict is shown again", () => two.isVisible(".conflict"));
  await two.goto(`${callout.url}/posts.html#feed=rust`);
  await until("the edit", async () => (await two.inputValue(".card textarea")) === "Half ty");
  await two.reload();
  await until("the edit", async () => (await two.inputValue(".card textarea")) === "Half ty");
  await edit(callout, post, { content: "Nowhere" });
  await until("it left", async () => /no longer among those/.test(await two.textContent(".conflict")));
  assert.equal(await two.inputValue(".card textarea"), "Half ty");
  // A feed without posts is gone.
  window.expected = /404/;
  await two.goto(`${callout.url}/posts.html#feed=golang`);
  await until("words", async () => /There is no feed #golang/.test(await two.textContent("#note")));
  await two.click("#unfinished a");
  await until("the edit", async () => (await two.inputValue(".card textarea")) === "Half ty");
  await press(two, "Overwrite with mine");
  await until("it is saved", async () => (await two.locator(".card .text").textContent()) === "Half ty");
  const { title, content, version } = await send(callout, "GET", `/api/posts/${post.id}`);
  assert.deepEqual([title, content, version], ["Title", "Half ty", 4]);

  await card(two, "Title").locator("button", { hasText: "Edit" }).click();
  await two.fill(".card textarea", "Not this");
  await edit(callout, post, { content: "But this" });
  await press(two, "Load theirs");
  assert.equal(await two.inputValue(".card textarea"), "But this");
  await two.fill(".card textarea", "But this one");
  await press(two, "Save");
  await until("it is saved", async () => (await two.locator(".card .text").textContent()) === "But this one");
  assert.equal(await count(two, ".card form"), 0);
});

test("the note that a post was changed, or left the feed, goes when that is no longer true", async (test) => {
  const callout = await serve(test);
  const window = await open(test);
  const post = await add(callout, "Title", "Text #golang");
  const held = await holding(test, callout, isEdit);
  const page = await show(window, held, "#feed=golang");
  await press(page, "Edit");
  await page.fill(".card textarea", "Mine #golang");
  for (const [content, words] of [["Theirs #golang", /changed while you were writing/], ["Elsewhere", /no longer among those/]]) {
    await edit(callout, post, { content });
    await until("the note", async () => words.test(await page.textContent(".conflict")));
    await edit(callout, post, { content: "Text #golang" });
    await until("the note has gone", () => page.isHidden(".conflict"));
    assert.equal(await page.inputValue(".card textarea"), "Mine #golang");
  }
  await press(page, "Save");
  await until("it is saved", async () => (await page.locator(".card .text").textContent()) === "Mine #golang");

  // Somebody else saves the same text first.
  window.expected = /412/;
  held.begin();
  await press(page, "Edit");
  await page.fill(".card textarea", "The same #golang");
  await press(page, "Save");
  await edit(callout, post, { content: "The same #golang" });
  held.go();
  await until("there is nothing to save", async () => (await page.locator(".card .text").textContent()) === "The same #golang");
});

test("what is typed while an edit is saved is an edit of its own", async (test) => {
  const callout = await serve(test);
  const held = await holding(test, callout, isEdit);
  const page = await show(await open(test), held, `#post=${(await add(callout, "Title", "Text")).id}`);
  held.begin();
  await press(page, "Edit");
  await page.fill(".card textarea", "Saved");
  await press(page, "Save");
  await page.fill(".card textarea", "Saved, and more");
  held.go();
  await until("it is done", () => page.locator(".card button", { hasText: "Save" }).isEnabled());
  assert.equal(await page.inputValue(".card textarea"), "Saved, and more");
  assert.equal(await page.isVisible(".conflict"), false);
  await press(page, "Save");
  await until("it is saved", async () => (await page.locator(".card .text").textContent()) === "Saved, and more");
});

test("text of others is shown as text in every field", async (test) => {
  const callout = await serve(test);
  const window = await open(test, { viewport: { width: 320, height: 600 } });
  const evil = "<script>alert(1)</script><img src=x onerror=alert(2)>";
  const post = await add(callout, evil, `${evil}\njavascript:alert(3) #<b>x</b> #tag"><i>`, evil);
  const page = await show(window, callout, "#feed=tag");
  await has(page, evil);
  await press(page, "Edit");
  await page.fill(".card textarea", "mine");
  await edit(callout, post, { title: `${evil}2` });
  await until("it was changed meanwhile", () => page.isVisible(".conflict"));
  // There is no such post, and Chromium writes that to the console too.
  window.expected = UNREACHABLE;
  await page.goto(`${callout.url}/posts.html#post=${encodeURIComponent(evil)}`);
  await until("words", async () => /post/i.test(await page.textContent("#note")));
  assert.equal(await count(page, "main script, main img, main b, main i"), 0);
  const surplus = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(surplus <= 0, `${surplus} px too wide`);
});

test("the page of a feed that does not exist says so, and shows the feed once it exists", async (test) => {
  const callout = await serve(test);
  const window = await open(test);
  window.expected = UNREACHABLE;
  const page = await show(window, callout, "#feed=NEW");
  await until("words", async () => /There is no feed #new yet/.test(await page.textContent("#note")));
  await page.click("#write");
  for (const [name, text] of Object.entries({ title: "Half", author: "ann", content: "typed #new" })) await page.fill(`#${name}`, text);
  await page.reload();
  await page.click("#new [type=submit]");
  await has(page, "Half");
  assert.equal(await page.isVisible("#note"), false);
});

test("an address that names another element of the page stays, and the fullest feed is shown", async (test) => {
  const callout = await serve(test);
  await add(callout, "First", `#golang${"\n…".repeat(100)}`);
  const page = await show(await open(test), callout, "#curl");
  await has(page, "First");
  const isInView = () => page.$eval("#curl", (place) => place.getBoundingClientRect().top < innerHeight);
  await until("the place is in view", isInView);
  assert.equal((await hash(page)), "#curl");
  await add(callout, "Second", "#golang");
  await has(page, "Second", "First");
  await page.click("#feeds [data-name=golang] a");
  await until("the feed's address", async () => (await hash(page)) === "#feed=golang");
  await page.click('a[href="#curl"]');
  await has(page, "Second", "First");
  assert.equal((await hash(page)), "#curl");
});

test("a random post is in each of its feeds", async (test) => {
  const callout = await serve(test);
  const page = await show(await open(test), callout);
  await page.click("#random");
  await until("a feed is shown", async () => (await titles(page)).length === 1);
  await page.waitForSelector("#published .tag");
  const tags = await page.$$eval("#published .tag", (list) => list.map((item) => item.hash.slice("#feed=".length)));
  assert.ok(tags.length >= 1);
  for (const tag of tags) await feedHas(page, tag, 1);
});

test("after a kill and a restart the page shows what it missed, and no edit is lost", async (test) => {
  const callout = await serve(test);
  const window = await open(test);
  window.expected = UNREACHABLE;
  await add(callout, "Before", "#golang");
  const page = await show(window, callout, "#feed=golang");
  await card(page, "Before").locator("button", { hasText: "Edit" }).click();
  await page.fill(".card textarea", "Typed #golang");
  await callout.stop();
  await isState(page, "reconnecting");
  await press(page, "Save");
  await until("the page says so", async () => /cannot be reached/.test(await page.textContent(".card .trouble")));
  await callout.start();
  await add(callout, "After", "#golang");
  await until("the new post", async () => (await titles(page)).join() === "After");
  await isState(page, "live");
  assert.equal(await page.inputValue(".card textarea"), "Typed #golang");
  await press(page, "Save");
  await has(page, "After", "Before");
});

test("older posts are shown on request, and stay when a new one comes", async (test) => {
  const callout = await serve(test);
  for (let number = 1; number <= 120; number += 1) await add(callout, String(number), "#many");
  const page = await showMany(test, callout);
  await until("a page", async () => (await titles(page))[0] === "120");
  const first = (await titles(page)).length;
  assert.ok(first < 120);
  while (await page.isVisible("#older")) {
    const before = (await titles(page)).length;
    await page.click("#older");
    await until("older ones", async () => (await titles(page)).length > before);
  }
  const all = (from) => Array.from({ length: from }, (_, at) => String(from - at)).join();
  assert.equal((await titles(page)).join(), all(120));
  await add(callout, "121", "#many");
  await until("all and the new one", async () => (await titles(page)).join() === all(121));
});

test("an older post shows edits too, also while it is being edited", async (test) => {
  const callout = await serve(test);
  const [first, second] = [await add(callout, "First", "#many"), await add(callout, "Second", "#many")];
  for (let number = 3; number <= 60; number += 1) await add(callout, String(number), "#many");
  const page = await showMany(test, callout);
  await page.click("#older");
  await until("the older ones", async () => (await titles(page)).length === 60);
  await card(page, "Second").locator("button", { hasText: "Edit" }).click();
  await edit(callout, first, { title: "First again" });
  await edit(callout, second, { title: "Second again" });
  await until("the edit is shown", async () => (await titles(page)).at(-1) === "First again");
  assert.match(await page.textContent(".conflict"), /changed while you were writing.*Second again/s);
});

test("however fast the feed changes, older posts are read by one request at a time, and the last one is shown", async (test) => {
  const callout = await serve(test);
  for (let number = 1; number <= 60; number += 1) await add(callout, String(number), "#many");
  let [reads, most] = [0, 0];
  const isRead = ({ url }, answer) => {
    if (!url.startsWith("/api/feeds/many?")) return false;
    reads += 1;
    most = Math.max(most, reads);
    answer.on("close", () => (reads -= 1));
    return true;
  };
  const held = await holding(test, callout, isRead);
  const page = await showMany(test, held);
  await page.click("#older");
  await until("the older ones", async () => (await titles(page)).length === 60);
  held.begin();
  for (let number = 61; number <= 65; number += 1) {
    await add(callout, String(number), "#many");
    await until("the newest", async () => (await titles(page))[0] === String(number));
  }
  // Posts that are no longer among the newest stay meanwhile.
  assert.equal((await titles(page)).length, 65);
  held.go();
  await until("it is read again", () => reads === 0);
  await has(page, ...Array.from({ length: 65 }, (_, at) => String(65 - at)));
  assert.equal(most, 1);
});

test("the focus stays where a person has put it", async (test) => {
  const callout = await serve(test);
  const page = await show(await open(test), callout);
  const focused = () => page.evaluate(() => document.activeElement.id);
  await page.click("#write");
  await page.press("#content", "h");
  // The first post of somebody else makes the first feed, which is then shown.
  await add(callout, "First", "#golang");
  await has(page, "First");
  assert.equal(await hash(page), "#feed=golang");
  assert.equal(await focused(), "content");
  await page.press("#content", "i");
  assert.equal(await page.inputValue("#content"), "hi");
  // A page that is loaded puts the focus nowhere, and a link that was followed leads to what it shows.
  await page.goto("about:blank");
  await page.goto(`${callout.url}/posts.html`);
  await has(page, "First");
  assert.equal(await focused(), "");
  await page.click("#feeds [data-name=golang] a");
  await page.click(".card h3 a");
  await until("the heading", async () => (await focused()) === "shown");
});

test("a person who goes on to another field while a post is being published stays there", async (test) => {
  const callout = await serve(test);
  const held = await holding(test, callout, ({ method }) => method === "POST");
  const page = await show(await open(test), held);
  await page.click("#write");
  for (const [name, text] of Object.entries({ title: "One", author: "ann", content: "#golang" })) await page.fill(`#${name}`, text);
  held.begin();
  await page.click("#new [type=submit]");
  await page.press("#content", "x");
  held.go();
  await until("it is published", async () => /One/.test(await page.textContent("#published")));
  assert.equal(await page.evaluate(() => document.activeElement.id), "content");
});

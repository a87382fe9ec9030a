// The posts: a stream for the list of feeds, one for the feed or the post that is shown, and a form for each
// edit. Which is shown says the address: `#feed=golang`, `#post=ID`.
//
// What somebody is typing is theirs: no event touches it, it is there again after going elsewhere and after
// a reload, and it is only sent over a change of somebody else's when they say so.

import { connect } from "./callout.js";
import { $, ask, complain, element, showState } from "./page.js";

const TITLE_CHARS_MAX = 200;
const CONTENT_CHARS_MAX = 10_000;

// How many more posts are shown when older ones are asked for, and the most that one answer may have.
const STEP_POSTS = 50;
const LIMIT_MAX = 200;

// The stream of a feed is its newest posts; of an edit further down it says nothing. So while older posts are
// on a page that can be seen, they are read again so often.
const REREAD_MILLIS = 10_000;

const OLDER_FAILED = "Older posts could not be read";

const DRAFTS_KEY = "callout.posts.drafts";
const NEW_KEY = "callout.posts.new";
const NAME_KEY = "callout.user";

const TAG = /#([A-Za-z0-9_]+)/g;

// The streams of the page, and the view: what is shown and what is known of it.
const feeds = connect({ url: "/api/feeds", resume: false });
let view = { name: "", posts: [] };

// Cards on the page by their post's id; edits that are not saved, with the version they began with.
const cards = new Map();
const drafts = new Map(Object.entries(tried(() => JSON.parse(sessionStorage.getItem(DRAFTS_KEY))) ?? {}));

// ---- what is shown ----

function go(wanted = location.hash.slice(1)) {
  const asked = new URLSearchParams(wanted);
  const [post, feed] = [asked.get("post"), asked.get("feed")?.toLowerCase()];
  // Another place on this page, or still the same.
  if (!post && !feed && (wanted || view.stream)) return;
  const name = post ? `post=${post}` : feed ? `feed=${feed}` : "";
  if (name === view.name && view.stream) return;
  view.stream?.close();
  // What was said of a post that made the first feed still holds when that is shown.
  if (view.name) $("said").textContent = "";
  view = { name, feed, post, posts: [], wanted: 0 };
  $("cards").replaceChildren();
  cards.clear();
  complain("");
  $("count").textContent = "";
  $("older").hidden = true;
  $("shown").textContent = feed ? `#${feed}` : post ? "One post" : "";
  document.title = `${feed ? `#${feed} · ` : ""}Posts · callout`;
  showNote(name ? "Waiting for the posts …" : "");
  for (const link of $("feeds").querySelectorAll("a")) mark(link);
  if (name) follow(view);
  showStates();
  showUnfinished();
}

function follow(shown) {
  const url = shown.feed ? `/api/feeds/${encodeURIComponent(shown.feed)}` : `/api/posts/${encodeURIComponent(shown.post)}`;
  shown.stream = connect({ url, resume: false });
  shown.stream.on("state", showStates);
  shown.stream.on("data", (event) => {
    const state = event.json();
    const isFirst = !shown.known;
    shown.known = true;
    shown.missing = false;
    shown.posts = shown.feed ? state.posts : [state];
    shown.next = state.next;
    showPosts();
    showStates();
    if (shown.wanted) readOlder(shown);
    // The first posts push down what the address names on this page.
    if (isFirst) document.querySelector(":target")?.scrollIntoView();
  });
  shown.stream.on("error", ({ status, data }) => {
    shown.missing = status === 404 || status === 400;
    if (shown.feed && status === 404) showNote(`There is no feed #${shown.feed} yet; the first post that says #${shown.feed} makes it.`);
    else showNote(sentence(data));
    showStates();
  });
}

feeds.on("state", showStates);
feeds.on("error", ({ data }) => showNote(sentence(data)));
feeds.on("data", (event) => showFeeds(event.json()));

// What is not there is no reason to be called offline.
function showStates() {
  const states = [feeds.state, view.stream && !view.missing ? view.stream.state : "live"];
  showState(states.find((state) => state !== "live") ?? "live");
}

// Feeds by their names; the list is changed where it changed, so that a link that is focused stays.
function showFeeds({ feeds, more }) {
  const links = new Map([...$("feeds").children].map((item) => [item.dataset.name, item]));
  const items = feeds.map(({ name, posts }) => {
    const item = links.get(name) ?? feedItem(name);
    item.querySelector(".number").textContent = posts.toLocaleString();
    item.firstElementChild.title = `#${name}: ${posts === 1 ? "1 post" : `${posts} posts`}`;
    return item;
  });
  arrange($("feeds"), items);
  const note = !feeds.length ? "None yet: write the first post, with a #tag in it." : more ? `and ${more.toLocaleString()} more` : "";
  $("feeds-note").textContent = note;
  $("feeds-note").hidden = !note;
  // The address names no feed yet: the fullest.
  if (view.name || !feeds.length) return;
  const fullest = `feed=${feeds.reduce((most, feed) => (feed.posts > most.posts ? feed : most)).name}`;
  // An address that names another place on this page stays.
  if (location.hash) go(fullest);
  else location.replace(`#${fullest}`);
}

function feedItem(name) {
  const item = element("li");
  item.dataset.name = name;
  const link = tagLink(name);
  link.replaceChildren(element("span", "name", link.textContent), element("span", "number"));
  mark(link);
  item.append(link);
  return item;
}

function mark(link) {
  if (link.hash === `#feed=${view.feed}`) link.setAttribute("aria-current", "true");
  else link.removeAttribute("aria-current");
}

function showPosts() {
  const known = [...view.posts, ...(view.read?.posts ?? [])];
  const shown = known.filter((post, at) => known.findIndex(({ id }) => id === post.id) === at);
  for (const post of shown) {
    const card = cards.get(post.id);
    if (card) update(card, post);
    else cards.set(post.id, makeCard(post));
  }
  // A card that is being edited stays, wherever its post went.
  const ids = new Set(shown.map(({ id }) => id));
  for (const [id, card] of cards) {
    card.isAway = !ids.has(id);
    if (drafts.has(id)) showConflict(card);
    else if (card.isAway) cards.delete(id);
  }
  const stay = [...cards.values()].filter((card) => card.isAway);
  arrange($("cards"), [...stay, ...shown.map(({ id }) => cards.get(id))].map((card) => card.item));
  showNote(!view.known || shown.length ? "" : "No post is in this feed any more.");
  const { next } = view.read ?? view;
  const count = next ? `the newest ${shown.length}` : shown.length === 1 ? "1 post" : `${shown.length} posts`;
  $("count").textContent = view.feed && shown.length ? count : "";
  showUnfinished();
  // So that the commands work when they are pasted.
  if (shown.length) $("one").textContent = shown[0].id;
  $("older").hidden = !next;
  if (view.post && shown.length) document.title = `${shown[0].title} · callout`;
}

function showNote(text) {
  $("note").textContent = text;
  $("note").hidden = !text;
}

// Reads the feed from its top, as far as is wanted. One read at a time: where the feed changed meanwhile, what
// was read is shown all the same, for in a busy feed it would never be; then it is read again.
async function readOlder(shown) {
  shown.isStale = true;
  if (shown.isReading) return;
  shown.isReading = true;
  while (shown.isStale && shown === view) {
    shown.isStale = false;
    let trouble = "";
    try {
      shown.read = await readTop(shown);
    } catch (error) {
      trouble = `${OLDER_FAILED}: ${error.message}.`;
    }
    if (shown !== view || (trouble && shown.isStale)) continue;
    if (trouble || $("trouble").textContent.startsWith(OLDER_FAILED)) complain(trouble);
    showPosts();
  }
  shown.isReading = false;
}

async function readTop({ feed, wanted }) {
  const posts = [];
  let next;
  do {
    const query = new URLSearchParams({ limit: Math.min(wanted - posts.length, LIMIT_MAX), ...(next && { before: next }) });
    const page = await ask("GET", `/api/feeds/${encodeURIComponent(feed)}?${query}`);
    posts.push(...page.posts);
    next = page.next;
  } while (next && posts.length < wanted);
  return { posts, next };
}

// ---- a card ----

function makeCard(post) {
  const item = element("article", "card");
  const card = { item, post };
  settle(card);
  render(card);
  return card;
}

function update(card, post) {
  if (!learn(card, post)) return;
  settle(card);
  if (!drafts.has(post.id)) render(card);
}

// A state may be older than the answer to an edit of our own, and the other way round.
function learn(card, post) {
  const isNews = post.version > card.post.version;
  if (isNews) card.post = post;
  return isNews;
}

function render(card) {
  const { item, post } = card;
  const draft = drafts.get(post.id);
  item.setAttribute("aria-label", post.title);
  item.classList.toggle("editing", Boolean(draft));
  if (draft) {
    item.replaceChildren(editForm(card, draft));
    showConflict(card);
    return;
  }
  const heading = element("h3");
  const link = element("a", "", post.title);
  link.href = `#post=${post.id}`;
  heading.dir = "auto";
  heading.append(link);
  const by = element("p", "by");
  by.append(element("bdi", "", post.author));
  if (post.version > 1) by.append(element("span", "quiet", post.version === 2 ? "edited once" : `edited ${post.version - 1} times`));
  const edit = element("button", "plain small", "Edit");
  edit.type = "button";
  edit.setAttribute("aria-label", `Edit: ${post.title}`);
  edit.addEventListener("click", () => {
    begin(card);
    item.querySelector("textarea").focus();
  });
  const text = element("p", "text");
  text.dir = "auto";
  text.append(...linked(post.content));
  const had = item.contains(document.activeElement) && document.activeElement.tagName;
  item.replaceChildren(heading, by, text, edit);
  if (had) (had === "A" ? link : edit).focus();
}

// A text with a link for each tag.
function linked(text) {
  const nodes = [];
  let end = 0;
  for (const match of text.matchAll(TAG)) {
    nodes.push(text.slice(end, match.index), tagLink(match[1]));
    end = match.index + match[0].length;
  }
  nodes.push(text.slice(end));
  return nodes;
}

// Feeds are lower-case, however a tag is written.
function tagLink(tag) {
  const link = element("a", "tag", `#${tag}`);
  link.href = `#feed=${tag.toLowerCase()}`;
  return link;
}

// ---- editing ----

function begin(card) {
  const { id, title, content } = card.post;
  setDraft(id, { title, content, ...begunWith(card.post) });
  render(card);
}

// What an edit remembers of the post that it is an edit of.
const begunWith = ({ version, title, content }) => ({ version, of: title, was: content });

// Looks whether an edit still is one of an older version, when the post is another or may be.
function settle({ post, saving }) {
  const draft = drafts.get(post.id);
  if (!draft || saving || draft.version >= post.version) return;
  // The post says again what the edit began with.
  if (draft.of === post.title && draft.was === post.content) setDraft(post.id, { ...draft, version: post.version });
  // An edit whose answer was lost has been saved all the same, or somebody wrote the same.
  else if (draft.title.trim() === post.title && draft.content === post.content) setDraft(post.id, null);
}

function setDraft(id, draft) {
  if (draft) drafts.set(id, draft);
  else drafts.delete(id);
  tried(() => sessionStorage.setItem(DRAFTS_KEY, JSON.stringify(Object.fromEntries(drafts))));
  showUnfinished();
}

function editForm(card, draft) {
  const { id } = card.post;
  const form = element("form", "fields");
  const title = field(form, `title-${id}`, "Title", element("input"), draft.title, TITLE_CHARS_MAX);
  const content = field(form, `content-${id}`, "Text", element("textarea"), draft.content, CONTENT_CHARS_MAX);
  content.rows = Math.min(12, Math.max(4, draft.content.split("\n").length + 1));
  const conflict = element("div", "conflict");
  conflict.setAttribute("role", "status");
  conflict.hidden = true;
  const trouble = element("p", "trouble");
  trouble.setAttribute("role", "alert");
  trouble.hidden = true;
  const buttons = element("div", "row");
  const save = element("button", "", "Save");
  const cancel = element("button", "plain", "Cancel");
  cancel.type = "button";
  buttons.append(save, cancel);
  form.append(conflict, trouble, buttons);
  form.addEventListener("input", () => setDraft(id, { ...drafts.get(id), title: title.value, content: content.value }));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!save.disabled) store(card);
  });
  cancel.addEventListener("click", () => end(card));
  Object.assign(card, { title, content, conflict, trouble, save });
  return form;
}

function field(form, id, name, control, value, charsMax) {
  const made = element("div", "field");
  const label = element("label", "", name);
  label.htmlFor = control.id = id;
  Object.assign(control, { value, maxLength: charsMax, required: true, dir: "auto" });
  made.append(label, control);
  form.append(made);
  return control;
}

// Says when the post was changed, or went, since the edit began, and what can be done.
function showConflict(card) {
  const { conflict, post } = card;
  const draft = drafts.get(post.id);
  const isChanged = post.version > draft.version && !card.saving;
  card.save.hidden = isChanged;
  if (!isChanged && !card.isAway) {
    conflict.hidden = true;
    return;
  }
  if (conflict.dataset.version === `${post.version} ${card.isAway}` && !conflict.hidden) return;
  conflict.dataset.version = `${post.version} ${card.isAway}`;
  conflict.hidden = false;
  conflict.replaceChildren();
  if (card.isAway) conflict.append(element("p", "", "The post is no longer among those shown here; your edit still is."));
  if (!isChanged) return;
  const theirs = element("blockquote");
  theirs.append(element("p", "what", post.title), element("p", "text", post.content));
  const load = element("button", "plain", "Load theirs");
  const overwrite = element("button", "plain", "Overwrite with mine");
  load.type = overwrite.type = "button";
  load.addEventListener("click", () => {
    begin(card);
    card.content.focus();
  });
  overwrite.addEventListener("click", () => {
    setDraft(post.id, { ...drafts.get(post.id), ...begunWith(post) });
    store(card);
  });
  const buttons = element("div", "row");
  buttons.append(load, overwrite);
  conflict.append(element("p", "", "The post was changed while you were writing. It now says:"), theirs, buttons);
}

async function store(card) {
  const { id } = card.post;
  const { title, content, version } = drafts.get(id);
  card.save.disabled = card.saving = true;
  grumble(card, "");
  try {
    const saved = await ask("PATCH", `/api/posts/${id}`, { title, content }, { "if-match": `"${version}"` });
    card.saving = false;
    learn(card, saved);
    const draft = drafts.get(id);
    // What was typed since is another edit, of what is now saved.
    if (!draft || (draft.title === title && draft.content === content)) return end(card);
    setDraft(id, { ...draft, ...begunWith(saved) });
    showConflict(card);
  } catch (error) {
    card.saving = false;
    grumble(card, `Not saved: ${error.message}.`);
    if (error.status === 412) {
      // What cannot be read now comes by the stream.
      await ask("GET", `/api/posts/${id}`).then((post) => learn(card, post), () => {});
    }
    settle(card);
    if (!drafts.has(id)) return end(card);
    showConflict(card);
    // The note says it better.
    if (error.status === 412 && card.save.hidden) grumble(card, "");
  } finally {
    card.save.disabled = card.saving = false;
  }
}

function end(card) {
  const { activeElement } = document;
  const isHere = activeElement === document.body || card.item.contains(activeElement);
  setDraft(card.post.id, null);
  render(card);
  if (card.isAway) showPosts();
  else if (isHere) card.item.querySelector("button").focus();
}

function grumble(card, text) {
  card.trouble.textContent = text;
  card.trouble.hidden = !text;
}

// Edits of posts that are not on the page.
function showUnfinished() {
  const elsewhere = [...drafts].filter(([id]) => !cards.has(id));
  $("unfinished").hidden = !elsewhere.length;
  $("unfinished").replaceChildren("Not saved yet: ");
  elsewhere.forEach(([id, draft], at) => {
    const link = element("a", "", draft.of);
    link.href = `#post=${id}`;
    $("unfinished").append(at ? ", " : "", link);
  });
}

// ---- making ----

async function publish(event) {
  event.preventDefault();
  const form = event.target;
  const button = form.querySelector("button");
  if (button.disabled) return;
  const wanted = Object.fromEntries(new FormData(form));
  button.disabled = true;
  try {
    const post = await ask("POST", "/api/posts", wanted);
    tried(() => localStorage.setItem(NAME_KEY, wanted.author));
    for (const name of ["title", "content"]) if (form[name].value === wanted[name]) form[name].value = "";
    keepNew();
    made(post);
  } catch (error) {
    complain(`Not published: ${error.message}.`);
  } finally {
    button.disabled = false;
    $("title").focus();
  }
}

function keepNew() {
  const fields = Object.fromEntries(new FormData($("new")));
  tried(() => sessionStorage.setItem(NEW_KEY, JSON.stringify(fields)));
}

async function addRandom() {
  $("random").disabled = true;
  try {
    made(await ask("POST", "/api/generate/post"));
  } catch (error) {
    complain(`No post was added: ${error.message}.`);
  } finally {
    $("random").disabled = false;
    $("random").focus();
  }
}

function made({ id, title, tags }) {
  complain("");
  const link = element("a", "", title);
  link.href = `#post=${id}`;
  const places = tags.flatMap((tag, at) => [at ? ", " : " is in ", tagLink(tag)]);
  if (!tags.length) places.push(" has no #tag, so it is in no feed");
  $("said").replaceChildren(link, ...places, ".");
}

// ---- the page ----

// Gives the parent these children, and moves none that is where it has to be: what moves loses the focus.
function arrange(parent, children) {
  const wanted = new Set(children);
  for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
  children.forEach((child, at) => parent.children[at] === child || parent.insertBefore(child, parent.children[at] ?? null));
}

function sentence(text) {
  return `${text[0].toUpperCase()}${text.slice(1)}.`;
}

// Where a browser keeps nothing, it is forgotten with the page.
function tried(act) {
  try {
    return act();
  } catch {
    return null;
  }
}

function toggleNew(isShown) {
  $("new").hidden = !isShown;
  $("write").setAttribute("aria-expanded", String(isShown));
}

$("write").addEventListener("click", () => {
  toggleNew($("new").hidden);
  if (!$("new").hidden) $("title").focus();
});
$("new").addEventListener("submit", publish);
$("random").addEventListener("click", addRandom);
$("older").addEventListener("click", () => {
  view.wanted = (view.read ?? view).posts.length + STEP_POSTS;
  readOlder(view);
});
setInterval(() => {
  if (view.read && view.stream.state === "live" && !document.hidden) readOlder(view);
}, REREAD_MILLIS);
addEventListener("hashchange", () => {
  go();
  if (view.name && location.hash.slice(1) === view.name) $("shown").focus({ preventScroll: false });
});
$("new").addEventListener("input", keepNew);

const begun = tried(() => JSON.parse(sessionStorage.getItem(NEW_KEY))) ?? {};
for (const name in begun) $(name).value = begun[name];
if (begun.title || begun.content) toggleNew(true);
$("author").value ||= tried(() => localStorage.getItem(NAME_KEY)) ?? "";
go();

// The posts: a stream for the list of feeds, and one for the feed or the post that is shown. The address says which
// that is: `#feed=golang`, `#post=ID`.

import { closed, sentence, subscribe as open } from "./access.js";
import { $, arrange, ask, element, showState, showTrouble, words } from "./page.js";
import { makeCard, showConflict, update } from "./posts-card.js";
import { drafts, onDraftsChanged } from "./posts-drafts.js";
import { markFeed, showFeeds } from "./posts-feeds.js";
import "./posts-new.js";

// How many more posts are shown when older ones are asked for, and the most that one answer may have.
const STEP_POSTS = 50;
const LIMIT_MAX = 200;

// The stream of a feed holds its newest posts and says nothing of an edit further down. So while older posts are shown
// and the tab is visible, they are read again so often.
const REREAD_MILLIS = 10_000;

const OLDER_FAILED = "Older posts could not be read";

// The page's streams, and the view: what is shown and what is known of it.
const feeds = open({ url: "api/feeds", resume: false }, closed("posts"), {
  state: () => showStates(),
  error: (event) => showNote(sentence(words(event))),
  data: (event) => showFeedsOf(event.json()),
});
let view = { name: "", posts: [] };

// The cards on the page by their post's id.
const cards = new Map();

// ---- the view ----

function show(wanted = location.hash.slice(1)) {
  const asked = new URLSearchParams(wanted);
  const [post, feed] = [asked.get("post"), asked.get("feed")?.toLowerCase()];
  // The address names another element of this page, or has not changed.
  if (!post && !feed && (wanted || view.stream)) return;
  const name = post ? `post=${post}` : feed ? `feed=${feed}` : "";
  if (name === view.name && view.stream) return;
  view.stream?.close();
  // The note about a new post stays when that post has made the first feed, which is then shown.
  if (view.name) $("published").textContent = "";
  view = { name, feed, post, posts: [], wanted: 0 };
  $("cards").replaceChildren();
  cards.clear();
  showTrouble("");
  $("count").textContent = "";
  $("older").hidden = true;
  $("shown").textContent = feed ? `#${feed}` : post ? "One post" : "";
  document.title = `${feed ? `#${feed} · ` : ""}Posts · callout`;
  showNote(name ? "Waiting for the posts …" : "");
  markFeed(feed);
  if (name) subscribe(view);
  showStates();
  showUnfinished();
}

function subscribe(shown) {
  const url = shown.feed ? `api/feeds/${encodeURIComponent(shown.feed)}` : `api/posts/${encodeURIComponent(shown.post)}`;
  shown.stream = open({ url, resume: false }, closed("posts"), {
    state: () => showStates(),
    data: (event) => showView(shown, event.json()),
    error: (event) => showMissing(shown, event),
  });
}

function showView(shown, state) {
  const isFirst = !shown.known;
  shown.known = true;
  shown.missing = false;
  shown.posts = shown.feed ? state.posts : [state];
  shown.next = state.next;
  showPosts();
  showStates();
  if (shown.wanted) readOlder(shown);
  // The first posts push down the element that the address names.
  if (isFirst) document.querySelector(":target")?.scrollIntoView();
}

function showMissing(shown, event) {
  const { status } = event;
  shown.missing = status === 404 || status === 400;
  if (shown.feed && status === 404) showNote(`There is no feed #${shown.feed} yet; the first post with #${shown.feed} in it makes it.`);
  else showNote(sentence(words(event)));
  showStates();
}

function showFeedsOf(state) {
  showFeeds(state, view.feed);
  // While the address names no feed, the fullest is shown.
  if (view.name || !state.feeds.length) return;
  const fullest = `feed=${state.feeds.reduce((most, feed) => (feed.posts > most.posts ? feed : most)).name}`;
  // An address that names another element of this page stays. Nobody followed a link, so the focus stays too: there is
  // no `hashchange`.
  if (!location.hash) history.replaceState(null, "", `#${fullest}`);
  show(fullest);
}

// A feed or a post that does not exist is no reason to call the page offline.
function showStates() {
  const states = [feeds.state, view.stream && !view.missing ? view.stream.state : "live"];
  showState(states.find((state) => state !== "live") ?? "live");
}

function showPosts() {
  const known = [...view.posts, ...(view.read?.posts ?? [])];
  const shown = known.filter((post, at) => known.findIndex(({ id }) => id === post.id) === at);
  for (const post of shown) {
    const card = cards.get(post.id);
    if (card) update(card, post);
    else cards.set(post.id, makeCard(post, showPosts));
  }
  // A card that is being edited stays on the page, wherever its post went.
  const ids = new Set(shown.map(({ id }) => id));
  for (const [id, card] of cards) {
    card.isAway = !ids.has(id);
    if (drafts.has(id)) showConflict(card);
    else if (card.isAway) cards.delete(id);
  }
  const away = [...cards.values()].filter((card) => card.isAway);
  arrange($("cards"), [...away, ...shown.map(({ id }) => cards.get(id))].map((card) => card.item));
  showNote(!view.known || shown.length ? "" : "No post is in this feed any more.");
  const { next } = view.read ?? view;
  const count = next ? `the newest ${shown.length}` : shown.length === 1 ? "1 post" : `${shown.length} posts`;
  $("count").textContent = view.feed && shown.length ? count : "";
  showUnfinished();
  // The commands work when they are pasted: they name a post that exists.
  if (shown.length) $("one").textContent = shown[0].id;
  $("older").hidden = !next;
  if (view.post && shown.length) document.title = `${shown[0].title} · callout`;
}

// Links to the posts that have a draft and are not on the page.
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

function showNote(text) {
  $("note").textContent = text;
  $("note").hidden = !text;
}

// ---- older posts ----

// Reads the feed from its top, as far as is wanted; one read at a time. If the feed changes meanwhile, what was read is
// shown all the same (in a busy feed nothing would be shown otherwise), and is then read again.
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
    if (trouble || $("trouble").textContent.startsWith(OLDER_FAILED)) showTrouble(trouble);
    showPosts();
  }
  shown.isReading = false;
}

async function readTop({ feed, wanted }) {
  const posts = [];
  let next;
  do {
    const query = new URLSearchParams({ limit: Math.min(wanted - posts.length, LIMIT_MAX), ...(next && { before: next }) });
    const page = await ask("GET", `api/feeds/${encodeURIComponent(feed)}?${query}`);
    posts.push(...page.posts);
    next = page.next;
  } while (next && posts.length < wanted);
  return { posts, next };
}

$("older").addEventListener("click", () => {
  view.wanted = (view.read ?? view).posts.length + STEP_POSTS;
  readOlder(view);
});
setInterval(() => {
  if (view.read && view.stream.state === "live" && !document.hidden) readOlder(view);
}, REREAD_MILLIS);

addEventListener("hashchange", () => {
  show();
  if (view.name && location.hash.slice(1) === view.name) $("shown").focus();
});
onDraftsChanged(showUnfinished);
show();

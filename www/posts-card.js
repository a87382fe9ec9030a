// A post as a card, and the form in which it is edited.
//
// What a person is typing is theirs: no event from the server touches the form. When somebody else changes the post
// meanwhile, the form shows the other text, and is only saved over it when the person says so.

import { refuseWriting } from "./access.js";
import { ask, element } from "./page.js";
import { basedOn, drafts, rebase, setDraft } from "./posts-drafts.js";
import { tagLink } from "./posts-feeds.js";

const TITLE_CHARS_MAX = 200;
const CONTENT_CHARS_MAX = 10_000;

const TAG = /#([A-Za-z0-9_]+)/g;

// `isAway` will say that the post is no longer among those shown; `whenAwayDone` is called when the edit of such a
// card ends.
export function makeCard(post, whenAwayDone) {
  const card = { item: element("article", "card"), post, whenAwayDone };
  rebase(post);
  render(card);
  return card;
}

export function update(card, post) {
  if (!adopt(card, post)) return;
  if (!card.saving) rebase(post);
  if (!drafts.has(post.id)) render(card);
}

// Takes the post if it is newer than the card's: the stream may be ahead of the answer to an edit, or behind it.
function adopt(card, post) {
  const isNewer = post.version > card.post.version;
  if (isNewer) card.post = post;
  return isNewer;
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
  const focused = item.contains(document.activeElement) && document.activeElement.tagName;
  item.replaceChildren(heading, by, text, edit);
  if (focused) (focused === "A" ? link : edit).focus();
}

// The text with a link for each tag.
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

// ---- editing ----

function begin(card) {
  const { id, title, content } = card.post;
  setDraft(id, { title, content, ...basedOn(card.post) });
  render(card);
}

function end(card) {
  const { activeElement } = document;
  const hasFocus = activeElement === document.body || card.item.contains(activeElement);
  setDraft(card.post.id, null);
  render(card);
  if (card.isAway) card.whenAwayDone();
  else if (hasFocus) card.item.querySelector("button").focus();
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
  Object.assign(card, { content, conflict, trouble, save });
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

// Says when the post was changed, or is no longer shown, since the edit began, and offers what can be done.
export function showConflict(card) {
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
  if (card.isAway) conflict.append(element("p", "", "The post is no longer among those shown here. Your edit is still here."));
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
    setDraft(post.id, { ...drafts.get(post.id), ...basedOn(post) });
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
  showError(card, "");
  try {
    const saved = await ask("PATCH", `api/posts/${id}`, { title, content }, { "if-match": `"${version}"` });
    card.saving = false;
    adopt(card, saved);
    const draft = drafts.get(id);
    if (!draft || (draft.title === title && draft.content === content)) return end(card);
    // What was typed since is another edit, of the version that is now saved.
    setDraft(id, { ...draft, ...basedOn(saved) });
    showConflict(card);
  } catch (error) {
    card.saving = false;
    showError(card, `Not saved: ${error.message}.`);
    refuseWriting(error);
    if (error.status === 412) {
      // If the post cannot be read now, the stream will bring it.
      await ask("GET", `api/posts/${id}`).then((post) => adopt(card, post), () => {});
    }
    rebase(card.post);
    if (!drafts.has(id)) return end(card);
    showConflict(card);
    // The note about the conflict says more.
    if (error.status === 412 && card.save.hidden) showError(card, "");
  } finally {
    card.save.disabled = card.saving = false;
  }
}

function showError(card, text) {
  card.trouble.textContent = text;
  card.trouble.hidden = !text;
}

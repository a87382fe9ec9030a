// Edits of posts that are not saved yet. They are stored for the tab, so they are there again after a reload.
//
// A draft remembers the version of the post that it began with, and that version's title (`of`) and text (`was`). While
// the post still says the same, the draft can be saved over it; otherwise the person has to choose.

import { orNull } from "./page.js";

const DRAFTS_KEY = "callout.posts.drafts";

// Drafts by their post's id.
export const drafts = new Map(Object.entries(orNull(() => JSON.parse(sessionStorage.getItem(DRAFTS_KEY))) ?? {}));

// Called when a draft begins, changes or ends.
let whenChanged = () => {};

export function onDraftsChanged(handler) {
  whenChanged = handler;
}

export function setDraft(id, draft) {
  if (draft) drafts.set(id, draft);
  else drafts.delete(id);
  orNull(() => sessionStorage.setItem(DRAFTS_KEY, JSON.stringify(Object.fromEntries(drafts))));
  whenChanged();
}

// What a draft remembers of the post that it is an edit of.
export const basedOn = ({ version, title, content }) => ({ version, of: title, was: content });

// Moves the post's draft to the post's present version where that is safe. Otherwise the draft stays with its older
// version, which is a conflict.
export function rebase(post) {
  const draft = drafts.get(post.id);
  if (!draft || draft.version >= post.version) return;
  // The post says again what the draft began with.
  if (draft.of === post.title && draft.was === post.content) setDraft(post.id, { ...draft, version: post.version });
  // The draft was saved and only the answer was lost, or somebody else wrote the same.
  else if (draft.title.trim() === post.title && draft.content === post.content) setDraft(post.id, null);
}

// New posts: the form in which one is written, and the button that adds a random one.

import { isClosed, refuseWriting } from "./access.js";
import { $, ask, element, orNull, refocus, showTrouble } from "./page.js";
import { tagLink } from "./posts-feeds.js";

const FIELDS_KEY = "callout.posts.new";
const NAME_KEY = "callout.user";

async function publish(event) {
  event.preventDefault();
  const form = event.target;
  const button = form.querySelector("button");
  if (button.disabled) return;
  const wanted = Object.fromEntries(new FormData(form));
  button.disabled = true;
  try {
    const post = await ask("POST", "api/posts", wanted);
    orNull(() => localStorage.setItem(NAME_KEY, wanted.author));
    // Unless they were changed in the meantime.
    for (const name of ["title", "content"]) if (form[name].value === wanted[name]) form[name].value = "";
    storeFields();
    showPublished(post);
  } catch (error) {
    showTrouble(`Not published: ${error.message}.`);
    await refuseWriting(error);
  } finally {
    button.disabled = isClosed();
    refocus($("title"), button);
  }
}

async function addRandom() {
  $("random").disabled = true;
  try {
    showPublished(await ask("POST", "api/generate/post"));
  } catch (error) {
    showTrouble(`No post was added: ${error.message}.`);
    await refuseWriting(error);
  } finally {
    $("random").disabled = isClosed();
    refocus($("random"), $("random"));
  }
}

// Says where the new post is.
function showPublished({ id, title, tags }) {
  showTrouble("");
  const link = element("a", "", title);
  link.href = `#post=${id}`;
  const feeds = tags.flatMap((tag, at) => [at ? ", " : " is in ", tagLink(tag)]);
  if (!tags.length) feeds.push(" has no #tag, so it is in no feed");
  $("published").replaceChildren(link, ...feeds, ".");
}

// The fields are stored for the tab, so they are there again after a reload.
function storeFields() {
  const fields = Object.fromEntries(new FormData($("new")));
  orNull(() => sessionStorage.setItem(FIELDS_KEY, JSON.stringify(fields)));
}

function showForm(isShown) {
  $("new").hidden = !isShown;
  $("write").setAttribute("aria-expanded", String(isShown));
}

$("write").addEventListener("click", () => {
  showForm($("new").hidden);
  if (!$("new").hidden) $("title").focus();
});
$("new").addEventListener("submit", publish);
$("new").addEventListener("input", storeFields);
$("random").addEventListener("click", addRandom);

const stored = orNull(() => JSON.parse(sessionStorage.getItem(FIELDS_KEY))) ?? {};
for (const name in stored) $(name).value = stored[name];
if (stored.title || stored.content) showForm(true);
$("author").value ||= orNull(() => localStorage.getItem(NAME_KEY)) ?? "";

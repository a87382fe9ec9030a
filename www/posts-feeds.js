// The list of feeds, and the links to them.

import { $, arrange, element } from "./page.js";

// A link to a tag's feed. The names of feeds are lower-case, however the tag is written.
export function tagLink(tag) {
  const link = element("a", "tag", `#${tag}`);
  link.href = `#feed=${tag.toLowerCase()}`;
  return link;
}

// Shows the feeds by their names. Links that are there already stay, so that they keep the focus.
export function showFeeds({ feeds, more }, current) {
  const shown = new Map([...$("feeds").children].map((item) => [item.dataset.name, item]));
  const items = feeds.map(({ name, posts }) => {
    const item = shown.get(name) ?? makeFeed(name);
    item.querySelector(".number").textContent = posts.toLocaleString();
    item.firstElementChild.title = `#${name}: ${posts === 1 ? "1 post" : `${posts} posts`}`;
    return item;
  });
  arrange($("feeds"), items);
  markFeed(current);
  const note = !feeds.length ? "None yet: write the first post, with a #tag in it." : more ? `and ${more.toLocaleString()} more` : "";
  $("feeds-note").textContent = note;
  $("feeds-note").hidden = !note;
}

// Marks the link of the feed that is shown.
export function markFeed(current) {
  for (const link of $("feeds").querySelectorAll("a")) {
    if (current && link.hash === `#feed=${current}`) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
}

function makeFeed(name) {
  const item = element("li");
  item.dataset.name = name;
  const link = tagLink(name);
  link.replaceChildren(element("span", "name", link.textContent), element("span", "number"));
  item.append(link);
  return item;
}

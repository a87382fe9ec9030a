// The wall: one stream, and of each message its type says in which column it is.

import { connect } from "./callout.js";
import { $, ask, complain, element, showState } from "./page.js";

// Messages in one column; the oldest go first.
const MESSAGES_MAX = 100;

// Types with a column of their own. All others share one.
const TYPES = ["red", "yellow", "blue"];

// Every load begins with the last hundred, wherever this tab was before.
const wall = connect({ url: "/messages", resume: false });
for (const type of TYPES) wall.on(type, (event) => show($(type), event.json()));
wall.on("*", (event) => {
  if (event.name !== "reset" && !TYPES.includes(event.name)) show($("others"), event.json());
});
wall.on("reset", clear);
wall.on("state", () => showState(wall.state));

// ---- messages ----

function show(column, { id, data, type }) {
  const head = element("p", "head");
  if (column.id === "others") head.append(element("b", "kind", type));
  head.append(element("span", "quiet", `#${id}`));
  const text = element("p", "text", data);
  text.dir = "auto";
  const item = element("li");
  item.append(head, text);
  const list = column.querySelector("ol");
  list.prepend(item);
  while (list.childElementCount > MESSAGES_MAX) list.lastElementChild.remove();
  count(column);
  announce(`${type}: ${data}`);
}

// What follows a reset is all that the server still has.
function clear() {
  for (const column of document.querySelectorAll(".column")) {
    column.querySelector("ol").replaceChildren();
    count(column);
  }
  $("gap").hidden = false;
}

function count(column) {
  column.querySelector("h2 span").textContent = column.querySelector("ol").childElementCount || "";
}

// Read out at most once per picture: of a hundred at once, that they came.
let unsaid = 0;
let newest;

function announce(text) {
  newest = text;
  unsaid += 1;
  if (unsaid > 1) return;
  requestAnimationFrame(() => {
    $("newest").textContent = unsaid === 1 ? newest : `${unsaid} messages`;
    unsaid = 0;
  });
}

// ---- putting one there ----

async function put() {
  const text = $("text").value;
  const type = $("put").elements.type.value || $("other").value.trim();
  if (!text.trim()) return $("text").focus();
  if (!type) return $("other").focus();
  $("send").disabled = true;
  try {
    await ask("POST", "/messages", { data: text, type });
    complain("");
    // Unless it was changed in the meantime.
    if ($("text").value === text) $("text").value = "";
  } catch (error) {
    complain(`Not put: ${error.message}.`);
  } finally {
    $("send").disabled = false;
    $("text").focus();
  }
}

$("put").addEventListener("submit", (event) => {
  event.preventDefault();
  put();
});
$("text").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.isComposing) return;
  event.preventDefault();
  if (!$("send").disabled) put();
});
// Whoever writes a type means it.
$("other").addEventListener("input", () => ($("another").checked = true));
$("another").addEventListener("change", () => $("other").focus());

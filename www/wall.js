// The wall: one stream; the type of each message says in which column it is shown.

import { closed, isClosed, refuseWriting, subscribe } from "./access.js";
import { $, ask, element, refocus, showState, showTrouble } from "./page.js";

// Messages in one column; the oldest are removed first.
const MESSAGES_MAX = 100;

// Types with a column of their own. All others share one.
const TYPES = ["red", "yellow", "blue"];

// Every load begins with the last hundred messages, wherever this tab was before.
subscribe({ url: "messages", resume: false }, closed("wall"), {
  "*": (event) => {
    if (event.name !== "reset") show($(TYPES.includes(event.name) ? event.name : "others"), event.json());
  },
  reset: clear,
  state: (state) => showState(state),
});

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
  showCount(column);
  readOut(`${type}: ${data}`);
}

// After a reset the server sends all that it still has.
function clear() {
  for (const column of document.querySelectorAll(".column")) {
    column.querySelector("ol").replaceChildren();
    showCount(column);
  }
  $("gap").hidden = false;
}

function showCount(column) {
  column.querySelector("h2 span").textContent = column.querySelector("ol").childElementCount || "";
}

// A screen reader reads out at most one text per frame: of a hundred messages at once, only how many they are.
let notReadOut = 0;
let newest;

function readOut(text) {
  newest = text;
  notReadOut += 1;
  if (notReadOut > 1) return;
  requestAnimationFrame(() => {
    $("newest").textContent = notReadOut === 1 ? newest : `${notReadOut} messages`;
    notReadOut = 0;
  });
}

// ---- the form ----

async function put() {
  const text = $("text").value;
  const type = $("put").elements.type.value || $("other").value.trim();
  if (!text.trim()) return $("text").focus();
  if (!type) return $("other").focus();
  $("send").disabled = true;
  try {
    await ask("POST", "messages", { data: text, type });
    showTrouble("");
    // Unless it was changed in the meantime.
    if ($("text").value === text) $("text").value = "";
  } catch (error) {
    showTrouble(`Not sent: ${error.message}.`);
    await refuseWriting(error);
  } finally {
    $("send").disabled = isClosed();
    refocus($("text"), $("send"));
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
// Typing another type selects it.
$("other").addEventListener("input", () => ($("another").checked = true));
$("another").addEventListener("change", () => $("other").focus());

// The start page: the server's figures, and what is published to `news` at this moment.

import { subscribe } from "./access.js";
import { connect } from "./callout.js";
import { $, HOME, element, showState, span, time } from "./page.js";

// Without a stream of figures the server is asked for them so often.
const ASK_MILLIS = 5000;

// Messages on the page; the oldest are removed first.
const MESSAGES_MAX = 5;

const stats = connect({ url: "api/streams", resume: false });

stats.on("stats", (event) => showFigures(event.json()));
stats.on("state", () => {
  showState(stats.state);
  showStale(stats.state !== "live");
});
stats.on("error", ({ status }) => {
  if (![401, 403, 404].includes(status)) return;
  // A server that shows no activity, or not to this visitor, still answers /healthz.
  stats.close();
  refresh();
});

subscribe({ topics: ["news"] }, "The topic news is closed to you.", { message: ({ data }) => showMessage(data) });

function showMessage(data) {
  const text = element("span", "text", data);
  text.dir = "auto";
  const item = element("li");
  item.append(text, time(Date.now()));
  $("messages").prepend(item);
  while ($("messages").childElementCount > MESSAGES_MAX) $("messages").lastElementChild.remove();
  $("empty").hidden = true;
}

function showFigures({ streams, delivered_per_sec, memory_bytes, uptime_secs, version }) {
  $("streams").textContent = streams.toLocaleString();
  $("delivered").textContent = delivered_per_sec?.toLocaleString() ?? "–";
  $("memory").textContent = memory_bytes ? `${(memory_bytes / 1e6).toFixed(1)} MB` : "–";
  $("uptime").textContent = span(uptime_secs);
  $("version").textContent = version;
}

function showStale(isStale) {
  $("streams").closest("dl").classList.toggle("stale", isStale);
}

async function refresh() {
  const health = await readHealth();
  if (health) showFigures(health);
  showStale(!health);
  showState(health ? "live" : "reconnecting", health ? "alive" : "no answer");
  setTimeout(refresh, ASK_MILLIS);
}

async function readHealth() {
  try {
    const answer = await fetch(new URL("healthz", HOME), { cache: "no-store", signal: AbortSignal.timeout(ASK_MILLIS) });
    return answer.ok ? await answer.json() : null;
  } catch {
    return null;
  }
}

// ---- the commands ----

// A command that needs a token says so. It is sent without the browser's cookie, and so is this question.
async function showNeeds() {
  const answer = await fetch(new URL("access?topic=news", HOME), { credentials: "omit" });
  const { topics, pages } = await answer.json();
  const may = { news: topics.news, activity: pages.activity };
  for (const bearer of document.querySelectorAll(".bearer")) {
    const [act, what] = bearer.dataset.needs.split(" ");
    bearer.textContent = may[what][act] ? "" : '-H "Authorization: Bearer $TOKEN" ';
  }
  const closed = [!topics.news.publish && "publishing to news", !topics.news.subscribe && "subscribing to it"].filter(Boolean);
  const advice = "Put a token that may into $TOKEN; whoever runs this server has one. For subscribing a ticket does as well.";
  $("needs").textContent = closed.length
    ? `On this server ${closed.join(" and ")} needs a token. ${advice}`
    : "On this server nobody needs a token for that.";
}
showNeeds().catch(() => {});

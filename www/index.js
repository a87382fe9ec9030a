// The front page: how the server is, by its own stream, and what is published to `news` at this moment.

import { connect } from "./callout.js";
import { $, element, showState, span, time } from "./page.js";

// Where there is no stream of statistics, the server is asked so often while somebody looks.
const EVERY_MILLIS = 5000;

// Messages on the page; the oldest go first.
const HEARD_MAX = 5;

const stats = connect({ url: "/api/streams", resume: false });
const news = connect({ topics: ["news"] });

stats.on("stats", (event) => showStats(event.json()));
stats.on("state", () => {
  showState(stats.state);
  $("streams").closest("dl").classList.toggle("stale", stats.state !== "live");
  // Perhaps it is another program by now.
  if (stats.state === "live") showVersion();
});
stats.on("error", ({ status }) => {
  if (status !== 404) return;
  // A server that shows no activity can still be asked.
  stats.close();
  refresh();
});

news.on("message", ({ data }) => {
  const text = element("span", "text", data);
  text.dir = "auto";
  const item = element("li");
  item.append(text, time(Date.now()));
  $("heard").prepend(item);
  while ($("heard").childElementCount > HEARD_MAX) $("heard").lastElementChild.remove();
  $("silence").hidden = true;
});

function showStats({ streams, delivered_per_sec, memory_bytes, uptime_secs }) {
  $("streams").textContent = streams.toLocaleString();
  $("delivered").textContent = delivered_per_sec?.toLocaleString() ?? "–";
  $("memory").textContent = memory_bytes ? `${(memory_bytes / 1e6).toFixed(1)} MB` : "–";
  $("uptime").textContent = span(uptime_secs);
}

async function showVersion() {
  try {
    const answer = await fetch("/healthz", { cache: "no-store", signal: AbortSignal.timeout(EVERY_MILLIS) });
    if (!answer.ok) return null;
    const health = await answer.json();
    $("version").textContent = health.version;
    return health;
  } catch {
    return null;
  }
}

async function refresh() {
  const health = await showVersion();
  if (health) showStats(health);
  $("streams").closest("dl").classList.toggle("stale", !health);
  showState(health ? "live" : "reconnecting", health ? "alive" : "no answer");
  setTimeout(refresh, EVERY_MILLIS);
}

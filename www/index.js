// The front page's figures: how the server is, asked again every few seconds while somebody looks.

import { $, showState, span } from "./page.js";

const EVERY_MILLIS = 5000;

let timer;

async function refresh() {
  clearTimeout(timer);
  try {
    const answer = await fetch("/healthz", { signal: AbortSignal.timeout(EVERY_MILLIS) });
    if (!answer.ok) throw new Error(answer.status);
    const health = await answer.json();
    $("streams").textContent = health.streams.toLocaleString();
    $("published").textContent = health.published.toLocaleString();
    $("uptime").textContent = span(health.uptime_secs);
    $("version").textContent = health.version;
    showState("live", "alive");
  } catch {
    showState("reconnecting", "no answer");
  }
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(refresh, EVERY_MILLIS);
}

document.addEventListener("visibilitychange", () => {
  clearTimeout(timer);
  if (!document.hidden) refresh();
});
refresh();

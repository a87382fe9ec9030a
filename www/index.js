// The front page's figures: how the server is, asked again every few seconds while somebody looks.

const EVERY_MILLIS = 5000;

const $ = (id) => document.getElementById(id);

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
    show("live", "alive");
  } catch {
    show("reconnecting", "no answer");
  }
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(refresh, EVERY_MILLIS);
}

function show(state, text) {
  // An unchanged badge is left alone, so that it is not read out every five seconds.
  if ($("state").textContent === text) return;
  $("state").dataset.state = state;
  $("state").textContent = text;
}

// Seconds in the two largest units: `2 h 5 min`.
function span(secs) {
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const first = units.findIndex(([, size]) => secs >= size);
  if (first < 0) return "0 s";
  const parts = [];
  for (const [name, size] of units.slice(first, first + 2)) {
    parts.push(`${Math.floor(secs / size)} ${name}`);
    secs %= size;
  }
  return parts.join(" ");
}

document.addEventListener("visibilitychange", () => {
  clearTimeout(timer);
  if (!document.hidden) refresh();
});
refresh();

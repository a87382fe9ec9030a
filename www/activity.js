// The activity page: the server's statistics as figures and charts, and what it has just answered.
//
// Only what was heard is drawn: what the server does not know is a dash, and a time without statistics is a
// break in the lines. Both stay on the page while the server is away.

import { connect } from "./callout.js";
import { $, complain, element, showState, span } from "./page.js";

// What a chart spans. Older statistics are forgotten.
const SPAN_MILLIS = 5 * 60_000;

// Statistics come every second. With more than this between two of them, the lines are broken.
const GAP_MILLIS = 2500;

// Lines on the page, and lines that wait for it. The oldest go first.
const LINES_MAX = 200;

// A chart's own units: one per second, and its height. The stylesheet says how large it is shown.
const WIDTH = SPAN_MILLIS / 1000;
const HEIGHT = 60;

// What is shown of the statistics, and how; of those that have a chart, also what stands below it.
const FIGURES = [
  { label: "up for", key: "uptime_secs", say: span },
  { label: "events kept", key: "kept_events", say: count },
  { label: "bytes kept", key: "kept_bytes", say: bytes },
  { label: "clients dropped", key: "dropped_clients", say: count },
];
const CHARTS = [
  { label: "Open streams", key: "streams", say: count, note: straight },
  { label: "Published", key: "published_per_sec", say: rate },
  { label: "Delivered", key: "delivered_per_sec", say: rate },
  { label: "Commit", key: "commit_millis", say: millis },
  { label: "CPU", key: "cpu_percent", say: percent },
  { label: "Memory", key: "memory_bytes", say: bytes },
  { label: "Threads", key: "threads", say: count },
  { label: "Descriptors", key: "descriptors", say: count, note: limit },
];

// The newest statistics; all that a chart spans, with when they came; and actions not yet on the page.
let stats;
let samples = [];
let waiting = [];
let missed = 0;
let paused = false;
let drawing = false;

const stream = connect({ url: "/api/streams", resume: false });
stream.on("stats", (event) => {
  stats = event.json();
  samples = [...recent(), { at: Date.now(), stats }];
  draw();
});
stream.on("activity", (event) => {
  waiting.push({ at: new Date(), action: event.json().action });
  if (waiting.length > LINES_MAX) {
    waiting.shift();
    missed += 1;
  }
  draw();
});
stream.on("error", ({ status, data }) => {
  complain(status === 404 ? "This server was started with --no-activity: it shows none." : `The server says: ${data}.`);
});
stream.on("state", ({ data }) => {
  showState(data);
  $("stats").classList.toggle("stale", data !== "live");
  if (data === "live") complain("");
});

// Time goes on where nothing comes, so the break in the lines is seen to grow.
setInterval(draw, 1000);

// At most once per picture, however much came.
function draw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    drawStats();
    drawActions();
  });
}

// ---- statistics ----

function drawStats() {
  const now = Date.now();
  samples = recent();
  if (!stats) return;
  for (const { key, say, shown } of FIGURES) shown.textContent = known(stats[key], say);
  for (const { key, say, note, shown } of CHARTS) {
    const parts = unbroken(key);
    const top = Math.max(...parts.flat().map(({ value }) => value));
    const point = ({ at, value }) => [WIDTH - (now - at) / 1000, HEIGHT * (1 - (top && value / top))].map(tenths);
    const lines = parts.map((part) => part.map(point));
    shown.value.textContent = known(stats[key], say);
    shown.note.textContent = note?.(stats) ?? "";
    shown.top.textContent = parts.length ? `max ${say(top)}` : "";
    // A line to nowhere makes a dot of a point that is alone.
    shown.line.setAttribute("d", lines.map((line) => `M${line.join("L")}h0`).join(""));
    const area = (line) => `M${line[0][0]},${HEIGHT}L${line.join("L")}V${HEIGHT}Z`;
    shown.area.setAttribute("d", lines.map(area).join(""));
  }
}

// What is not too old; and none from the future, should the clock have been set back.
function recent() {
  const now = Date.now();
  return samples.filter(({ at }) => at > now - SPAN_MILLIS && at <= now);
}

// The known values of one figure, parted where one is missing.
function unbroken(key) {
  const parts = [];
  let before = -Infinity;
  for (const { at, stats } of samples) {
    const value = stats[key];
    const isKnown = value !== null && value !== undefined;
    if (isKnown && at - before > GAP_MILLIS) parts.push([]);
    if (isKnown) parts.at(-1).push({ at, value });
    before = isKnown ? at : -Infinity;
  }
  return parts;
}

function makeFigure(figure) {
  const [group, label] = [element("div"), element("dt", "", figure.label)];
  figure.shown = element("dd", "", "–");
  group.append(label, figure.shown);
  return group;
}

function makeChart(chart) {
  const [value, note, top] = [element("strong", "", "–"), element("span"), element("span")];
  const [picture, area, line] = ["svg", "path", "path"].map((tag) => document.createElementNS("http://www.w3.org/2000/svg", tag));
  picture.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  picture.setAttribute("preserveAspectRatio", "none");
  // Its newest value stands beside it as text.
  picture.setAttribute("aria-hidden", "true");
  area.setAttribute("class", "area");
  picture.append(area, line);
  const below = element("p", "quiet");
  below.append(note, top);
  const item = element("li");
  item.append(element("p", "quiet", chart.label), value, picture, below);
  chart.shown = { value, note, top, line, area };
  return item;
}

function straight(stats) {
  return `${known(stats.streams_straight, count)} straight, ${known(stats.streams_behind, count)} behind`;
}

function limit(stats) {
  return `of ${known(stats.descriptors_max, count)}`;
}

// ---- activity ----

function drawActions() {
  $("waiting").textContent = paused && waiting.length ? `${waiting.length + missed} more` : "";
  if (paused || !waiting.length) return;
  $("empty").hidden = true;
  $("actions").prepend(...waiting.map(makeAction).reverse());
  while ($("actions").childElementCount > LINES_MAX) $("actions").lastElementChild.remove();
  waiting = [];
  missed = 0;
}

function makeAction({ at, action }) {
  const item = element("li");
  const time = element("time", "", at.toLocaleTimeString());
  const [, method, path, took] = /^Anonymous user: (\S+) (.*), duration: ([\d.]+)ms$/.exec(action) ?? [];
  if (method) item.append(time, element("b", "", method), element("code", "", path), element("span", "quiet", `${took} ms`));
  else item.append(time, element("b"), element("span", "", action));
  return item;
}

// ---- words ----

function known(value, say) {
  return value === null || value === undefined ? "–" : say(value);
}

function count(value) {
  return value.toLocaleString();
}

function rate(value) {
  return `${count(value)}/s`;
}

function percent(value) {
  return `${value.toLocaleString([], { maximumFractionDigits: 1 })} %`;
}

function millis(value) {
  return `${value.toLocaleString([], { maximumSignificantDigits: 2 })} ms`;
}

function bytes(value) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  const unit = Math.min(Math.floor(Math.log10(value || 1) / 3), units.length - 1);
  return `${(value / 1000 ** unit).toLocaleString([], { maximumFractionDigits: 1 })} ${units[unit]}`;
}

function tenths(value) {
  return value.toFixed(1);
}

$("figures").append(...FIGURES.map(makeFigure));
$("charts").append(...CHARTS.map(makeChart));
$("pause").addEventListener("click", () => {
  paused = !paused;
  $("pause").textContent = paused ? "Go on" : "Pause";
  draw();
});

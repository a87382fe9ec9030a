// The activity page: the server's statistics as figures and charts, and the requests that it has just answered.
//
// Only what has arrived is drawn. A figure that the server does not know is a dash, and a time without statistics is
// a break in the lines. Figures and requests stay on the page while the server cannot be reached.

import { closed, subscribe } from "./access.js";
import { $, element, showState, showTrouble, span, words } from "./page.js";

// The time that a chart spans. Older statistics are dropped.
const SPAN_MILLIS = 5 * 60_000;

// Statistics come every second. Where more time than this is between two of them, the lines are broken.
const GAP_MILLIS = 2500;

// Requests on the page, and requests that wait while it is paused. The oldest are removed first.
const REQUESTS_MAX = 200;

// The size of a chart in its own units, one per second of width. The style sheet says how large it is shown.
const WIDTH = SPAN_MILLIS / 1000;
const HEIGHT = 60;

// What is shown of the statistics and in which form; for a chart also the note below it.
const FIGURES = [
  { label: "up for", of: (stats) => stats.uptime_secs, format: span },
  { label: "events kept", of: ({ history }) => history.events, format: count },
  { label: "bytes kept", of: ({ history }) => history.bytes, format: bytes },
  { label: "clients dropped", of: (stats) => stats.too_slow, format: count },
];
const CHARTS = [
  { label: "Open streams", of: (stats) => stats.streams, format: count, note: straight },
  { label: "Published", of: (stats) => stats.published_per_sec, format: rate },
  { label: "Delivered", of: (stats) => stats.delivered_per_sec, format: rate },
  { label: "Commit", of: ({ history }) => history.commit_micros, format: millis },
  { label: "CPU", of: (stats) => stats.cpu_percent, format: percent },
  { label: "Memory", of: (stats) => stats.memory_bytes, format: bytes },
  { label: "Threads", of: (stats) => stats.threads, format: count },
  { label: "Descriptors", of: (stats) => stats.descriptors, format: count, note: limit },
];

// The newest statistics; those that a chart spans, with the time of their arrival.
let stats;
let samples = [];

// Requests that are not on the page yet, and how many more there were than can wait.
let waiting = [];
let dropped = 0;
let paused = false;
let drawing = false;

subscribe({ url: "api/streams", resume: false }, closed("activity"), {
  stats: (event) => {
    stats = event.json();
    samples = [...recent(), { at: Date.now(), stats }];
    draw();
  },
  activity: (event) => {
    waiting.push({ at: new Date(), action: event.json().action });
    if (waiting.length > REQUESTS_MAX) {
      waiting.shift();
      dropped += 1;
    }
    draw();
  },
  error: (event) => {
    const isOff = event.status === 404;
    showTrouble(isOff ? "This server was started with --no-activity and shows no activity." : `The server says: ${words(event)}.`);
  },
  state: (state) => {
    showState(state);
    $("stats").classList.toggle("stale", state !== "live");
    if (state === "live") showTrouble("");
  },
});

// While nothing arrives the lines move on all the same, so that the break in them grows.
setInterval(draw, 1000);

// Draws at most once per frame, however much arrived.
function draw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    drawStats();
    drawRequests();
  });
}

// ---- statistics ----

function drawStats() {
  const now = Date.now();
  samples = recent();
  if (!stats) return;
  for (const { of, format, shown } of FIGURES) shown.textContent = known(of(stats), format);
  for (const { of, format, note, shown } of CHARTS) {
    const parts = unbroken(of);
    const top = Math.max(...parts.flat().map(({ value }) => value));
    const point = ({ at, value }) => [WIDTH - (now - at) / 1000, HEIGHT * (1 - (top && value / top))].map(tenths);
    const lines = parts.map((part) => part.map(point));
    shown.value.textContent = known(of(stats), format);
    shown.note.textContent = note?.(stats) ?? "";
    shown.top.textContent = parts.length ? `max ${format(top)}` : "";
    // A line of no length shows a single point as a dot.
    shown.line.setAttribute("d", lines.map((line) => `M${line.join("L")}h0`).join(""));
    const area = (line) => `M${line[0][0]},${HEIGHT}L${line.join("L")}V${HEIGHT}Z`;
    shown.area.setAttribute("d", lines.map(area).join(""));
  }
}

// The statistics that a chart spans; none from the future, in case the clock was set back.
function recent() {
  const now = Date.now();
  return samples.filter(({ at }) => at > now - SPAN_MILLIS && at <= now);
}

// The known values of one figure, in parts that are divided where a value is missing.
function unbroken(of) {
  const parts = [];
  let before = -Infinity;
  for (const { at, stats } of samples) {
    const value = of(stats);
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
  // A screen reader gets the newest value as text.
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

// ---- requests ----

function drawRequests() {
  $("waiting").textContent = paused && waiting.length ? `${waiting.length + dropped} more` : "";
  if (paused || !waiting.length) return;
  $("empty").hidden = true;
  $("actions").prepend(...waiting.map(makeRequest).reverse());
  while ($("actions").childElementCount > REQUESTS_MAX) $("actions").lastElementChild.remove();
  waiting = [];
  dropped = 0;
}

function makeRequest({ at, action }) {
  const item = element("li");
  const time = element("time", "", at.toLocaleTimeString());
  const [, method, path, took] = /^Anonymous user: (\S+) (.*), duration: ([\d.]+)ms$/.exec(action) ?? [];
  if (method) item.append(time, element("b", "", method), element("code", "", path), element("span", "quiet", `${took} ms`));
  else item.append(time, element("b"), element("span", "", action));
  return item;
}

// ---- figures as text ----

function known(value, format) {
  return value === null || value === undefined ? "–" : format(value);
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

function millis(micros) {
  return `${(micros / 1000).toLocaleString([], { maximumSignificantDigits: 2 })} ms`;
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
  $("pause").textContent = paused ? "Resume" : "Pause";
  draw();
});

// The check: what lies between this browser and callout. `check-measure.js` measures it, `check-words.js` puts it into
// words, and this file runs one after the other and shows what was found.

import { known, onTicket, visitor } from "./access.js";
import * as measure from "./check-measure.js";
import * as words from "./check-words.js";
import { $, element, showState } from "./page.js";

// How often the finding about a stream that lasts is shown anew, and the pause before a stream that was cut is opened
// again: short enough for a server that is being restarted.
const SHOW_MILLIS = 1000;
const AGAIN_MILLIS = 1000;

// The run whose findings are shown. What an earlier run still finds is ignored.
let run;

// ---- the run ----

async function check() {
  run?.abort();
  const { signal } = (run = new AbortController());
  const show = (name, finding) => signal.aborted || showFinding(name, finding);
  performance.clearResourceTimings();
  $("cures").append(...document.querySelectorAll(".findings .cure"));
  $("findings").replaceChildren();
  $("summary").textContent = "Checking…";
  $("findings").ariaBusy = "true";
  for (const name in words.TITLES) show(name, words.wait(""));

  known.then(() => show("access", words.access(visitor)));
  showState("connecting");
  const id = measure.randomId();
  const attempts = [];
  const send = async () => {
    const sent = await measure.post(id, signal);
    attempts.push(sent);
    return sent;
  };
  try {
    const stream = await measure.open(id, signal);
    show("open", words.opening(stream));
    // Only now: where the server has one stream left, this page's first stream finds out more than one that lasts.
    keepOpen(signal, show);
    // What needs no stream is found out without one too.
    if (stream.isRefused) await send();
    else await checkPace(stream, send, show);
    show("http", words.protocol(measure.protocol(id)));
    show("clock", words.clock(attempts));
    if (stream.isRefused) throw new Error("no stream could be opened.");
    show("presence", words.wait("Leaving …"));
    const left = await measure.leave(stream, send);
    show("presence", words.presence(left));
    show("resume", words.wait("Reconnecting …"));
    const resumed = await measure.resume(id, stream, left.missed, send, signal);
    show("resume", words.resuming(resumed));
    show("replay", words.replay(resumed));
  } catch (error) {
    if (signal.aborted) return;
    // What failed is bad, and what comes after it was not tried.
    const failed = Object.keys(words.TITLES).filter((name) => !["lasting", "access"].includes(name) && verdict(name) === "wait");
    const isBad = (at) => at === 0 && verdict("open") === "good";
    const why = (await isClosed()) ? "the rules of this server close the check to you." : error.message;
    failed.forEach((name, at) => show(name, (isBad(at) ? words.bad : words.none)(`Could not be tried: ${why}`)));
  }
  if (signal.aborted) return;
  $("findings").ariaBusy = "false";
  summarize();
}

async function checkPace(stream, send, show) {
  const sent = await measure.pace(stream, send, (text) => show("pace", words.wait(text)));
  // By now a stream that was slow to open has opened, or was refused.
  show("open", words.opening(stream));
  if (!stream.isRefused) show("pace", words.pace(stream, sent));
}

// Keeps a stream that carries only heartbeats, for as long as the page is open.
async function keepOpen(signal, show) {
  const cuts = [];
  let isAway = false;
  while (!signal.aborted) {
    const stream = measure.subscribe(measure.randomId(), signal);
    showState(cuts.length || isAway ? "reconnecting" : "connecting");
    while (!stream.end && !signal.aborted) {
      const { opened } = stream;
      if (opened) showState("live");
      // While the server is away, another attempt is no news.
      if (opened || !isAway || measure.now() - stream.began > measure.OPENING_MILLIS) show("lasting", words.lasting(stream, cuts));
      await measure.until(() => stream.end || stream.opened !== opened, SHOW_MILLIS, signal);
    }
    if (signal.aborted) return;
    // Until there is a ticket it would be refused again.
    if (stream.isRefused && (await isClosed())) {
      show("lasting", words.notLasting(stream));
      return showState("refused");
    }
    showState("reconnecting");
    await measure.pause(AGAIN_MILLIS);
    isAway = !stream.opened && (stream.isRefused || stream.ended - stream.began < measure.LEFT_MILLIS);
    if (isAway) {
      show("lasting", words.notLasting(stream));
      continue;
    }
    cuts.push(words.cut(stream, stream.isDrained || (await measure.health())));
    show("lasting", words.afterCut(cuts));
  }
}

// Whether the rules close the check itself to the visitor.
async function isClosed() {
  await known;
  return visitor.pages?.check.subscribe === false;
}

// ---- the page ----

function showFinding(name, { verdict, text, cure }) {
  let item = $(`finding-${name}`);
  if (!item) {
    item = element("li", "finding");
    item.id = `finding-${name}`;
    item.append(element("p", "verdict"), element("h2", "", words.TITLES[name]), element("p", "what"), element("div"));
    $("findings").append(item);
  }
  const [word, , what, advice] = item.children;
  if (item.dataset.verdict !== verdict) {
    item.dataset.verdict = verdict;
    word.textContent = words.VERDICTS[verdict];
  }
  if (what.textContent !== text) what.textContent = text;
  // The page has each cure once. A cure that several findings need stands at the first of them.
  const shown = advice.firstElementChild;
  if (shown && shown.id !== `cure-${cure}`) $("cures").append(shown);
  const wanted = $("cures").querySelector(`#cure-${cure}`);
  if (wanted) advice.append(wanted);
  if ($("findings").ariaBusy === "false") summarize();
}

const verdict = (name) => $(`finding-${name}`).dataset.verdict;

// The headline is what the worst finding says.
function summarize() {
  const titles = (wanted) => Object.keys(words.TITLES).filter((name) => verdict(name) === wanted);
  const [bad, none, look] = [titles("bad"), titles("none"), titles("look")];
  const list = (names) => names.map((name) => `“${words.TITLES[name]}”`).join(", ");
  let text = "All is well between this browser and callout.";
  if (visitor.pages?.check.subscribe === false) text = "The rules of this server close the check to you.";
  else if ($("findings").querySelector("#cure-streams")) text = "The server has as many streams as it may have.";
  else if ($("findings").querySelector("[data-verdict=bad] #cure-buffering")) text = "Something between this browser and callout holds events up.";
  else if (bad.length) text = `Something is wrong: ${list(bad)}.`;
  else if (none.length) text = `Not everything could be tried: ${list(none)}.`;
  else if (look.length) text = `It works. Have a look at ${list(look)}.`;
  if ($("summary").textContent !== text) $("summary").textContent = text;
}

$("again").addEventListener("click", check);
onTicket(check);
// A page that is left must not keep its connections.
addEventListener("pagehide", () => {
  run?.abort();
  showState("closed");
});
addEventListener("pageshow", (event) => {
  if (event.persisted) check();
});
check();

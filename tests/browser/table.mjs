// A reporter for Node's tests: at the end a table of what was run in which browser, and why something was not. What failed
// is noted for `again.mjs`.

import { mkdirSync, writeFileSync } from "node:fs";

export const FAILED = "target/browser-failed.json";

const ENGINES = ["chromium", "firefox", "webkit"];

export default async function* table(events) {
  const rows = new Map();
  const reasons = new Map();
  const failed = [];
  for await (const { type, data } of events) {
    if (type !== "test:pass" && type !== "test:fail") continue;
    if (type === "test:fail") failed.push(data.name);
    const [, promise, engine] = /^(.*) \((\w+)\)$/.exec(data.name) ?? [];
    if (!ENGINES.includes(engine)) continue;
    if (!rows.has(promise)) rows.set(promise, {});
    rows.get(promise)[engine] = data.skip === undefined ? (type === "test:pass" ? "passed" : "FAILED") : "-";
    if (data.skip === undefined) continue;
    const reason = `${engine}: ${data.skip}`;
    reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  }
  const line = (promise, cells) => `${cells.map((cell) => (cell ?? "").padEnd(9)).join("")} ${promise}\n`;
  yield `\n${line("", ENGINES)}`;
  for (const [promise, row] of rows) yield line(promise, ENGINES.map((engine) => row[engine]));
  const count = (engine, cell) => [...rows.values()].filter((row) => row[engine] === cell).length;
  for (const engine of ENGINES) {
    yield `${engine}: ${count(engine, "passed")} passed, ${count(engine, "FAILED")} failed, ${count(engine, "-")} not run\n`;
  }
  for (const [reason, number] of reasons) yield `not run, ${number}: ${reason}\n`;
  mkdirSync("target", { recursive: true });
  writeFileSync(FAILED, JSON.stringify(failed));
}

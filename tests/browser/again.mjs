// Tries what has failed once more, each test alone. Three engines share the machine with each other and with the server,
// and a test that met a deadline of its browser's is not yet a fault. What fails again is one, and both are named.

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { FAILED } from "./table.mjs";

// More than so many is no accident.
const FAILED_MAX = 5;

const failed = JSON.parse(readFileSync(FAILED, "utf8"));
const engineOf = (name) => / \((chromium|firefox|webkit)\)$/.exec(name)?.[1];
const escape = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

// Whether the test passes now, which it has to be found for.
function passes(name) {
  const pattern = `^${escape(name)}$`;
  const { status, stdout } = spawnSync(
    process.execPath,
    ["--test", "--test-reporter=tap", "--test-name-pattern", pattern, "tests/browser"],
    { env: { ...process.env, BROWSERS: engineOf(name) }, encoding: "utf8", maxBuffer: Infinity },
  );
  const ran = stdout.split("\n").some((line) => /^\s*ok /.test(line) && line.endsWith(name));
  console.log(status === 0 && ran ? `passed alone: ${name}` : `FAILED again: ${name}\n${stdout}`);
  return status === 0 && ran;
}

const all = failed.length > 0 && failed.length <= FAILED_MAX && failed.every(engineOf);
process.exit(all && failed.map(passes).every(Boolean) ? 0 : 1);

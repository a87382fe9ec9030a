// Waiting without sleeping.

import assert from "node:assert/strict";

// How long a test waits for something that has to happen.
export const PATIENCE_MILLIS = 20_000;

// How often `until` asks again.
const AGAIN_MILLIS = 20;

// Asks again and again until the answer holds, and returns it. Fails the test if it never does.
export async function until(what, holds, millis = PATIENCE_MILLIS) {
  const giveUp = performance.now() + millis;
  for (;;) {
    const answer = await holds();
    if (answer) return answer;
    assert.ok(performance.now() < giveUp, `waited in vain: ${what}`);
    await new Promise((done) => setTimeout(done, AGAIN_MILLIS));
  }
}

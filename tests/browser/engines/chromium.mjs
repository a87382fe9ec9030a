// Chromium, by Playwright, whose pages have the methods that the tests use.

import { chromium } from "playwright-core";
import { PATIENCE_MILLIS } from "../waiting.mjs";

export const PROGRAM = process.env.CHROMIUM ?? "/usr/bin/chromium";

// What the tests may need and this engine cannot do.
export const CANNOT = {};

// One Chromium for the tests of a file; each window has its own storage.
let browser;

export const quit = async () => (await browser)?.close();

export async function launch(options = {}) {
  browser ??= chromium.launch({
    executablePath: PROGRAM,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
    // The tests use the back button too.
    ignoreDefaultArgs: ["--disable-back-forward-cache"],
  });
  const context = await (await browser).newContext(options);
  return {
    context,
    close: () => context.close(),
    setOffline: (isOffline) => context.setOffline(isOffline),

    async newPage(complain) {
      const page = await context.newPage();
      page.setDefaultTimeout(PATIENCE_MILLIS);
      // A violation of the content security policy is an error on the console too.
      page.on("console", (message) => {
        if (["error", "warning"].includes(message.type())) complain(message.text());
      });
      page.on("pageerror", (error) => complain(String(error)));
      return page;
    },

    // Freezes a page, or lets it go on.
    async setFrozen(page, isFrozen) {
      page.devtools ??= await context.newCDPSession(page);
      await page.devtools.send("Page.setWebLifecycleState", { state: isFrozen ? "frozen" : "active" });
    },
  };
}

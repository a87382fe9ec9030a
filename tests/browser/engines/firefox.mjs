// Firefox, by WebDriver BiDi.

import puppeteer from "puppeteer-core";
import { Page } from "./page.mjs";

export const PROGRAM = process.env.FIREFOX ?? "/usr/bin/firefox-esr";

export const CANNOT = {
  cache: "under WebDriver Firefox keeps no page for the back button",
  // A fault that is to be found, not a limit of the engine: in most runs, alone too, at any pace.
  churn: "of tabs that come and go under events, one does not get the last event within 20 s",
  freeze: "WebDriver BiDi has no command that freezes a page",
};

// One Firefox for the tests of a file that want the same colours; each window has its own storage.
const browsers = new Map();

export async function quit() {
  for (const browser of browsers.values()) await (await browser).close();
}

function start(colorScheme) {
  return puppeteer.launch({
    browser: "firefox",
    executablePath: PROGRAM,
    headless: true,
    extraPrefsFirefox: { "ui.systemUsesDarkTheme": Number(colorScheme === "dark") },
  });
}

export async function launch({ viewport = { width: 1280, height: 720 }, colorScheme = "light" } = {}) {
  if (!browsers.has(colorScheme)) browsers.set(colorScheme, start(colorScheme));
  const context = await (await browsers.get(colorScheme)).createBrowserContext();
  const pages = [];
  return {
    close: () => context.close(),
    setOffline: (isOffline) => Promise.all(pages.map((page) => page.tab.isClosed() || page.tab.setOfflineMode(isOffline))),

    async newPage(complain) {
      // A window, because a tab behind another is hidden.
      const tab = await context.newPage({ type: "window" });
      tab.on("console", (message) => {
        if (["error", "warn"].includes(message.type())) complain(message.text());
      });
      tab.on("pageerror", (error) => complain(String(error)));
      await tab.setViewport(viewport);
      const page = new FirefoxPage(tab);
      pages.push(page);
      return page;
    },
  };
}

class FirefoxPage extends Page {
  constructor(tab) {
    super();
    this.tab = tab;
  }

  evaluate = (act, given) => this.tab.evaluate(act, given);
  goto = (url) => this.tab.goto(url);
  reload = () => this.tab.reload();
  goBack = () => this.tab.goBack();
  goForward = () => this.tab.goForward();
  close = () => this.tab.close();
  screenshot = (options) => this.tab.screenshot(options);
  clickAt = (x, y) => this.tab.mouse.click(x, y);

  async type(keys) {
    for (const key of keys) await this.tab.keyboard.down(key);
    for (const key of keys.toReversed()) await this.tab.keyboard.up(key);
  }
}

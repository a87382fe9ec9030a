// A page of an engine other than Chromium, with the methods of a Playwright page that the tests use. An engine gives
// `evaluate`, `goto`, `reload`, `goBack`, `goForward`, `close`, `screenshot`, `clickAt` and `type`.

import { until } from "../waiting.mjs";

// Runs in the page. Finds the elements along a way of steps, each a selector and perhaps a text that they have, and asks
// them something.
function find([way, question, given]) {
  let found = [document];
  for (const { selector, text, pattern } of way) {
    const has = (content) => (pattern ? new RegExp(...pattern).test(content) : !text || content.toLowerCase().includes(text.toLowerCase()));
    found = found.flatMap((place) => [...place.querySelectorAll(selector)]).filter((element) => has(element.textContent));
  }
  const isVisible = (element) => Boolean(element?.getClientRects().length) && getComputedStyle(element).visibility === "visible";
  const [element] = found;
  const questions = {
    count: () => found.length,
    texts: () => found.map((element) => element.textContent),
    isVisible: () => isVisible(element),
    isEnabled: () => Boolean(element) && !element.disabled,
    // Wrapped, because an element that is not there has no answer.
    text: () => element && [element.textContent],
    value: () => element && [element.value],
    attribute: () => element && [element.getAttribute(given)],
    focus: () => {
      if (!isVisible(element) || element.disabled) return false;
      element.focus();
      return document.activeElement === element;
    },
    fill: () => {
      if (!isVisible(element) || element.disabled) return false;
      element.focus();
      element.value = given;
      element.dispatchEvent(new InputEvent("input", { bubbles: true }));
      return true;
    },
    // Where to click: the middle of the element, or of its first line.
    place: () => {
      if (!isVisible(element) || element.disabled) return null;
      element.scrollIntoView({ block: "center", behavior: "instant" });
      const { left, top, width, height } = element.getClientRects()[0];
      return { x: left + width / 2, y: top + height / 2, isChecked: element.checked };
    },
  };
  return questions[question]();
}

const step = (selector, { hasText } = {}) =>
  hasText instanceof RegExp ? { selector, pattern: [hasText.source, hasText.flags] } : { selector, text: hasText };

// Elements of a page, which are looked for each time.
class Locator {
  constructor(page, way) {
    this.page = page;
    this.way = way;
  }

  #ask = (question, given) => this.page.evaluate(find, [this.way, question, given]);
  #wait = (question, given) => until(`${question} of ${JSON.stringify(this.way)}`, () => this.#ask(question, given));

  locator = (selector, options) => new Locator(this.page, [...this.way, step(selector, options)]);
  // What is asked of several elements is answered by the first.
  first = () => this;
  count = () => this.#ask("count");
  allTextContents = () => this.#ask("texts");
  isVisible = () => this.#ask("isVisible");
  isHidden = async () => !(await this.isVisible());
  isEnabled = () => this.#ask("isEnabled");
  textContent = async () => (await this.#wait("text"))[0];
  inputValue = async () => (await this.#wait("value"))[0];
  getAttribute = async (name) => (await this.#wait("attribute", name))[0];
  fill = (text) => this.#wait("fill", text);
  waitFor = () => this.#wait("isVisible");

  async click() {
    const { x, y } = await this.#wait("place");
    await this.page.clickAt(x, y);
  }

  async check() {
    const { x, y, isChecked } = await this.#wait("place");
    if (!isChecked) await this.page.clickAt(x, y);
  }

  async press(keys) {
    await this.#wait("focus");
    await this.page.type(keys.split("+"));
  }
}

export class Page {
  locator = (selector, options) => new Locator(this, [step(selector, options)]);

  // The function's text goes into the page, so that it needs no evaluation there, which the policy forbids.
  $eval = (selector, ask) => this.evaluate(`(${ask})(document.querySelector(${JSON.stringify(selector)}))`);
  $$eval = (selector, ask) => this.evaluate(`(${ask})([...document.querySelectorAll(${JSON.stringify(selector)})])`);

  count = (selector) => this.locator(selector).count();
  isVisible = (selector) => this.locator(selector).isVisible();
  isHidden = (selector) => this.locator(selector).isHidden();
  isEnabled = (selector) => this.locator(selector).isEnabled();
  textContent = (selector) => this.locator(selector).textContent();
  inputValue = (selector) => this.locator(selector).inputValue();
  getAttribute = (selector, name) => this.locator(selector).getAttribute(name);
  fill = (selector, text) => this.locator(selector).fill(text);
  click = (selector) => this.locator(selector).click();
  check = (selector) => this.locator(selector).check();
  press = (selector, keys) => this.locator(selector).press(keys);
  waitForSelector = (selector) => this.locator(selector).waitFor();
}

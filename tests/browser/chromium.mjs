// What the scripts here have in common: a Chromium driven by Playwright, and what must not happen in it.
//
// AIRBYTE_PROXY_TEST_PLAYWRIGHT is the node_modules folder with what package.json lists, AIRBYTE_PROXY_TEST_CHROMIUM the
// browser. Each script takes addresses, says what is wrong, and ends with 0 if nothing is.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { promisify } from "node:util";

const load = createRequire(`${process.env.AIRBYTE_PROXY_TEST_PLAYWRIGHT}/`);
const { chromium } = load("playwright-core");

/** A page comes at once or never. */
const PATIENCE = 20_000;

/** Runs `use` with a browser, for which `hosts` says which names are which addresses. */
export async function browse(use, hosts = "") {
  const browser = await chromium.launch({
    executablePath: process.env.AIRBYTE_PROXY_TEST_CHROMIUM,
    args: ["--no-sandbox", "--disable-quic", "--no-proxy-server", `--host-resolver-rules=${hosts}`],
  });
  try {
    await use(browser);
  } catch (error) {
    console.error(error);
    process.exitCode = 1;
  } finally {
    await browser.close();
    // Or Node would wait for more to be said.
    process.stdin.destroy();
  }
}

/** A tab of its own; all that it asks for and complains about is kept. */
export async function tab(browser, options = {}) {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  const [complaints, addresses] = [[], []];
  page.on("console", (said) => {
    if (["error", "warning"].includes(said.type())) complaints.push(`${said.text()} ${said.location().url}`);
  });
  page.on("pageerror", (error) => complaints.push(`${error}`));
  context.on("request", (request) => addresses.push(request.url()));
  return Object.assign(page, { complaints, addresses });
}

/** Nothing complained but for what is `known`, and nothing but the proxy was asked. */
export function assertQuiet(page, proxy, known = []) {
  assert.deepEqual(page.complaints, known);
  assert.ok(page.addresses.length > 0);
  assert.deepEqual(page.addresses.filter((url) => !url.startsWith(`${proxy}/`) && !url.startsWith(`blob:${proxy}/`)), []);
}

const AXE = readFileSync(load.resolve("axe-core/axe.min.js"), "utf8");

/** No serious fault by axe-core, in light and in dark. */
export async function assertAccessible(page, place) {
  for (const colorScheme of ["dark", "light"]) {
    await page.emulateMedia({ colorScheme });
    await page.evaluate(AXE);
    const found = await page.evaluate(async () => {
      const { violations } = await globalThis.axe.run();
      const serious = violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
      return serious.map(({ id, help, nodes }) => [id, help, nodes.map((node) => node.html)]);
    });
    assert.deepEqual(found, [], `${place}, ${colorScheme}`);
  }
}

/** On a phone, and on the narrowest there is, nothing is wider than the screen. */
export async function assertNarrow(page, place) {
  const before = page.viewportSize();
  for (const width of [390, 320]) {
    await page.setViewportSize({ width, height: 844 });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(wide <= width, `${place}: ${wide} of ${width} pixels`);
  }
  await page.setViewportSize(before);
}

/** Returns once the text of what `selector` finds is as wanted: equal to a string, or matched by an expression. */
export async function reads(page, selector, wanted) {
  const found = page.locator(selector).first();
  const fits = (text) => (typeof wanted === "string" ? text === wanted : wanted.test(text));
  await until(async () => fits((await found.innerText()).trim()), async () => `${selector} is ${wanted}, not ${await found.innerText()}`);
}

/** Returns once `fact` holds. */
export async function until(fact, otherwise) {
  const begun = performance.now();
  while (!(await fact())) {
    if (performance.now() - begun > PATIENCE) assert.fail(await otherwise());
    // The pause spares the browser; how long it is decides nothing.
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Presses the tabulator until what `selector` finds has the focus: at most so often as there are things on a page. */
export async function tabTo(page, selector) {
  for (let presses = 0; presses < 60; presses += 1) {
    await page.keyboard.press("Tab");
    const there = await page.evaluate((wanted) => document.activeElement.matches(wanted), selector);
    if (!there) continue;
    const ring = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    assert.notEqual(ring, "none", `${selector} shows that it has the focus`);
    return;
  }
  assert.fail(`the keyboard does not reach ${selector}`);
}

/** As a terminal would ask: status and body. */
export async function curl(...words) {
  const { stdout } = await promisify(execFile)("curl", ["-sS", "--noproxy", "*", "--max-time", "20", "-w", "\n%{http_code}", ...words]);
  const [, body, status] = stdout.match(/^([^]*)\n(\d+)$/);
  return { status: Number(status), body };
}

/** Has whoever runs the script do something. */
export async function ask(what) {
  const lines = createInterface({ input: process.stdin });
  console.log(what);
  for await (const line of lines) {
    assert.equal(line, `done: ${what}`);
    return;
  }
}

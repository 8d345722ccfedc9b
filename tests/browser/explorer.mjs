// The explorer, used as people use it. Takes the address of a proxy in front of a simulated Airbyte.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";

import { assertAccessible, assertNarrow, assertQuiet, browse, curl, reads, tab, tabTo, until } from "./chromium.mjs";

const proxy = process.argv[2];

const TITLE = "#operation-title";
const STATUS = "#answer-status";
/** Number of rows, beside the buttons for the pages. */
const ROWS = "#answer .pages >> nth=0";

async function opened(page, hash = "") {
  await page.goto("about:blank");
  await page.goto(`${proxy}/-/explorer${hash}`);
  await until(async () => (await page.locator(".operations a").count()) === 92, () => "not all operations are listed");
}

async function findsAndTries(page) {
  await opened(page);
  await assertAccessible(page, "welcome");
  await assertNarrow(page, "welcome");
  await page.locator("#search").fill("list workspaces");
  await reads(page, "#found", /^\d operations found$/);
  await page.locator(".operations a >> nth=0").click();
  await reads(page, TITLE, "List workspaces");
  await page.locator("#try").click();
  await reads(page, STATUS, "200 OK");
  const { data } = JSON.parse((await curl(`${proxy}/v1/workspaces`)).body);
  await reads(page, ROWS, new RegExp(`^${data.length} rows`));
  const shown = JSON.parse(await page.locator("pre.body").innerText());
  assert.deepEqual(shown.data, data, "Airbyte's workspaces are shown");
  await assertAccessible(page, "answer");
  await assertNarrow(page, "answer");
}

async function turnsPages(page) {
  const shown = async () => JSON.parse(await page.locator("pre.body").innerText()).data.map((row) => row.workspaceId);
  await page.locator("#parameter-limit").fill("2");
  await page.locator("#try").click();
  await reads(page, ROWS, /^2 rows/);
  const first = await shown();
  assert.ok(await page.locator("#page-previous").isDisabled());
  await page.locator("#page-next").click();
  await reads(page, ROWS, /^1 row\b/);
  const second = await shown();
  await reads(page, ".snippets", /offset=2/);
  await page.locator("#page-previous").click();
  await reads(page, ROWS, /^2 rows/);
  assert.deepEqual(await shown(), first);
  await page.locator("#all").click();
  await reads(page, ".result", /All 3 rows/);
  const all = JSON.parse(await page.locator("pre.body").innerText()).map((row) => row.workspaceId);
  assert.deepEqual(all, [...first, ...second]);
}

/** What is saved is what was shown; the lines for a terminal do what was done. */
async function saves(page) {
  const saved = async (name) => {
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name }).click()]);
    return [download.suggestedFilename(), await readFile(await download.path(), "utf8")];
  };
  const [json, rows] = await saved("Save as JSON");
  assert.deepEqual([json, JSON.parse(rows).length], ["workspaces.json", 3]);
  const [csv, lines] = await saved("Save as CSV");
  assert.deepEqual([csv, lines.trim().split("\r\n").length], ["workspaces.csv", 4]);
  assert.match(lines, /^dataResidency,name,/);
  const line = await page.locator(".snippet pre").first().innerText();
  const [, url] = line.match(/^curl '([^']+)'/);
  assert.equal((await curl("-H", "Accept: application/x-ndjson", url)).body.trim().split("\n").length, 3);
}

/** A list of more pages than one, read whole while it counts. */
async function readsAll(page) {
  await opened(page, "#listJobs");
  await page.locator("#all").click();
  const { body } = await curl(`${proxy}/v1/jobs?limit=all`);
  const { length } = JSON.parse(body).data;
  assert.ok(length > 100);
  await reads(page, ".result", new RegExp(`All ${length.toLocaleString("en")} rows`));
  await reads(page, "#answer .hint", /^The first 100 rows/);
}

/** From the search to the answer without a mouse. */
async function byKeyboard(page) {
  await opened(page);
  await tabTo(page, "#search");
  await page.keyboard.type("list tags");
  await reads(page, "#found", /^\d operations? found$/);
  await tabTo(page, ".operations a");
  await page.keyboard.press("Enter");
  await reads(page, TITLE, "List tags");
  assert.equal(await page.evaluate(() => document.activeElement.id), "operation-title", "the reader is led to the operation");
  await tabTo(page, "#parameter-workspaceIds");
  await page.keyboard.press("Enter");
  await reads(page, STATUS, "200 OK");
  await tabTo(page, "#answer .pages button:enabled");
  await tabTo(page, ".snippet button");
}

await browse(async (browser) => {
  const page = await tab(browser, { locale: "en-GB" });
  await findsAndTries(page);
  await turnsPages(page);
  await saves(page);
  await readsAll(page);
  await byKeyboard(page);
  assertQuiet(page, proxy);
});

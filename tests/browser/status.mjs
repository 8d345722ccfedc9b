// The status page, used as people use it. Takes the address of a proxy whose tokens live 15 s.

import assert from "node:assert/strict";

import { assertAccessible, assertNarrow, assertQuiet, browse, curl, reads, tab, tabTo, until } from "./chromium.mjs";

const proxy = process.argv[2];

const generation = async (page) => Number(await page.locator("#generation").innerText());

/** How much of the bar is left, as it is drawn. */
const bar = (page) =>
  page.locator("#fill").evaluate((fill) => fill.getBoundingClientRect().width / fill.parentElement.getBoundingClientRect().width);

/** It runs down by itself, and is full again when there is a new token. */
async function renews(page) {
  let [first, full] = [await generation(page), await bar(page)];
  const less = async () => {
    const [number, now] = [await generation(page), await bar(page)];
    // Opened just before a renewal.
    if (number !== first) [first, full] = [number, now];
    return now < full - 0.05;
  };
  await until(less, async () => `the bar stays at ${await bar(page)}`);
  await until(async () => (await generation(page)) > first, async () => `token ${first} is not renewed`);
  assert.ok((await bar(page)) > 0.5, `the bar is full again: ${await bar(page)}`);
  await reads(page, "#state", "Ready");
  await reads(page, "#history li >> nth=0", new RegExp(`token ${first + 1} `));
  assert.match(await page.locator("#left").innerText(), /^1?\d s$/);
}

/** What a terminal asks for is in the list within a second: once in three times, however busy the machine is. */
async function showsRequests(page) {
  let quick = false;
  for (const path of ["/v1/jobs", "/v1/sources", "/v1/destinations"]) {
    const before = Number(await page.locator("#total-requests").innerText());
    assert.equal((await curl(`${proxy}${path}?limit=1`)).status, 200);
    const begun = performance.now();
    await reads(page, "#requests tr >> nth=0", new RegExp(`GET ${path}\\s+200\\s`));
    quick ||= performance.now() - begun < 1000;
    assert.equal(Number(await page.locator("#total-requests").innerText()), before + 1);
  }
  assert.ok(quick, "a request is shown within a second");
  assert.equal((await curl(`${proxy}/v1/applications`)).status, 403);
  await reads(page, "#requests tr >> nth=0", /GET \/v1\/applications\s+403\s[^]*refused by default denial/);
  assert.equal((await curl("-H", "Host: evil.example", `${proxy}/v1/jobs/secret-id`)).status, 403);
  await reads(page, "#requests tr >> nth=0", /GET refused at the door\s+403\s[^]*refused by guard.allowed_hosts/);
  await reads(page, "#total-refused", "2");
  assert.equal((await curl(`${proxy}/v1/jobs?limit=all`)).status, 200);
  await reads(page, "#requests tr >> nth=0", /GET \/v1\/jobs\s+200\s[^]*\d{2,}/);
}

async function copies(page) {
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await page.locator('[data-copy="line-curl"]').click();
  await reads(page, '[data-copy="line-curl"]', /^Copied/);
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  assert.equal(copied, `curl '${proxy}/v1/workspaces'`);
  assert.equal((await curl(copied.split("'")[1])).status, 200);
  await reads(page, '[data-copy="line-curl"]', /^Copy\s/);
}

/** Without a mouse: past the navigation, to a line and its button, into the list, and to the explorer. */
async function byKeyboard(page) {
  await page.goto(`${proxy}/-/`);
  await tabTo(page, ".skip");
  await page.keyboard.press("Enter");
  await tabTo(page, '[data-copy="line-base"]');
  await page.keyboard.press("Space");
  await reads(page, '[data-copy="line-base"]', /^Copied/);
  await tabTo(page, ".scroll");
  await page.goto(`${proxy}/-/`);
  await tabTo(page, 'nav a[href="/-/explorer"]');
  await page.keyboard.press("Enter");
  await page.waitForURL(`${proxy}/-/explorer`);
}

await browse(async (browser) => {
  const page = await tab(browser);
  // Before anybody looks.
  await curl(`${proxy}/v1/connections`);
  await page.goto(`${proxy}/-/`);
  await reads(page, "#state", "Ready");
  await reads(page, "#link", "Live");
  assert.equal(await page.title(), "stage 2 · airbyte-proxy");
  await reads(page, "#requests", /GET \/v1\/connections/);
  await page.evaluate(() => {
    window.opened = "once";
  });
  await renews(page);
  await showsRequests(page);
  await copies(page);
  await assertNarrow(page, "status");
  await assertAccessible(page, "status");
  assert.equal(await page.evaluate(() => window.opened), "once", "without reload");
  assert.doesNotMatch(await page.content(), /eyJ|secret-id/, "no token and no id anywhere");
  await byKeyboard(page);
  assertQuiet(page, proxy);
});

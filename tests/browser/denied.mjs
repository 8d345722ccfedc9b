// What the explorer does not do, or not at once. Takes the address of a proxy in front of a simulated Airbyte.

import assert from "node:assert/strict";

import { assertAccessible, assertNarrow, assertQuiet, browse, curl, reads, tab } from "./chromium.mjs";

const proxy = process.argv[2];

const asked = (page, path) => page.addresses.filter((url) => url.startsWith(`${proxy}${path}`)).length;

/** What is denied says so and why, and is not sent: a browser would note an error. */
async function explains(page) {
  await page.goto(`${proxy}/-/explorer#listApplications`);
  await reads(page, "#operation-title", "List applications");
  await reads(page, "#denied h2", "Denied by the rules of this proxy");
  await reads(page, "#denied", /answers with the client secrets of applications[^]*policy\.rules = \["allow GET \/applications\/\*\*"\]/);
  await reads(page, ".operations a[aria-current]", /denied$/);
  assert.ok(await page.locator(".operations a[aria-current]").evaluate((link) => link.getBoundingClientRect().bottom <= innerHeight), "it is seen in the list");
  assert.equal(await page.locator("#try, #all").count(), 0);
  await assertAccessible(page, "denied");
  await assertNarrow(page, "denied");
  assert.equal(asked(page, "/v1/"), 0);
}

/** Nothing is taken away unasked. */
async function asksFirst(page) {
  const [source] = JSON.parse((await curl(`${proxy}/v1/sources`)).body).data;
  const there = async () => (await curl(`${proxy}/v1/sources/${source.sourceId}`)).status;
  await page.goto(`${proxy}/-/explorer#deleteSource`);
  await reads(page, "#operation-title", "Delete a source");
  await page.locator("#try").click();
  await reads(page, ".wrong", "sourceId is required.");
  await page.locator("#parameter-sourceId").fill(source.sourceId);
  for (const [answer, left] of [["ask-no", 200], ["ask-yes", 404]]) {
    await page.locator("#try").click();
    await reads(page, "#ask code", `DELETE /v1/sources/${source.sourceId}`);
    assert.equal(await page.evaluate(() => document.activeElement.id), "ask-no", "a hasty Enter deletes nothing");
    await assertAccessible(page, "question");
    assert.equal([await there(), asked(page, "/v1/")].join(), "200,0", "nothing is sent before the answer");
    await page.locator(`#${answer}`).click();
    if (answer === "ask-yes") await reads(page, "#answer-status", /^204/);
    assert.equal(await there(), left);
  }
}

/** Whoever insists gets the answer, and the browser's note. */
async function sendsAnyway(page) {
  await page.goto(`${proxy}/-/explorer#listApplications`);
  await page.locator("#anyway").click();
  await reads(page, "#answer-status", "403 Forbidden");
  await reads(page, "#answer .problem", /^Denied by the rules of this proxy[^]*Said by the proxy, not by Airbyte\./);
  await assertAccessible(page, "refusal");
}

await browse(async (browser) => {
  const page = await tab(browser);
  await explains(page);
  await asksFirst(page);
  assertQuiet(page, proxy);
  await sendsAnyway(page);
  const note = "Failed to load resource: the server responded with a status of 403 (Forbidden)";
  assertQuiet(page, proxy, [`${note} ${proxy}/v1/applications`]);
});

// Our pages where clients must show a key. Takes the address of the proxy, and a key for which a rule makes an exception.

import assert from "node:assert/strict";

import { assertQuiet, browse, reads, tab } from "./chromium.mjs";

const [proxy, password] = process.argv.slice(2);

await browse(async (browser) => {
  const page = await tab(browser, { httpCredentials: { username: "any", password } });
  await page.goto(`${proxy}/-/`);
  await reads(page, "#link", "Live");
  await reads(page, "#line-curl", `curl -u any:KEY '${proxy}/v1/workspaces'`);
  await reads(page, ".hint", /^KEY is your client key/);
  // Denied to everybody else.
  await page.goto(`${proxy}/-/explorer#listApplications`);
  await reads(page, "#operation-title", "List applications");
  assert.equal(await page.locator("#denied").count(), 0);
  await page.locator("#try").click();
  await reads(page, "#answer-status", "200 OK");
  await reads(page, ".snippet pre", /^curl -u any:KEY '/);
  // Denied to everybody, but by name.
  await page.goto(`${proxy}/-/explorer#deleteTag`);
  await reads(page, "#denied", /deny \* \/tags\/\*/);
  await page.goto(`${proxy}/-/`);
  await reads(page, "#requests tr >> nth=0", /client admin/);
  assertQuiet(page, proxy);
});

// The status page while its proxy ends and is started again, by whoever runs this. Takes the address of the proxy.

import { ask, browse, curl, reads, tab } from "./chromium.mjs";

const proxy = process.argv[2];

await browse(async (browser) => {
  const page = await tab(browser);
  await page.goto(`${proxy}/-/`);
  await reads(page, "#link", "Live");
  await curl(`${proxy}/v1/tags`);
  await reads(page, "#requests", /\/v1\/tags/);
  await page.evaluate(() => {
    window.opened = "once";
  });
  await ask("stop it");
  await reads(page, "#link", "Reconnecting …");
  await ask("start it");
  await reads(page, "#link", "Live");
  await curl(`${proxy}/v1/workspaces`);
  await reads(page, "#requests tr >> nth=0", /\/v1\/workspaces/);
  // The list is the one of the new process.
  await reads(page, "#total-requests", "1");
  await reads(page, "#requests", /^(?![^]*tags)/);
  if ((await page.evaluate(() => window.opened)) !== "once") throw new Error("the page was loaded again");
});

// Pictures of both pages, light, dark and on a phone, to be looked at; docs/ has some of them.
//
//     airbyte-proxy demo --token-lifetime 900s &
//     node tests/browser/shots.mjs http://127.0.0.1:8484 FOLDER

import { mkdir } from "node:fs/promises";
import { join } from "node:path";

import { browse, curl, reads, tab } from "./chromium.mjs";

const [proxy, folder] = process.argv.slice(2);

/** Something to see in the list. */
async function busy() {
  const { data } = JSON.parse((await curl(`${proxy}/v1/jobs?limit=20`)).body);
  await curl(`${proxy}/v1/workspaces`);
  await curl(`${proxy}/v1/jobs/${data[0].jobId}`);
  await curl(`${proxy}/v1/jobs?limit=all`);
  await curl(`${proxy}/v1/applications`);
  await curl("-H", "Origin: https://news.example", `${proxy}/v1/jobs`);
  await curl("-X", "POST", "-H", "Content-Type: application/json", "-d", '{"no":1}', `${proxy}/v1/jobs`);
  await curl(`${proxy}/v1/connections?limit=5`);
}

const PAGES = {
  status: async (page) => {
    await page.goto(`${proxy}/-/`);
    await reads(page, "#link", "Live");
    await reads(page, "#requests", /\/v1\/connections/);
    // What has just arrived is not shown so for long.
    await page.waitForTimeout(1600);
  },
  explorer: async (page) => {
    await page.goto(`${proxy}/-/explorer#listConnections`);
    await page.locator("#parameter-limit").fill("2");
    await page.locator("#try").click();
    await reads(page, "#answer-status", "200 OK");
  },
  denied: async (page) => {
    await page.goto(`${proxy}/-/explorer#listApplications`);
    await reads(page, "#denied h2", /Denied/);
  },
  question: async (page) => {
    await page.goto(`${proxy}/-/explorer#deleteTag`);
    await page.locator("#parameter-tagId").fill("6b0d3c2e-3a6e-4b0e-9d0a-0f6f8a1c2d3e");
    await page.locator("#try").click();
    await reads(page, "#ask-title", "Delete it?");
  },
  welcome: async (page) => {
    await page.goto(`${proxy}/-/explorer`);
    await reads(page, "#found", /operations/);
  },
};

await browse(async (browser) => {
  await mkdir(folder, { recursive: true });
  await busy();
  for (const [kind, width, height, colorScheme] of [["light", 1240, 900, "light"], ["dark", 1240, 900, "dark"], ["narrow", 390, 844, "light"]]) {
    const page = await tab(browser, { viewport: { width, height }, colorScheme, locale: "en-GB" });
    for (const [name, open] of Object.entries(PAGES)) {
      await page.goto("about:blank");
      await open(page);
      await page.screenshot({ path: join(folder, `${name}-${kind}.png`), fullPage: kind === "narrow" });
    }
    await page.context().close();
  }
});

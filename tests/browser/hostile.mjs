// What pages of other sites can do to the proxy, in three acts: `hostile`, `rebound`, `links`. Takes one of them, the
// address of somebody else's page, and that of the proxy.

import assert from "node:assert/strict";

import { assertQuiet, browse, reads, tab } from "./chromium.mjs";

const [act, site, proxy] = process.argv.slice(2);

/** Follows a link, or sends a form, of somebody else's page. */
async function leaves(page, how, path) {
  await page.goto(site);
  await page.evaluate(how);
  await page.waitForURL(`${proxy}${path}`);
}

const ACTS = {
  /** It reads nothing and changes nothing. */
  async hostile(page) {
    await page.goto(site);
    const outcomes = Object.entries(await page.evaluate("attack()"));
    assert.ok(outcomes.length >= 30, `${outcomes}`);
    const harmless = ["failed", "opaque", "closed"];
    assert.deepEqual(outcomes.filter(([, outcome]) => !harmless.includes(outcome)), []);
    const frames = page.frames().slice(1);
    assert.ok(frames.length >= 4);
    for (const frame of frames) {
      const text = await frame.locator("body").innerText();
      assert.match(text, /^$|Requests from other web sites are refused/, frame.url());
    }
    for (const [link, path] of [
      ["#api", "/v1/workspaces"],
      ["#ready", "/-/ready"],
      ["#document", "/-/openapi.json"],
      ["#events", "/-/events"],
      ["#asset", "/-/assets/style.css"],
    ]) {
      await leaves(page, `document.querySelector("${link}").click()`, path);
      await reads(page, "body", /Requests from other web sites are refused/);
    }
    await leaves(page, 'document.querySelector("#top").submit()', "/v1/jobs");
    await reads(page, "body", /Requests from other web sites are refused/);
  },

  /** Its name leads to the proxy by now: refusals, and nothing else. */
  async rebound(page) {
    await page.goto(site);
    for (const request of [
      "fetch('/v1/workspaces')",
      "fetch('/v1/jobs', { method: 'POST', headers: json, body: '{}' })",
      "fetch('/v1/connections/1', { method: 'DELETE' })",
      "fetch('/v1/applications/token', { method: 'POST', body: '{}' })",
      "fetch('/-/')",
      "fetch('/-/ready')",
      "fetch('/-/events')",
      "fetch('/-/openapi.json')",
      "fetch('/-/assets/common.js')",
    ]) {
      const got = await page.evaluate(`${request}.then(async (r) => [r.status, [...r.headers.keys()].join(), await r.text()])`);
      assert.equal(got[0], 403, request);
      assert.match(got[2], /host-not-allowed/, request);
      assert.doesNotMatch(got.join(), /access-control|workspaceId/, request);
    }
  },

  /** Our own pages open from anywhere, and may use the API. */
  async links(page) {
    await page.goto(`${proxy}/-/`);
    await reads(page, "h1", "The Airbyte API without tokens");
    for (const link of ["#home", "#root"]) {
      await leaves(page, `document.querySelector("${link}").click()`, "/-/");
      await reads(page, "h1", "The Airbyte API without tokens");
      await reads(page, "#link", "Live");
    }
    await leaves(page, 'document.querySelector("#explorer").click()', "/-/explorer#deleteSource");
    await reads(page, "#operation-title", "Delete a source");
    const ours = (texts) => texts.filter((text) => !text.includes(new URL(site).host));
    assertQuiet({ complaints: ours(page.complaints), addresses: ours(page.addresses) }, proxy);
    assert.ok(page.addresses.every((url) => !url.startsWith(`${proxy}/v1`)), "a page by itself asks Airbyte nothing");

    const answers = await page.evaluate(async () => {
      const got = await fetch("/v1/workspaces");
      const headers = { "content-type": "application/json" };
      const posted = await fetch("/v1/jobs", { method: "POST", headers, body: "{}" });
      return [(await got.json()).data.length > 0, got.headers.has("access-control-allow-origin"), posted.status];
    });
    assert.deepEqual(answers, [true, false, 400], "what Airbyte says");
    // An API address typed into the address bar.
    await page.goto(`${proxy}/v1/workspaces`);
    await reads(page, "body", /workspaceId/);
  },
};

const { hostname } = new URL(site);
await browse(async (browser) => ACTS[act](await tab(browser)), `MAP ${hostname} ${process.argv[5]}`);

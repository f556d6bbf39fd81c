// The example origin behind the routes of wrangler.toml: what the quick start shows.

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { after, before, describe, test } from "node:test";

import { unstable_readConfig as readConfig } from "wrangler";

import { startOrigin } from "../../examples/origin/server.mjs";
import { Client } from "../../scripts/client.mjs";
import { ADMIN_TOKEN, PATH, startRuntime } from "../../scripts/runtime.mjs";

const FIXTURES = "/api/v1/brain/fixtures";
const QUESTION = { home_team: "Arsenal", away_team: "Chelsea", match_date: "2026-11-22" };

describe("the example", () => {
  let origin;
  let runtime;
  /** @type {Client} */
  let client;
  /** @type {(path: string, headers?: any, method?: string) => Promise<any>} */
  const get = (path, headers = {}, method = "GET") => client.raw(method, path, { headers });

  before(async () => {
    origin = await startOrigin({ settings: { latency: 100, spread: 0 } });
    const { vars } = readConfig({ config: fileURLToPath(new URL("../../wrangler.toml", import.meta.url)) });
    runtime = await startRuntime({ vars: { ...vars, ORIGIN_URL: origin.url }, colos: [{}] });
    client = new Client(runtime.urls[0], { path: PATH, token: ADMIN_TOKEN });
  });
  after(async () => {
    await client.close();
    await runtime.stop();
    await origin.close();
  });

  test("POST and QUERY ask the same question", async () => {
    const first = await client.ask(JSON.stringify(QUESTION));
    const body = JSON.stringify(Object.fromEntries(Object.entries(QUESTION).reverse()));
    const second = await client.raw("QUERY", PATH, { body, headers: { "content-type": "application/json" } });
    assert.match(String(second.headers["cache-status"]), /hit/);
    assert.equal(second.text, first.text);
  });

  test("the fixtures have a variant for each language and type, and are renewed by 304", async () => {
    const german = await get(`${FIXTURES}?team=Arsenal&page=1`, { "accept-language": "de" });
    assert.match(german.headers["cache-status"], /stored/);
    assert.equal(JSON.parse(german.text).title, "Spielplan");
    const html = await get(`${FIXTURES}?page=1&team=Arsenal`, { accept: "text/html" });
    assert.match(html.headers["content-type"], /^text\/html/);
    const again = await get(`${FIXTURES}?page=1&team=Arsenal`, { "accept-language": "DE" });
    assert.match(again.headers["cache-status"], /hit/);
    assert.equal(again.text, german.text);
    const held = await get(`${FIXTURES}?page=1&team=Arsenal`, {
      "accept-language": "de",
      "if-none-match": german.headers.etag,
    });
    assert.equal(held.status, 304);
    assert.equal((await get(`${FIXTURES}?other=1`)).status, 400);
    assert.equal((await get(`${FIXTURES}?page=2`, {}, "HEAD")).text, "");
  });

  test("the report is passed on whole", async () => {
    const { status, text, headers } = await get("/api/v1/brain/report");
    assert.deepEqual([status, headers["content-type"]], [200, "text/csv"]);
    assert.ok(text.length >= 10 * 2 ** 20, String(text.length));
  });
});

// The example origin behind the routes of wrangler.toml: what the quick start shows.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { after, before, describe, test } from "node:test";

import { unstable_readConfig as readConfig } from "wrangler";

import { AUDIENCE, ISSUER, KEYS } from "../../examples/origin/credentials.mjs";
import { FORECAST } from "../../examples/origin/routes.mjs";
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
    const token = {
      ...FORECAST,
      path: "/api/v1/brain/*",
      methods: ["POST"],
      ttl: 2,
      verify: {
        jwt: {
          jwks_url: `${origin.url}/.well-known/jwks.json`,
          algorithms: ["EdDSA"],
          issuer: ISSUER,
          audience: AUDIENCE,
          tenant: "org",
        },
      },
    };
    const all = {
      ...vars,
      ROUTES: [.../** @type {any} */ (vars).ROUTES, FORECAST],
      ORIGIN_URL: origin.url,
      DIGEST_SECRET: "a-secret-of-this-test-0123456789abc",
    };
    runtime = await startRuntime({ vars: all, colos: [{}, { ROUTES: [{ ...token, path: FORECAST.path }] }] });
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

  test("a forecast needs a key, and each tenant has its own", async () => {
    const ask = (/** @type {any} */ headers, colo = 0) =>
      fetch(`${runtime.urls[colo]}${FORECAST.path}`, {
        method: "POST",
        body: JSON.stringify(QUESTION),
        headers: { "content-type": "application/json", ...headers },
      });
    assert.equal((await ask({})).status, 401);
    assert.equal((await ask({ "x-api-key": "demo-key" })).status, 401);
    const [acme, globex] = Object.keys(KEYS);
    const first = await (await ask({ "x-api-key": acme })).json();
    assert.equal(first.tenant, "acme");
    assert.deepEqual(await (await ask({ "x-api-key": acme, "x-tenant": "globex" })).json(), first);
    assert.equal((await (await ask({ "x-api-key": globex })).json()).tenant, "globex");
    // The other colo takes the tokens that the origin signs.
    const made = await fetch(`${origin.url}/control/token`, { method: "POST", body: '{"tenant":"acme","seconds":60}' });
    const { token } = await made.json();
    const byToken = await ask({ authorization: `Bearer ${token}` }, 1);
    assert.deepEqual(await byToken.json(), first, "the same tenant, the same entry");
    assert.equal((await ask({ authorization: `Bearer ${token.slice(0, -4)}AAAA` }, 1)).status, 401);
    assert.equal((await fetch(`${origin.url}/control/token`, { method: "POST", body: '{"tenant":1}' })).status, 400);
    // Without the cache in front the origin checks by itself.
    assert.equal((await fetch(`${origin.url}${FORECAST.path}`, { method: "POST", body: "{}" })).status, 401);
  });

  test("certify takes a credential, and the tenant whose entries it looks at", async () => {
    const certify = (/** @type {string[]} */ ...words) =>
      new Promise((done) => {
        const script = fileURLToPath(new URL("../../scripts/certify.mjs", import.meta.url));
        const more = ["--path", FORECAST.path, "--json", ...words];
        const env = { ...process.env, ADMIN_TOKEN };
        execFile(process.execPath, [script, runtime.urls[0], ...more], { env }, (_, stdout) =>
          done(JSON.parse(stdout)),
        );
      });
    const header = ["--header", `x-api-key: ${Object.keys(KEYS)[0]}`];
    assert.match((await certify("--header", "nonsense")).fault, /--header is 'name: value'/);
    assert.match((await certify(...header)).fault, /say whose entries with --tenant/);
    // It goes on until it finds that cycles of a minute are too long to wait for.
    assert.match((await certify(...header, "--tenant", "acme")).fault, /the TTL is 60 s/);
    assert.match((await certify("--tenant", "acme")).fault, /answered with 401/);
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

// The package's functions in real workerd: a handler, functions and a service for other Workers, installed from the
// tarball.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { Log, LogLevel, Miniflare, convertV4MiniflareOptions } from "miniflare";

import { ADMIN_TOKEN, COMPATIBILITY_DATE } from "../../scripts/runtime.mjs";
import { bin, install, root, run } from "./installed.mjs";

const sleep = (/** @type {number} */ ms) => new Promise((resolve) => setTimeout(resolve, ms));
const object = (/** @type {string} */ className) => ({ className, useSQLite: true });
const OBJECTS = { REFRESH_LEASE: object("RefreshLease"), METRICS: object("Metrics") };

let folder = "";
before(() => {
  folder = install(join(root, "tests", "package", "fixture"));
  const entries = ["main.ts", "caller.ts", "whole.ts", "hono.ts"].map((name) => join(folder, name));
  const words = ["--bundle", "--format=esm", "--conditions=workerd", "--external:cloudflare:*", "--loader:.wasm=copy"];
  run(bin("esbuild"), [
    ...entries,
    ...words,
    "--asset-names=[name]",
    `--outdir=${join(folder, "out")}`,
    "--log-level=warning",
  ]);
});

/** Starts Workers in one runtime; returns a function that sends a request to one of them. */
async function start(/** @type {any[]} */ workers) {
  const read = (/** @type {string} */ name) => readFileSync(join(folder, "out", name));
  const log = new Log(LogLevel.NONE);
  const runtime = new Miniflare(
    convertV4MiniflareOptions({
      log,
      cf: false,
      workers: workers.map(({ script, ...worker }) => ({
        modulesRoot: join(folder, "out"),
        modules: script && [
          { type: "ESModule", path: join(folder, "out", script), contents: read(script).toString() },
          { type: "CompiledWasm", path: join(folder, "out", "index_bg.wasm"), contents: read("index_bg.wasm") },
        ],
        compatibilityDate: COMPATIBILITY_DATE,
        unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }],
        ...worker,
      })),
    }),
  );
  try {
    await runtime.ready;
  } catch (error) {
    // Otherwise it would keep this process alive.
    await runtime.dispose();
    throw error;
  }
  const ask = async (/** @type {string} */ name, /** @type {string} */ path, init = {}) => {
    const url = new URL(path, await runtime.unsafeGetDirectURL(name));
    const began = performance.now();
    const response = await fetch(url, init);
    const text = await response.text();
    const isJson = /json/.test(response.headers.get("content-type") ?? "");
    const took = performance.now() - began;
    return {
      status: response.status,
      headers: response.headers,
      took,
      text,
      value: isJson ? JSON.parse(text) : undefined,
    };
  };
  // The types of a Worker's stub lack `scheduled`.
  const schedule = async (/** @type {string} */ name) => /** @type {any} */ (await runtime.getWorker(name)).scheduled();
  return { ask, schedule, stop: () => runtime.dispose() };
}

const main = (change = {}) => ({
  name: "main",
  script: "main.js",
  bindings: { ADMIN_TOKEN, FLUSH_INTERVAL: 1 },
  durableObjects: OBJECTS,
  ...change,
});
const post = (/** @type {unknown} */ body, headers = {}) => ({
  method: "POST",
  body: JSON.stringify(body),
  headers: { "content-type": "application/json", ...headers },
});

test("the fixture's types hold against the package's", () => {
  run(bin("tsc"), ["--project", join(folder, "tsconfig.json")]);
});

describe("withXFetch and cached", () => {
  let world;
  before(async () => (world = await start([main()])));
  after(() => world.stop());
  const ask = (path, init = undefined) => world.ask("main", path, init);

  test("a route is computed once, for every spelling of the body, and its handler sees the client's URL", async () => {
    const first = await ask("/route", post({ b: 1, a: 2 }, { "x-kept": "k", "x-other": "o" }));
    assert.match(first.headers.get("cache-status"), /fwd=miss; stored/);
    const second = await ask("/route", {
      ...post({}),
      body: ' {"a":2,\n"b":1}',
      headers: { ...post({}).headers, "x-kept": "k" },
    });
    assert.match(second.headers.get("cache-status"), /hit; ttl=/);
    assert.deepEqual(second.value, first.value);
    assert.deepEqual(first.value.body, { a: 2, b: 1 });
    assert.equal(first.value.kept, "k");
    assert.match(first.value.host, /^127\.0\.0\.1:\d+$/);
  });

  test("other methods and paths reach the handler unchanged", async () => {
    assert.equal((await ask("/route")).text, "handler: GET /route");
    assert.equal((await ask("/elsewhere", { ...post({}), method: "PUT" })).text, "handler: PUT /elsewhere");
  });

  test("a route may cache GET below a prefix, and the handler sees path and query", async () => {
    const first = await ask("/pages/a?page=2");
    assert.match(first.text, /^\/pages\/a\?page=2 \d+$/);
    assert.equal((await ask("/pages/a?page=2")).text, first.text);
    assert.match((await ask("/pages/a?page=2", { method: "HEAD" })).headers.get("cache-status"), /hit/);
    assert.equal((await ask("/pages/a?other=2")).status, 400);
    assert.equal((await ask("/pages/a", post({}))).text, "handler: POST /pages/a");
  });

  test("an unsafe method on a route whose answers say how long they live removes the entry that it changes", async () => {
    const get = async (path) => (await ask(path)).text;
    const [one, other] = [await get("/live/1"), await get("/live/2")];
    assert.equal(await get("/live/1"), one);
    assert.match((await ask("/live/1", { ...post({}), method: "PUT" })).text, /^PUT /);
    assert.notEqual(await get("/live/1"), one);
    assert.equal(await get("/live/2"), other);
  });

  test("a route that could match no request is an error with a sentence", async () => {
    const sentences = (await ask("/wrong")).value;
    assert.equal(sentences.length, 7);
    for (const sentence of sentences.slice(0, 5)) assert.match(sentence, /^xfetch-edge: the path of a route is /);
    for (const sentence of sentences.slice(5))
      assert.match(sentence, /^xfetch-edge: the methods of the route \/[bc] are /);
  });

  test("the admin paths are the cache's own", async () => {
    assert.deepEqual((await ask("/_xfetch/health")).value, { status: "ok" });
    const metrics = await ask("/_xfetch/metrics", { headers: { authorization: `Bearer ${ADMIN_TOKEN}` } });
    assert.ok(metrics.value.counters.total_requests > 0);
    assert.equal((await ask("/_xfetch/metrics")).status, 401);
  });

  test("a function is called once, then its value is stored; a stale value arrives at once and is refreshed", async () => {
    const first = await ask("/add?a=1&b=2");
    assert.deepEqual([first.value.sum, first.took > 190], [3, true]);
    assert.deepEqual((await ask("/add?a=1&b=2")).value, first.value);
    await sleep(2_300);
    const stale = await ask("/add?a=1&b=2");
    assert.deepEqual(stale.value, first.value);
    assert.ok(stale.took < 150, `a stale value took ${stale.took} ms`);
    await sleep(600);
    assert.equal((await ask("/add?a=1&b=2")).value.calls, first.value.calls + 1, "one refresh");
  });

  test("a burst at a new key calls the function once", async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask("/add?a=20&b=2")));
    assert.equal(new Set(answers.map(({ text }) => text)).size, 1);
  });

  test("`key` says what a result depends on", async () => {
    const [one, two] = [await ask("/first?a=x&b=1"), await ask("/first?a=x&b=2")];
    assert.deepEqual(one.value, two.value);
    assert.notDeepEqual((await ask("/first?a=y&b=1")).value, one.value);
  });

  test("the function's own error reaches its caller, and back-off the next", async () => {
    await ask("/mode?is=fail");
    assert.match((await ask("/add?a=9&b=9")).text, /RangeError: the function's own error/);
    assert.match((await ask("/add?a=9&b=9")).text, /the function add has no value/);
    await ask("/mode?is=ok");
  });

  test("wrong use is an error with a sentence", async () => {
    assert.match((await ask("/nothing")).text, /the result of the function nothing has undefined at "result"/);
    assert.match((await ask("/unkeyed?a=x")).text, /the key of unkeyed has undefined at "key"/);
    assert.match((await ask("/add?a=x&b=1")).text, /the key of add has NaN/);
    assert.match((await ask("/late")).text, /must be registered when the module is loaded/);
  });

  test("an optional argument that is undefined is the same as none, and so is such a property", async () => {
    const { one, same, at } = (await ask("/found?city=Bern")).value;
    assert.deepEqual(one, same);
    assert.deepEqual([one.days, at], [1, "1970-01-01T00:00:00.000Z"]);
    assert.match((await ask("/map")).text, /the key of found has a Map at "0"/);
  });

  test("a result that JSON cannot hold is an error, and an object of a class is what its properties are", async () => {
    const says = async (/** @type {string} */ kind) => (await ask(`/unheld?kind=${kind}`)).text;
    for (const [kind, shown] of [
      ["map", "a Map"],
      ["response", "a Response"],
      ["number", "NaN"],
      ["bytes", "a Uint8Array"],
    ]) {
      assert.match(await says(kind), new RegExp(`the result of the function unheld has ${shown} at "value"`), kind);
    }
    assert.equal(await says("point"), '{"value":{"x":1,"y":2}}');
  });

  test("a value that is too large is returned, and not stored", async () => {
    assert.equal((await ask("/large")).value, 1_100_000);
    assert.equal((await ask("/large")).value, 1_100_000);
  });

  test("a value of a function is purged by its name and its arguments", async () => {
    const calls = async () => (await ask("/add?a=7&b=7")).value.calls;
    const before = await calls();
    assert.equal(await calls(), before);
    const subject = { path: "/~xfetch/function/add/1", body: { args: [7, 7] }, hard: true };
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}` };
    assert.equal((await ask("/_xfetch/purge", post(subject, headers))).value.purged, true);
    assert.notEqual(await calls(), before);
  });

  test("errors of the user's own code do not fail the requests of others", async () => {
    const slow = ask("/slow", post({ request: 1 }));
    await sleep(100);
    assert.equal((await ask("/harm")).text, "harmed");
    const { status, headers } = await slow;
    assert.equal(status, 200);
    assert.match(headers.get("cache-status"), /fwd=miss; stored/);
  });

  test("what a handler throws is an error of the origin, not of the connection", async () => {
    const { status, value } = await ask("/throws", post({}));
    assert.deepEqual([status, value.code], [502, "origin_error"]);
  });

  test("other handlers are called on the user's own object", async () => {
    const before = (await ask("/scheduled")).value;
    await world.schedule("main");
    assert.equal((await ask("/scheduled")).value, before + 1);
  });

  test("no client reads or stores a function's value, also by a route that is a prefix of all paths", async () => {
    const { sum } = (await ask("/add?a=1&b=2")).value;
    for (const path of ["/~xfetch/function/add/1", "/%7Exfetch/function/add/1", "/~xfetch/f%75nction/add/1"]) {
      const answer = await ask(path, post({ args: [1, 2] }));
      assert.notEqual(answer.value?.sum, sum, path);
      assert.ok(answer.status === 400 || answer.text === `handler: POST ${path}`, `${path}: ${answer.text}`);
    }
  });
});

describe("entrypoint", () => {
  let world;
  before(async () => {
    const caller = {
      name: "caller",
      script: "caller.js",
      serviceBindings: { CACHE: { name: "main", entrypoint: "Cache" } },
    };
    world = await start([main(), caller]);
  });
  after(() => world.stop());
  const ask = (path) => world.ask("caller", path);

  test("a stale value arrives at once, and the refresh behind it still calls the caller's function", async () => {
    assert.equal((await ask("/key")).value.value.calls, 1);
    assert.equal((await ask("/key")).value.value.calls, 1);
    await sleep(2_300);
    const stale = await ask("/key");
    assert.equal(stale.value.value.calls, 1);
    assert.ok(stale.took < 200, `a stale value took ${stale.took} ms`);
    await sleep(800);
    assert.equal((await ask("/key")).value.value.calls, 2);
  });

  test("without the client module the call that starts a refresh waits for it, and others do not", async () => {
    const { calls } = (await ask("/plain")).value.value;
    await sleep(2_300);
    const refreshing = ask("/plain");
    await sleep(100);
    const other = await ask("/plain");
    assert.equal(other.value.value.calls, calls);
    assert.ok(other.took < 150, `another call took ${other.took} ms`);
    assert.equal((await refreshing).value.value.calls, calls + 1);
  });

  test("the caller's own error reaches it", async () => {
    assert.match((await ask("/fail")).text, /the caller's own error/);
    assert.match((await ask("/plain-fail")).text, /the caller's own error/);
  });
});

test("Hono: middleware before the cache answers every request, and what is cached depends on no client", async () => {
  const world = await start([main({ name: "hono", script: "hono.js" })]);
  const right = { authorization: "Bearer right" };
  const ask = (/** @type {string} */ path, init = {}) => world.ask("hono", path, init);
  try {
    assert.deepEqual((await ask("/slow", post({ a: 1 }))).value, { denied: true });
    const first = await ask("/slow", post({ a: 1 }, right));
    assert.deepEqual(first.value, { calls: 1, seen: [], body: { a: 1 } });
    const second = await ask("/slow", post({ a: 1 }, right));
    assert.match(second.headers.get("cache-status"), /hit/);
    assert.deepEqual(second.value, first.value);
    assert.deepEqual((await ask("/slow", post({ a: 1 }))).value, { denied: true });
    assert.equal((await ask("/slow", { headers: right })).text, "the app itself");
    assert.equal((await ask("/mounted/page", { headers: right })).value.calls, 2);
    assert.match((await ask("/mounted/page", { headers: right })).headers.get("cache-status"), /hit/);
    const itself = await ask("/itself", post({}, right));
    assert.match(itself.text, /xfetch needs an app of its own/);
  } finally {
    await world.stop();
  }
});

test("the whole Worker, with a function beside it, serves the environment's routes and hides the function's", async () => {
  const origin = (await import("../../examples/origin/server.mjs")).startOrigin;
  const { url, counts, close } = await origin({ settings: { latency: 50, spread: 0 } });
  const path = "/api/v1/brain/calculate";
  const bindings = { ADMIN_TOKEN, DEVELOPMENT: true, ORIGIN_URL: url, ROUTES: [{ path, ttl: 60 }] };
  const world = await start([{ ...main(), name: "whole", script: "whole.js", bindings }]);
  try {
    const question = post({ home_team: "Arsenal", away_team: "Chelsea", match_date: "2026-11-22" });
    assert.match((await world.ask("whole", path, question)).headers.get("cache-status"), /fwd=miss; stored/);
    assert.match((await world.ask("whole", path, question)).headers.get("cache-status"), /hit/);
    assert.equal(counts().calls, 1);
    assert.equal((await world.ask("whole", "/~xfetch/function/unused/1", post({ args: [] }))).status, 404);
  } finally {
    await world.stop();
    await close();
  }
});

test("a variable of the environment allows browsers of an origin, and a service reaches the routes of the handler", async () => {
  const bindings = { ADMIN_TOKEN, CORS_ORIGINS: "https://app.example" };
  const service = {
    name: "service",
    modules: [
      { type: "ESModule", path: "x.mjs", contents: "export default { fetch: (q, env) => env.CACHE.fetch(q) }" },
    ],
    modulesRoot: undefined,
    serviceBindings: { CACHE: { name: "main", entrypoint: "Cache" } },
  };
  const world = await start([main({ bindings }), service]);
  try {
    const headers = {
      origin: "https://app.example",
      "access-control-request-method": "POST",
      "access-control-request-headers": "content-type",
    };
    const preflight = await world.ask("main", "/route", { method: "OPTIONS", headers });
    assert.equal(preflight.headers.get("access-control-allow-origin"), "https://app.example");
    const first = await world.ask("main", "/route", post({ by: "service" }));
    const second = await world.ask("service", "/route", post({ by: "service" }));
    assert.match(second.headers.get("cache-status"), /hit/);
    assert.deepEqual(second.value, first.value);
  } finally {
    await world.stop();
  }
});

test("a missing binding gets the lines for wrangler.toml", async () => {
  const world = await start([main({ durableObjects: { METRICS: object("Metrics") } })]);
  try {
    const { status, value } = await world.ask("main", "/route", post({}));
    assert.equal(status, 503);
    assert.match(
      value.detail,
      /\[\[durable_objects\.bindings\]\]\nname = "REFRESH_LEASE"\nclass_name = "RefreshLease"/,
    );
    assert.match(value.detail, /new_sqlite_classes = \["RefreshLease"\]/);
    assert.match(value.detail, /"migrations": \[{ "tag": "xfetch-v1", "new_sqlite_classes": \["RefreshLease"\] }\]/);
    assert.match((await world.ask("main", "/elsewhere")).text, /^handler/, "other paths work");
  } finally {
    await world.stop();
  }
});

// Every row of the HTTP surface, with valid and with slightly wrong requests; `hostile` has more wrong ones. A refused
// request never reaches the origin.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, describe, test } from "node:test";

import { startOrigin } from "../../examples/origin/server.mjs";
import { Client } from "../../scripts/client.mjs";
import {
  ADMIN_TOKEN,
  PATH,
  assertProblem,
  assertSums,
  counters,
  inWorld,
  inspect,
  openWorld,
  purge,
  question,
  route,
  sleep,
} from "./world.mjs";
import { answered, begin, send } from "./wire.mjs";

const JSON_TYPE = { "content-type": "application/json" };

describe("a configured route", () => {
  let world;
  before(async () => {
    world = await openWorld({
      route: { headers: ["x-lang"], credential_headers: ["x-api-key"], max_request: 1_000 },
      vars: { CORS_ORIGINS: ["https://app.example"], FORWARD: ["/open", "/tree/"] },
    });
  });
  after(() => world.end());

  const post = (body, headers = {}, path = PATH) =>
    world.client.raw("POST", path, { body, headers: { ...JSON_TYPE, ...headers } });

  /** Checks that a request gets this status and code, and that it does not reach the origin. */
  async function refused(answer, status, code) {
    const calls = world.origin.counts().calls;
    const got = await answer();
    assertProblem(got, status, code);
    assert.equal(world.origin.counts().calls, calls);
    return got;
  }

  test("a miss is computed and stored, then hit, byte for byte, with Age, ETag and Cache-Status", async () => {
    const body = question();
    const miss = await post(body);
    assert.equal(miss.status, 200);
    assert.equal(miss.headers["cache-status"], "xfetch-edge; fwd=miss; stored");
    const hit = await post(body);
    assert.match(hit.headers["cache-status"], /^xfetch-edge; hit; ttl=[0-5]$/);
    assert.equal(hit.text, miss.text);
    assert.equal(hit.headers.etag, miss.headers.etag);
    assert.match(hit.headers.etag, /^"[0-9a-f]+"$/);
    assert.equal(hit.headers["cache-control"], "no-cache");
    assert.equal(hit.headers["content-type"], "application/json");
    assert.ok(Number(hit.headers.age) <= 2);
  });

  test("a matching If-None-Match gives 304, also weak and in a list, and never 412", async () => {
    const body = question();
    const { etag } = (await post(body)).headers;
    for (const field of [etag, `W/${etag}`, `"x", ${etag}`, "*"]) {
      const answer = await post(body, { "if-none-match": field });
      assert.equal(answer.status, 304, field);
      assert.equal(answer.text, "");
      assert.equal(answer.headers.etag, etag);
    }
    assert.equal((await post(body, { "if-none-match": '"other"' })).status, 200);
  });

  test("Range, preconditions, Accept and the request's Cache-Control change nothing", async () => {
    const body = question();
    const plain = await post(body);
    const headers = {
      range: "bytes=0-3",
      accept: "text/html",
      "cache-control": "no-store",
      pragma: "no-cache",
      "if-match": '"no"',
      "if-modified-since": "Thu, 01 Jan 2099 00:00:00 GMT",
      "if-unmodified-since": "Thu, 01 Jan 1970 00:00:00 GMT",
      "x-forwarded-host": "evil.example",
      "x-original-url": "/admin",
      "x-http-method-override": "DELETE",
      forwarded: "host=evil.example",
      origin: "https://evil.example",
    };
    const answer = await post(body, headers);
    assert.equal(answer.status, 200);
    assert.match(answer.headers["cache-status"], /hit/);
    assert.equal(answer.text, plain.text);
    assert.equal(answer.headers["access-control-allow-origin"], undefined);
    // The headers of a first request do not reach the origin either.
    await post(question(), headers);
    const seen = world.origin.counts().last_headers;
    for (const name of Object.keys(headers).filter((it) => it !== "accept")) assert.equal(seen[name], undefined, name);
    assert.equal(seen.accept, "application/json");
    assert.equal(seen["content-type"], "application/json");
    assert.equal(seen["cdn-loop"], "xfetch-edge");
  });

  test("the origin gets the canonical body and the route's headers, which are keyed", async () => {
    const body = question();
    await post(body, { "x-lang": "de" });
    assert.equal(world.origin.counts().last_headers["x-lang"], "de");
    const sorted = JSON.stringify(Object.fromEntries(Object.entries(JSON.parse(body)).sort()));
    assert.equal(world.origin.counts().last_body, sorted);
    assert.match((await post(body, { "x-lang": "fr" })).headers["cache-status"], /stored/);
    assert.match((await post(body)).headers["cache-status"], /stored/);
    assert.match((await post(body, { "x-lang": "de" })).headers["cache-status"], /hit/);
  });

  test("other methods are 405 with Allow, HEAD too; OPTIONS is 204", async () => {
    for (const method of ["GET", "PUT", "DELETE", "PATCH"]) {
      const answer = await refused(() => world.client.raw(method, PATH), 405, "method_not_allowed");
      assert.equal(answer.headers.allow, "POST, OPTIONS");
    }
    const head = await world.client.raw("HEAD", PATH);
    assert.equal(head.status, 405);
    const options = await world.client.raw("OPTIONS", PATH);
    assert.equal(options.status, 204);
    assert.equal(options.headers.allow, "POST, OPTIONS");
    assert.equal(options.headers["access-control-allow-origin"], undefined);
  });

  test("CORS is for the configured origins only", async () => {
    const preflight = await world.client.raw("OPTIONS", PATH, { headers: { origin: "https://app.example" } });
    assert.equal(preflight.headers["access-control-allow-origin"], "https://app.example");
    assert.match(preflight.headers["access-control-allow-headers"], /content-type, x-lang/);
    const answer = await post(question(), { origin: "https://app.example" });
    assert.equal(answer.headers["access-control-allow-origin"], "https://app.example");
    assert.match(answer.headers["access-control-expose-headers"], /Cache-Status/);
    assert.equal(answer.headers.vary, "Origin");
  });

  test("a content type may be written in any case, and name its charset", async () => {
    assert.equal((await post(question(), { "content-type": "Application/JSON; charset=UTF-8" })).status, 200);
  });

  test("the limit of the body's size is exact, with and without Content-Length", async () => {
    const sized = (size) => {
      const text = question();
      return text + " ".repeat(size - text.length);
    };
    assert.equal((await post(sized(1_000))).status, 200);
    await refused(() => post(sized(1_001)), 413, "body_too_large");
    const chunked = (text) => [Buffer.from(text.slice(0, 10)), Buffer.from(text.slice(10))];
    assert.equal((await post(/** @type {any} */ (ReadableStream).from(chunked(sized(1_000))), {})).status, 200);
    await refused(
      () => post(/** @type {any} */ (ReadableStream).from(chunked(sized(1_001))), {}),
      413,
      "body_too_large",
    );
  });

  test("credentials pass uncached, and are never part of what is stored", async () => {
    const body = question();
    for (const headers of [{ authorization: "Bearer x" }, { cookie: "a=1" }, { "x-api-key": "k" }]) {
      const answer = await post(body, headers);
      assert.equal(answer.status, 200);
      assert.equal(answer.headers["cache-status"], "xfetch-edge; fwd=bypass");
      const [[name, value]] = Object.entries(headers);
      assert.equal(world.origin.counts().last_headers[name], value);
    }
    assert.match((await post(body)).headers["cache-status"], /stored/);
    assert.equal(world.origin.counts().last_headers.cookie, undefined);
  });

  test("a request that has passed this cache before gets 508", async () => {
    await refused(() => post(question(), { "cdn-loop": "other, xfetch-edge; v=1" }), 508, "loop_detected");
  });

  test("a forwarded request keeps its method, query and body, and loses hop-by-hop headers", async () => {
    const seen = [];
    const target = createServer((request, response) => {
      const chunks = [];
      request.on("data", (chunk) => chunks.push(chunk));
      request.on("end", () => {
        seen.push({
          method: request.method,
          url: request.url,
          headers: request.headers,
          body: Buffer.concat(chunks).toString(),
        });
        if (request.url === "/open/moved") return response.writeHead(302, { location: "/open/elsewhere" }).end();
        response
          .writeHead(207, {
            "x-own": "1",
            "set-cookie": "a=1",
            connection: "x-hop, keep-alive",
            "x-hop": "1",
            "proxy-authenticate": "x",
          })
          .end("passed");
      });
    });
    await new Promise((resolve) => target.listen(0, "127.0.0.1", () => resolve(undefined)));
    try {
      await inWorld(
        { vars: { ORIGIN_URL: `http://127.0.0.1:${/** @type {any} */ (target.address()).port}`, FORWARD: ["/open"] } },
        async ({ client }) => {
          const answer = await client.raw("PUT", "/open/a?b=1", {
            body: "text",
            headers: { "x-client": "1", te: "trailers" },
          });
          assert.equal(answer.status, 207);
          assert.equal(answer.text, "passed");
          assert.equal(answer.headers["x-own"], "1");
          assert.equal(answer.headers["cache-status"], "xfetch-edge; fwd=bypass");
          assert.deepEqual(
            [answer.headers["x-hop"], answer.headers["proxy-authenticate"]],
            [undefined, undefined],
            "hop-by-hop headers",
          );
          const [request] = seen;
          assert.deepEqual([request.method, request.url, request.body], ["PUT", "/open/a?b=1", "text"]);
          assert.equal(request.headers["x-client"], "1");
          assert.equal(request.headers.te, undefined);
          assert.match(request.headers["cdn-loop"], /xfetch-edge/);
          for (const path of [
            "/opener",
            "/open%2f..%2fadmin",
            "/open/%2e%2e%2fx",
            "/open/a%5cb",
            "/open//x",
            "/open/%252e%252e/x",
          ]) {
            const refusal = await client.raw("GET", path);
            assert.ok([400, 404].includes(refusal.status), path);
          }
          assert.equal(seen.length, 1);
          const moved = await client.raw("GET", "/open/moved");
          assert.deepEqual([moved.status, moved.headers.location], [302, "/open/elsewhere"]);
          assert.equal(seen.length, 2, "redirects are left to the client");
        },
      )();
    } finally {
      target.close();
    }
  });

  test("a keyed header has at most 1,024 bytes", async () => {
    await refused(() => post(question(), { "x-lang": "x".repeat(1_025) }), 431, "header_too_large");
    assert.equal((await post(question(), { "x-lang": "x".repeat(1_024) })).status, 200);
    assert.equal((await post(question(), { "x-other": "x".repeat(1_025) })).status, 200, "other headers are ignored");
  });

  test("a forwarded GET may have Content-Length: 0, but no body", async () => {
    const ask = (method, rest) => answered(send(world.client.base, `${method} /open/x HTTP/1.1\r\nHost: x\r\n${rest}`));
    for (const method of ["GET", "HEAD"]) {
      // The example origin does not know the path, so its 404 is passed on.
      const passed = await ask(method, "Content-Length: 0\r\n\r\n");
      assert.match(passed, /^HTTP\/1\.1 404 /);
      assert.match(passed, /fwd=bypass/i);
      for (const rest of ["Content-Length: 2\r\n\r\n{}", "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"]) {
        const answer = await ask(method, rest);
        assert.match(answer, /^HTTP\/1\.1 400 /);
        assert.doesNotMatch(answer, /fwd=bypass/i);
        if (method === "GET") assert.match(answer, /body_not_allowed/);
      }
    }
  });

  test("admin paths need the token; health shows only its status without it", async () => {
    const brief = await world.client.raw("GET", "/_xfetch/health");
    assert.deepEqual([brief.status, JSON.parse(brief.text)], [200, { status: "ok" }]);
    for (const [method, path] of [
      ["GET", "metrics"],
      ["POST", "metrics/reset"],
      ["POST", "purge"],
      ["POST", "inspect"],
      ["POST", "explain"],
      ["GET", "other"],
    ]) {
      for (const headers of [
        {},
        { authorization: "Bearer wrong" },
        { authorization: `Basic ${ADMIN_TOKEN}` },
        { authorization: `Bearer ${ADMIN_TOKEN}x` },
      ]) {
        const answer = await world.client.raw(method, `/_xfetch/${path}?token=${ADMIN_TOKEN}`, { headers });
        assertProblem(answer, 401, "unauthorized");
        assert.match(answer.headers["www-authenticate"], /^Bearer/);
      }
    }
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}` };
    for (const path of ["metrics/reset", "purge", "inspect", "explain"]) {
      const answer = await world.client.raw("GET", `/_xfetch/${path}`, { headers });
      assertProblem(answer, 405, "method_not_allowed");
      assert.equal(answer.headers.allow, "POST");
    }
    assertProblem(await world.client.raw("GET", "/_xfetch/other", { headers }), 404, "not_found");
    assertProblem(await world.client.raw("POST", "/_xfetch/purge", { headers, body: "x" }), 400, "bad_body");
    assertProblem(
      await world.client.raw("POST", "/_xfetch/purge", { headers, body: '{"path":"/x","body":{}}' }),
      404,
      "unknown_route",
    );
    const twice = JSON.stringify({
      path: PATH,
      body: JSON.parse(question()),
      headers: { "x-lang": "de", "X-Lang": "fr" },
    });
    assertProblem(await world.client.raw("POST", "/_xfetch/purge", { headers, body: twice }), 400, "bad_body");
  });

  test("health with the token tries every part, within two seconds", async () => {
    const began = Date.now();
    const health = await world.client.admin("GET", "health");
    assert.ok(Date.now() - began < 2_000);
    assert.deepEqual(health.checks, {
      configuration: "ok",
      cache_api: "ok",
      refresh_lease: "ok",
      metrics: "ok",
      origin: "ok",
    });
    assert.equal(health.service, "xfetch-edge");
  });

  for (const [name, route, latency, isSlow] of /** @type {const} */ ([
    ["a computation that is short for its TTL", { ttl: 10 }, 300, false],
    ["a computation that takes more than half of the TTL", { ttl: 1 }, 700, true],
    ["computations that time out", { ttl: 1, origin_timeout: 0.6 }, 2_000, true],
  ])) {
    test(
      `health tells the measured cost: ${name}`,
      inWorld({ route, origin: { latency } }, async ({ client }) => {
        const before = (await client.admin("GET", "health")).routes[0];
        assert.deepEqual([before.delta, before.delta_near_ttl], [null, false], "nothing is measured yet");
        await client.ask(question());
        const after = (await client.admin("GET", "health")).routes[0];
        const expected = Math.min(latency, (route.origin_timeout ?? 20) * 1e3) / 1e3;
        assert.ok(after.delta >= expected - 0.02 && after.delta < expected + 1, `${after.delta} s`);
        assert.equal(after.delta_near_ttl, after.delta > route.ttl / 2);
        assert.equal(after.delta_near_ttl, isSlow);
      }),
    );
  }

  test("inspect shows each tier, and a purge reaches all of them", async () => {
    const body = question();
    await post(body);
    const entry = (await inspect(world.client, body)).memory.entry;
    assert.equal(entry.verdict, "fresh");
    const seen = await inspect(world.client, body);
    assert.equal(seen.colo.entry.generation, entry.generation);
    assert.equal(seen.object.holds.generation, entry.generation);
    const soft = await purge(world.client, body, false);
    assert.ok(soft.purged && soft.floor > entry.generation);
    const stale = await post(body);
    assert.match(stale.headers["cache-status"], /detail=stale/);
    await purge(world.client, body, true);
    const gone = await inspect(world.client, body);
    assert.deepEqual([gone.memory.entry, gone.colo.entry, gone.object.holds.generation], [null, null, null]);
    assert.match((await post(body)).headers["cache-status"], /stored/);
  });

  test("explain says what a request would get and why, before and after each step, and changes nothing", async () => {
    const body = question();
    const explain = () => world.client.admin("POST", "explain", { path: PATH, body: JSON.parse(body) });
    const cold = await explain();
    assert.deepEqual([cold.answer, cold.generation, cold.refresh], ["computes", null, null]);
    assert.equal(cold.path, PATH);
    assert.deepEqual(JSON.parse(cold.body), JSON.parse(body));
    assert.ok(
      cold.why.some((it) => /computes one under the object's lease/.test(it)),
      cold.why.join(" "),
    );
    assert.ok(cold.why.some((it) => /would grant the lease/.test(it)));
    assert.match((await post(body)).headers["cache-status"], /stored/);

    const before = await counters(world.client);
    const fresh = await explain();
    assert.deepEqual([fresh.answer, fresh.refresh_probability, fresh.refresh], ["fresh_hit", 0, null]);
    assert.equal(fresh.generation, fresh.memory.entry.generation);
    assert.ok(fresh.early_window_opens > 0 && fresh.early_window_opens <= 5);
    const opens = Date.parse(fresh.early_window_opens_at) - Date.now();
    assert.ok(Math.abs(opens - 1_000 * fresh.early_window_opens) < 1_500, fresh.early_window_opens_at);
    assert.ok(!fresh.why.some((it) => /purge/.test(it)));
    assert.ok(
      fresh.why.some((it) => /from memory; it expires in \d+\.\d s/.test(it)),
      fresh.why.join(" "),
    );
    assert.equal((await counters(world.client)).total_requests, before.total_requests);

    await purge(world.client, body, false);
    const stale = await explain();
    assert.deepEqual([stale.answer, stale.refresh_probability, stale.refresh], ["stale_hit", 1, "begins"]);
    assert.ok(
      stale.why.some((it) => /A purge made the generations below \d+ stale/.test(it)),
      stale.why.join(" "),
    );
    assert.match((await post(body)).headers["cache-status"], /detail=stale/);
  });

  test("explain knows credentials, and the limit of a body", async () => {
    const body = JSON.parse(question());
    const explain = (/** @type {any} */ more) => world.client.admin("POST", "explain", { path: PATH, body, ...more });
    for (const name of ["Authorization", "cookie", "X-Api-Key"]) {
      const explained = await explain({ headers: { [name]: "a" } });
      assert.equal(explained.answer, "bypass");
      assert.match(explained.why[0], new RegExp(`credential ${name.toLowerCase()}, so it goes to the origin`));
    }
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}` };
    const ask = (/** @type {any} */ value) =>
      world.client.raw("POST", "/_xfetch/explain", { headers, body: JSON.stringify({ path: PATH, ...value }) });
    const odd = await ask({ body, headers: { accept: "a" } });
    assertProblem(odd, 400, "bad_body");
    assert.match(JSON.parse(odd.text).detail, /the headers of this route.s keys are x-lang/);
    assertProblem(await ask({ body: { ...body, home_team: "x".repeat(70_000) } }), 413, "body_too_large");
  });

  test("explain says what a request gets in an isolate that knows nothing of the key yet", async () => {
    for (const [name, route, prepare, wanted, status] of /** @type {[string, any, any, any, RegExp][]} */ ([
      [
        "a stale entry at the object alone",
        { ttl: 1, stale_while_revalidate: 600 },
        () => sleep(1_200),
        { answer: "stale_hit", refresh_probability: 1, refresh: "begins" },
        /hit; ttl=-\d+; detail=stale/,
      ],
      [
        "an entry that only an error may serve, and a failure",
        { ttl: 1, stale_while_revalidate: 0, stale_if_error: 600 },
        async (/** @type {any} */ world, /** @type {string} */ body) => {
          await sleep(1_200);
          world.origin.set({ mode: "status", status: 503, retry_after: 60 });
          assert.match((await world.clients[0].ask(body)).cacheStatus, /fwd=stale/);
        },
        { answer: "stale_hit", refresh_probability: 0, refresh: null },
        /fwd=stale/,
      ],
      [
        "an entry past all its windows",
        { ttl: 1, stale_while_revalidate: 0, stale_if_error: 0 },
        () => sleep(1_200),
        { answer: "computes", refresh_probability: 0, refresh: null },
        /fwd=miss/,
      ],
    ])) {
      await inWorld({ route, colos: [{}, {}] }, async (/** @type {any} */ world) => {
        const body = question();
        await world.clients[0].ask(body);
        await prepare(world, body);
        const explained = await world.clients[1].admin("POST", "explain", { path: PATH, body: JSON.parse(body) });
        for (const [key, value] of Object.entries(wanted)) assert.equal(explained[key], value, `${name}: ${key}`);
        assert.match((await world.clients[1].ask(body)).cacheStatus, status, name);
      })();
    }
  });

  test("Prometheus text has every counter, with its type", async () => {
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}` };
    const json = await counters(world.client);
    for (const [path, extra] of /** @type {[string, any][]} */ ([
      ["metrics?format=prometheus", {}],
      ["metrics", { accept: "text/plain" }],
    ])) {
      const answer = await world.client.raw("GET", `/_xfetch/${path}`, { headers: { ...headers, ...extra } });
      assert.match(answer.headers["content-type"], /^text\/plain; version=0\.0\.4/);
      for (const name of Object.keys(json))
        assert.match(answer.text, new RegExp(`^# TYPE ${name} counter\n${name} \\d+$`, "m"));
      assert.match(answer.text, /^answer_milliseconds_bucket\{le="\+Inf"\} \d+$/m);
      assert.match(answer.text, /^metrics_since_seconds\{epoch="[0-9a-f]+"\} \d+$/m);
    }
    assertProblem(await world.client.raw("GET", "/_xfetch/metrics?format=xml", { headers }), 400, "unknown_format");
  });

  test("a slow body gets 408 after ten seconds, with a length or in chunks, and delays no other request", async () => {
    const slow = async (length, sent) => {
      const began = performance.now();
      const socket = begin(world.client.base, length, sent);
      // The body continues, one byte at a time.
      const timer = setInterval(() => socket.write(length.startsWith("Transfer") ? "1\r\n \r\n" : " "), 3_000);
      socket.on("close", () => clearInterval(timer));
      return { text: await answered(socket), ms: performance.now() - began };
    };
    const announced = () => slow("Content-Length: 100", "{");
    // Resets the request whose `waitUntil` runs the watch over slow bodies, so that another must take it over.
    const watch = begin(world.client.base, "Content-Length: 100", "{").on("error", () => {});
    setTimeout(() => watch.resetAndDestroy(), 1_500);
    const first = announced();
    await sleep(2_500);
    const others = [slow("Transfer-Encoding: chunked", "1\r\n{\r\n"), ...Array.from({ length: 80 }, announced)];
    await sleep(300);
    const served = await post(question());
    assert.ok(served.status === 200 && served.ms < 2_000, "others are served meanwhile");
    for (const { text, ms } of await Promise.all([first, ...others])) {
      assert.match(text, /^HTTP\/1\.1 408 /);
      assert.match(text, /body_too_slow/);
      assert.ok(ms > 9_900 && ms < 20_000, `${ms} ms`);
    }
  });

  test("the sums hold after all of this", async () => assertSums(await counters(world.client)));
});

test("credentials may be refused or ignored", async () => {
  for (const [credentials, check] of /** @type {[string, (answer: any) => void][]} */ ([
    ["refuse", (answer) => assertProblem(answer, 403, "credentials_not_allowed")],
    ["ignore", (answer) => assert.match(answer.headers["cache-status"], /stored/)],
  ])) {
    await inWorld({ route: { credentials } }, async ({ client, origin }) => {
      check(await client.raw("POST", PATH, { body: question(), headers: { ...JSON_TYPE, cookie: "a=1" } }));
      assert.notEqual(origin.counts().last_headers?.cookie, "a=1");
    })();
  }
});

test("without a token configured the admin paths do not exist", async () => {
  for (const ADMIN of [undefined, ""]) {
    await inWorld({ vars: { ADMIN_TOKEN: ADMIN } }, async ({ client }) => {
      assert.equal((await client.raw("GET", "/_xfetch/health")).status, 200);
      for (const path of ["metrics", "purge", "inspect"]) {
        assertProblem(
          await client.raw("POST", `/_xfetch/${path}`, { headers: { authorization: "Bearer " } }),
          404,
          "not_found",
        );
      }
    })();
  }
});

test("F21: the refusal for a missing binding names it", async () => {
  for (const binding of ["REFRESH_LEASE", "METRICS"]) {
    const prelude = `globalThis.wrapEnv = (env) => Object.create(env, { ${binding}: { value: undefined } });`;
    await inWorld({ prelude }, async ({ client, origin }) => {
      for (const [method, path] of [
        ["POST", PATH],
        ["GET", "/_xfetch/health"],
      ]) {
        const answer = await client.raw(method, path, {
          body: method === "POST" ? question() : undefined,
          headers: JSON_TYPE,
        });
        assertProblem(answer, 503, "configuration_refused");
        assert.match(JSON.parse(answer.text).detail, new RegExp(binding));
      }
      assert.equal(origin.counts().calls, 0);
    })();
  }
});

test("F21: a refused configuration answers everything with one sentence that names the setting", async () => {
  /** @type {[any, RegExp][]} */
  const cases = [
    [{ ROUTES: [route({ ttl: "abc" })] }, /ROUTES\[0\]\.ttl is "abc"/],
    [{ ROUTES: [route({ beta: "NaN" })] }, /ROUTES\[0\]\.beta/],
    [{ ROUTES: [route({ origin_timeout: 25 })] }, /ROUTES\[0\]\.origin_timeout is 25/],
    [{ ROUTES: [route({ tll: 5 })] }, /ROUTES\[0\]\.tll/],
    [{ ROUTES: "nonsense" }, /ROUTES/],
    [{ ROUTES: [] }, /ROUTES/],
    [{ ORIGIN_URL: undefined }, /ORIGIN_URL is missing/],
    [{ ORIGIN_URL: "file:///etc/passwd" }, /ORIGIN_URL/],
    [{ ORIGIN_URL: "https://user:pass@origin.example" }, /ORIGIN_URL is not acceptable/],
    [{ ORIGIN_URL: "https://10.0.0.1" }, /private/],
    [{ ORIGIN_URL: "http://origin.example" }, /https/],
    [{ ORIGIN_URL: "http://127.0.0.1:1", DEVELOPMENT: false }, /loopback/],
    [{ ADMIN_TOKEN: "short" }, /ADMIN_TOKEN is not acceptable/],
    [{ ORIGIN_HEADERS: "{" }, /ORIGIN_HEADERS/],
    [{ FORWARD: ["/_xfetch"] }, /FORWARD/],
  ];
  for (const [vars, sentence] of cases) {
    await inWorld({ vars }, async ({ client, runtime }) => {
      for (const [method, path] of [
        ["POST", PATH],
        ["GET", "/_xfetch/health"],
        ["GET", "/"],
      ]) {
        const answer = await client.raw(method, path, {
          body: method === "POST" ? question() : undefined,
          headers: JSON_TYPE,
        });
        assertProblem(answer, 503, "configuration_refused");
        assert.match(JSON.parse(answer.text).detail, sentence);
      }
      assert.ok(
        runtime.logs.some(({ message }) => sentence.test(message)),
        "it is in the log",
      );
    })();
  }
});

test("an origin that is this Worker itself is refused", async () => {
  const first = await startOrigin();
  await first.close();
  await inWorld({}, async ({ runtime }) => {
    // The request's Host is the host of the Worker's own origin.
    const client = new Client(runtime.url, { path: PATH });
    const host = new URL((await inspectOrigin(runtime)) ?? runtime.url).host;
    const answer = await client.raw("POST", PATH, { body: question(), headers: { ...JSON_TYPE, host } });
    assertProblem(answer, 503, "configuration_refused");
    await client.close();
  })();
});

async function inspectOrigin(runtime) {
  const answer = await new Client(runtime.url, { path: PATH, token: ADMIN_TOKEN }).admin("POST", "inspect", {
    path: PATH,
    body: { home_team: "A" },
  });
  return JSON.parse(answer.canonical)[1];
}

test("without the page's files, or with the page off, / is not found", async () => {
  for (const vars of [{ PAGE: true }, {}]) {
    await inWorld({ vars }, async ({ client }) => assertProblem(await client.raw("GET", "/"), 404, "not_found"))();
  }
});

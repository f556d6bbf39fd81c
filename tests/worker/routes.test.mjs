// What routes cache: GET, HEAD, QUERY, and parts of JSON bodies, against real workerd and an HTTP origin whose answers each test scripts.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, beforeEach, describe, test } from "node:test";

import { ADMIN_TOKEN, startRuntime } from "../../scripts/runtime.mjs";
import { assertProblem, counters, eventually, sleep } from "./world.mjs";
import { Client } from "../../scripts/client.mjs";

const ROUTES = [
  {
    path: "/articles/*",
    methods: ["GET"],
    policy: "route",
    ttl: 60,
    query: ["page", "lang"],
    content_types: ["*/*"],
    headers: ["x-lang"],
  },
  { path: "/short", methods: ["GET"], policy: "route", ttl: 1, stale_while_revalidate: 600, content_types: ["text/*"] },
  { path: "/drop", methods: ["GET"], policy: "route", query: "none", query_other: "drop" },
  { path: "/ask", methods: ["GET", "QUERY", "POST"], policy: "route" },
  { path: "/ask-only", methods: ["QUERY"] },
  { path: "/tree/*" },
  { path: "/tree/exact", fields: ["only"] },
  { path: "/chat", fields: ["model", "/messages", "/options/lang"] },
  { path: "/ignoring", ignore: ["user", "/metadata/trace"] },
];
const JSON_TYPE = { "content-type": "application/json" };

/** What the origin was asked, and what it answers. @type {{ method: string, url: string, headers: any, body: string }[]} */
let asked = [];
/** @type {(request: any, response: import("node:http").ServerResponse) => void} */
let answer = () => {};
let latency = 0;

const text = (/** @type {string} */ body, headers = {}) => {
  answer = (_, response) => {
    response.writeHead(200, { "content-type": "text/plain", ...headers });
    response.end(body);
  };
};

const server = createServer((request, response) => {
  let body = "";
  request.on("data", (chunk) => (body += chunk));
  request.on("end", async () => {
    const seen = { method: request.method ?? "", url: request.url ?? "", headers: request.headers, body };
    asked.push(seen);
    if (latency > 0) await sleep(latency);
    answer(seen, response);
  });
});

describe("routes", () => {
  let runtime;
  /** @type {Client[]} */
  let clients = [];
  let places = 0;
  /** A path that no other test asks for. */
  const article = () => `/articles/${(places += 1)}`;
  /** @type {(method: string, path: string, init?: any, colo?: number) => Promise<any>} */
  const ask = (method, path, init = {}, colo = 0) => clients[colo].raw(method, path, init);
  const get = (/** @type {string} */ path, headers = {}) => ask("GET", path, { headers });

  before(async () => {
    await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
    const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
    const vars = { ORIGIN_URL: `http://127.0.0.1:${port}`, ROUTES, CORS_ORIGINS: ["https://app.example"] };
    runtime = await startRuntime({ vars, colos: [{}, {}] });
    clients = runtime.urls.map((url) => new Client(url, { path: "/ask", token: ADMIN_TOKEN, connections: 64 }));
  });
  after(async () => {
    for (const client of clients) await client.close();
    await runtime.stop();
    server.closeAllConnections();
    server.close();
  });
  beforeEach(() => {
    asked = [];
    latency = 0;
    text("hello");
  });

  test("a GET is computed once and then answered from its entry, byte for byte", async () => {
    const path = article();
    const bytes = Buffer.from([0, 255, 128, 10, 13]);
    answer = (_, response) => {
      response.writeHead(200, { "content-type": "image/png", "last-modified": "Sun, 06 Nov 1994 08:49:37 GMT" });
      response.end(bytes);
    };
    const first = await get(path);
    assert.equal(first.status, 200);
    assert.match(first.headers["cache-status"], /fwd=miss; stored/);
    const second = await get(path);
    assert.match(second.headers["cache-status"], /hit; ttl=\d+/);
    assert.equal(second.headers["content-type"], "image/png");
    assert.equal(second.headers["accept-ranges"], "bytes");
    assert.equal(second.headers["content-length"], "5");
    assert.equal(second.text, bytes.toString());
    assert.equal(asked.length, 1);
    assert.deepEqual([asked[0].method, asked[0].url, asked[0].body], ["GET", path, ""]);
    assert.equal(asked[0].headers["content-type"], undefined);
    assert.equal(asked[0].headers.accept, "*/*");
  });

  test("a stale GET is answered at once and refreshed behind the answer", async () => {
    text("one");
    await get("/short");
    await sleep(1_100);
    text("two");
    latency = 300;
    const began = performance.now();
    const stale = await get("/short");
    assert.deepEqual([stale.text, performance.now() - began < 250], ["one", true]);
    assert.match(stale.headers["cache-status"], /detail=stale/);
    await eventually("the refresh", async () => (await get("/short")).text === "two");
  });

  test("HEAD is answered from the entry of GET, and a miss of HEAD computes by GET", async () => {
    const path = article();
    text("twelve bytes");
    const head = await ask("HEAD", path);
    assert.deepEqual([head.status, head.text, head.headers["content-length"]], [200, "", "12"]);
    assert.match(head.headers["cache-status"], /stored/);
    const body = await get(path);
    assert.equal(body.text, "twelve bytes");
    assert.match(body.headers["cache-status"], /hit/);
    assert.equal((await ask("HEAD", path)).headers.etag, body.headers.etag);
    assert.deepEqual(
      asked.map(({ method }) => method),
      ["GET"],
    );
  });

  test("keyed parameters share an entry in any order and spelling, and others are refused", async () => {
    const path = article();
    await get(`${path}?page=2&lang=de`);
    for (const query of ["lang=de&page=2", "&&lang=d%65&page=2&", "l%61ng=de&page=2"]) {
      assert.match((await get(`${path}?${query}`)).headers["cache-status"], /hit/, query);
    }
    assert.match((await get(`${path}?page=2&lang=en`)).headers["cache-status"], /stored/);
    assertProblem(await get(`${path}?page=2&utm_source=x`), 400, "parameter_not_allowed");
    assert.deepEqual(
      asked.map(({ url }) => url),
      [`${path}?lang=de&page=2`, `${path}?lang=en&page=2`],
    );
  });

  test("a route may drop parameters, which are then neither keyed nor sent", async () => {
    answer = (_, response) => response.writeHead(200, JSON_TYPE).end("{}");
    assert.equal((await get("/drop?utm_source=a")).status, 200);
    assert.match((await get("/drop?utm_source=b&x")).headers["cache-status"], /hit/);
    assert.deepEqual(
      asked.map(({ url }) => url),
      ["/drop"],
    );
  });

  test("equivalent escapes are one entry, and a path that servers read differently is refused", async () => {
    const path = article();
    await get(`${path}/%7euser`);
    assert.match((await get(`${path}/~user`)).headers["cache-status"], /hit/);
    for (const bad of ["/articles/..%2fadmin", "/articles/a%2fb", "/articles//a", "/articles/a%5cb", "/articles/%00"]) {
      assertProblem(await get(bad), 400, "ambiguous_path");
    }
    assert.equal(asked.length, 1);
  });

  test("an escaped spelling of another route's path does not get around that route", async () => {
    assertProblem(await ask("POST", "/tree/%65xact", { body: "{}", headers: JSON_TYPE }), 400, "ambiguous_path");
    assert.equal(asked.length, 0);
  });

  test("keyed headers have entries of their own, and no other header reaches the origin", async () => {
    const path = article();
    answer = ({ headers }, response) =>
      response.writeHead(200, { "content-type": "text/plain" }).end(headers["x-lang"]);
    const hostile = { "x-forwarded-host": "evil", "user-agent": "evil", accept: "text/evil" };
    assert.equal((await get(path, { "x-lang": "de", ...hostile })).text, "de");
    assert.equal((await get(path, { "x-lang": "en" })).text, "en");
    assert.equal((await get(path, { "x-lang": "de" })).text, "de");
    assert.equal(asked.length, 2);
    assert.doesNotMatch(JSON.stringify(asked.map(({ headers }) => headers)), /evil/);
  });

  test("conditional requests are answered by the cache, in the order of the RFC", async () => {
    const path = article();
    const modified = "Sun, 06 Nov 1994 08:49:37 GMT";
    text("x", { "last-modified": modified });
    const { etag } = (await get(path)).headers;
    const status = async (headers) => (await get(path, headers)).status;
    assert.equal(await status({ "if-none-match": etag }), 304);
    assert.equal(await status({ "if-none-match": '"other"' }), 200);
    assert.equal(await status({ "if-modified-since": modified }), 304);
    assert.equal(await status({ "if-modified-since": "Sun, 06 Nov 1994 08:49:36 GMT" }), 200);
    assert.equal(await status({ "if-none-match": '"other"', "if-modified-since": modified }), 200);
    assert.equal(await status({ "if-none-match": etag, "if-modified-since": "Sat, 05 Nov 1994 00:00:00 GMT" }), 304);
    assert.equal((await ask("HEAD", path, { headers: { "if-none-match": etag } })).status, 304);
    assert.equal(asked.length, 1);
  });

  test("ranges are cut from the whole entry, and never asked of the origin", async () => {
    const path = article();
    text("0123456789", { "last-modified": "Sun, 06 Nov 1994 08:49:37 GMT" });
    const first = await get(path, { range: "bytes=2-4" });
    assert.deepEqual([first.status, first.text], [206, "234"], "also on a miss");
    assert.equal(first.headers["content-range"], "bytes 2-4/10");
    assert.equal(first.headers["content-length"], "3");
    assert.equal(asked[0].headers.range, undefined);
    const several = await get(path, { range: "bytes=0-0,-2" });
    const boundary = /^multipart\/byteranges; boundary=(.+)$/.exec(several.headers["content-type"])?.[1];
    const part = (range, body) =>
      `--${boundary}\r\ncontent-type: text/plain\r\ncontent-range: ${range}\r\n\r\n${body}\r\n`;
    assert.equal(several.text, part("bytes 0-0/10", "0") + part("bytes 8-9/10", "89") + `--${boundary}--\r\n`);
    const beyond = await get(path, { range: "bytes=10-" });
    assertProblem(beyond, 416, "range_not_satisfiable");
    assert.equal(beyond.headers["content-range"], "bytes */10");
    const { etag } = several.headers;
    for (const [condition, status] of /** @type {[string, number][]} */ ([
      [etag, 206],
      ['"other"', 200],
      ["Sun, 06 Nov 1994 08:49:37 GMT", 206],
      ["Mon, 07 Nov 1994 08:49:37 GMT", 200],
    ])) {
      assert.equal((await get(path, { range: "bytes=0-0", "if-range": condition })).status, status, condition);
    }
    const flood = Array.from({ length: 500 }, (_, at) => `${at}-${at}`).join(",");
    for (const range of [`bytes=${flood}`, "bytes=0-,0-,0-", "bytes=5-2", "lines=1-2"]) {
      assert.deepEqual([(await get(path, { range })).status, (await get(path, { range })).text], [200, "0123456789"]);
    }
    assert.equal((await ask("HEAD", path, { headers: { range: "bytes=0-1" } })).headers["content-length"], "10");
    assert.equal(asked.length, 1);
  });

  test("what a route does not store passes, and goes uncached for a while", async () => {
    answer = (_, response) => response.writeHead(200, { "content-type": "image/png" }).end("png");
    const first = await get("/short?image");
    assert.deepEqual([first.status, first.text, first.headers["content-type"]], [200, "png", "image/png"]);
    assert.match(first.headers["cache-status"], /fwd=bypass/);
    assert.match((await get("/short?image")).headers["cache-status"], /fwd=bypass/);
    assert.equal(asked.length, 2);
  });

  test("bad requests get a clear error, and nothing reaches the origin", async () => {
    const path = article();
    const refused = await ask("PUT", path, { body: "{}", headers: JSON_TYPE });
    assertProblem(refused, 405, "method_not_allowed");
    assert.equal(refused.headers.allow, "GET, HEAD, OPTIONS");
    assertProblem(await get(`${path}?page=${"x".repeat(9_000)}`), 414, "target_too_long");
    assertProblem(await get(path, { "x-lang": "x".repeat(2_000) }), 431, "header_too_large");
    assertProblem(await ask("POST", "/ask?x=1", { body: "{}", headers: JSON_TYPE }), 400, "query_not_allowed");
    assert.equal(asked.length, 0);
  });

  test("requests with credentials pass with path, query and method, and are not stored", async () => {
    const path = `${article()}?page=1&other=2`;
    answer = ({ headers }, response) => response.writeHead(200).end(headers.authorization);
    for (const token of ["Bearer a", "Bearer b"]) {
      const own = await get(path, { authorization: token });
      assert.deepEqual([own.text, own.headers["cache-status"]], [token, "xfetch-edge; fwd=bypass"]);
    }
    assert.deepEqual(
      asked.map(({ url }) => url),
      [path, path],
    );
  });

  test("a POST route may be a prefix, and its path is part of the key", async () => {
    answer = ({ url }, response) => response.writeHead(200, JSON_TYPE).end(JSON.stringify({ url }));
    const post = (path) => ask("POST", path, { body: "{}", headers: JSON_TYPE });
    assert.equal((await post("/tree/a")).text, '{"url":"/tree/a"}');
    assert.equal((await post("/tree/b")).text, '{"url":"/tree/b"}');
    assert.match((await post("/tree/%61")).headers["cache-status"], /hit/);
    assertProblem(await get("/tree/a"), 405, "method_not_allowed");
  });

  describe("parts of a body", () => {
    const post = (/** @type {string} */ path, /** @type {unknown} */ body) =>
      ask("POST", path, { body: typeof body === "string" ? body : JSON.stringify(body), headers: JSON_TYPE });
    const echo = () => {
      answer = ({ body }, response) => response.writeHead(200, JSON_TYPE).end(body);
    };

    test("fields may be of any shape and lie deeper, and everything else is refused", async () => {
      echo();
      const chat = { model: "m", messages: [{ role: "user", content: "x".repeat(2_000) }], options: { lang: "de" } };
      assert.deepEqual(JSON.parse((await post("/chat", chat)).text), chat);
      const reordered = JSON.stringify(Object.fromEntries(Object.entries(chat).reverse()), null, 1);
      assert.match((await post("/chat", reordered)).headers["cache-status"], /hit/);
      assert.equal(asked.length, 1);
      for (const more of [{ stream: true }, { options: { lang: "de", user: 1 } }, { options: "de" }]) {
        const refused = await post("/chat", { ...chat, ...more });
        assertProblem(refused, 400, "bad_body");
        assert.match(refused.text, /The field \\"(stream|options\/user|options)\\" is not known here/);
      }
    });

    test("what is ignored is neither keyed nor sent", async () => {
      echo();
      const first = await post("/ignoring", { q: 1, user: "a", metadata: { trace: 1, tenant: 2 } });
      assert.deepEqual(JSON.parse(first.text), { q: 1, metadata: { tenant: 2 } });
      const second = await post("/ignoring", { q: 1, user: { id: 7 }, metadata: { tenant: 2, trace: [9] } });
      assert.match(second.headers["cache-status"], /hit/);
      assert.match((await post("/ignoring", { q: 1, metadata: { tenant: 3 } })).headers["cache-status"], /stored/);
      assert.equal(asked.length, 2);
    });

    test("numbers with an exponent are doubles, in one spelling", async () => {
      echo();
      assert.equal((await post("/ignoring", '{"n":[1E22,123.456e78,1e3]}')).text, '{"n":[1e+22,1.23456e+80,1000]}');
      assert.match((await post("/ignoring", '{"n":[1e22,1.23456e80,1000]}')).headers["cache-status"], /hit/);
      assertProblem(await post("/ignoring", '{"n":9007199254740993}'), 400, "bad_body");
      assertProblem(await post("/ignoring", '{"n":123456789012345678901234567890}'), 400, "bad_body");
      const headers = { authorization: `Bearer ${ADMIN_TOKEN}` };
      const body = '{"path":"/ignoring","body":{"n":1e17}}';
      assert.equal((await ask("POST", "/_xfetch/inspect", { body, headers })).status, 200, "written as an integer");
    });
  });

  test("inspect, explain and purge name a GET entry by path and query", async () => {
    const path = `${article()}?page=3`;
    await get(path);
    const admin = (name, more = {}) => clients[0].admin("POST", name, { path, ...more });
    assert.equal((await admin("inspect")).memory.entry.bytes, 5);
    const explained = await admin("explain");
    assert.deepEqual([explained.answer, explained.method, explained.path], ["fresh_hit", "GET", path]);
    assert.equal((await admin("purge", { hard: true })).purged, true);
    assert.match((await get(path)).headers["cache-status"], /stored/);
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}` };
    for (const bad of [{ path, body: {} }, { path: "/tree/a" }, { path: `${path}&x=1` }]) {
      const { status } = await ask("POST", "/_xfetch/inspect", { body: JSON.stringify(bad), headers });
      assert.equal(status, 400, JSON.stringify(bad));
    }
  });

  test("a burst at a new key over two colos is one computation", async () => {
    const path = article();
    latency = 200;
    const answers = await Promise.all(Array.from({ length: 40 }, (_, at) => ask("GET", path, {}, at % 2)));
    assert.deepEqual([...new Set(answers.map(({ text }) => text))], ["hello"]);
    assert.equal(asked.length, 1);
  });

  describe("QUERY", () => {
    const query = (path, body, more = {}, colo = 0) =>
      ask(
        "QUERY",
        path,
        { body: typeof body === "string" ? body : JSON.stringify(body), headers: { ...JSON_TYPE, ...more } },
        colo,
      );

    test("a reordered body is the same entry in two colos, with one computation", async () => {
      answer = ({ body }, response) => response.writeHead(200, JSON_TYPE).end(body);
      const first = await query("/ask-only", { b: 1, a: 2 });
      assert.match(first.headers["cache-status"], /stored/);
      const second = await query("/ask-only", '{ "a": 2,\n "b": 1 }', {}, 1);
      assert.equal(second.text, first.text);
      assert.match(second.headers["cache-status"], /hit/);
      assert.deepEqual(
        asked.map(({ method, body }) => [method, body]),
        [["QUERY", '{"a":2,"b":1}']],
      );
    });

    test("QUERY and POST share entries where a route has both, and GET has its own", async () => {
      answer = ({ method }, response) => response.writeHead(200, JSON_TYPE).end(JSON.stringify({ method }));
      assert.equal((await query("/ask", { x: 1 })).text, '{"method":"QUERY"}');
      const post = await ask("POST", "/ask", { body: '{"x":1}', headers: JSON_TYPE });
      assert.equal(post.text, '{"method":"QUERY"}');
      assert.match(post.headers["cache-status"], /hit/);
      assert.equal((await get("/ask")).text, '{"method":"GET"}');
    });

    test("OPTIONS and 415 name the types that QUERY may send, and preflights allow it", async () => {
      const options = await ask("OPTIONS", "/ask-only", {
        headers: { origin: "https://app.example", "access-control-request-method": "QUERY" },
      });
      assert.equal(options.status, 204);
      assert.equal(options.headers.allow, "QUERY, OPTIONS");
      assert.equal(options.headers["accept-query"], "application/json");
      assert.equal(options.headers["access-control-allow-methods"], "QUERY, OPTIONS");
      const wrong = await query("/ask-only", "x", { "content-type": "text/plain" });
      assertProblem(wrong, 415, "unsupported_media_type");
      assert.equal(wrong.headers["accept-query"], "application/json");
      assertProblem(await query("/ask-only", "{"), 400, "bad_body");
      assertProblem(await get("/ask-only"), 405, "method_not_allowed");
      assert.equal(asked.length, 0);
    });

    test("a conditional QUERY is answered by the cache", async () => {
      answer = (_, response) => response.writeHead(200, JSON_TYPE).end("{}");
      const { etag } = (await query("/ask-only", { conditional: 1 })).headers;
      assert.equal((await query("/ask-only", { conditional: 1 }, { "if-none-match": etag })).status, 304);
    });
  });

  test("the sums of the metrics hold over all methods", async () => {
    const { total_requests, cache_hit_fresh, cache_hit_stale, cache_miss, bypass, rejected } = await counters(
      clients[0],
    );
    assert.equal(cache_hit_fresh + cache_hit_stale + cache_miss + bypass + rejected, total_requests);
  });
});

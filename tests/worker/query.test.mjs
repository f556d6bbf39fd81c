// The method QUERY (RFC 10008), sentence by sentence, against real workerd and an HTTP origin that tells what it was asked.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, describe, test } from "node:test";

import { Client } from "../../scripts/client.mjs";
import { ADMIN_TOKEN, startRuntime } from "../../scripts/runtime.mjs";
import { assertProblem, counters, eventually, sleep } from "./world.mjs";

const JSON_TYPE = "application/json";
const FORM = "application/x-www-form-urlencoded";
const ROUTES = [
  { path: "/json/*", methods: ["QUERY"] },
  { path: "/both/*", methods: ["QUERY", "POST"] },
  { path: "/three/*", methods: ["GET", "QUERY", "POST"], policy: "route", content_types: ["*/*"] },
  { path: "/raw/*", methods: ["QUERY"], body: "raw", content_types: ["*/*"] },
  { path: "/short/*", methods: ["QUERY"], ttl: 1, stale_while_revalidate: 600 },
  { path: "/fields/*", methods: ["QUERY"], fields: ["wanted"] },
  { path: "/origin/*", methods: ["QUERY"], policy: "origin", stale_if_error: 60 },
  { path: "/varies/*", methods: ["QUERY"], policy: "origin", forward: "all" },
  { path: "/get/*", methods: ["GET"] },
  { path: "/post/*" },
];

/** What the origin was asked. @type {{ method: string, url: string, headers: any, body: string }[]} */
let asked = [];
/** What it answers on paths of its own. @type {Map<string, (response: import("node:http").ServerResponse, seen: any) => void>} */
const answers = new Map();

const server = createServer((request, response) => {
  /** @type {Buffer[]} */
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    const body = Buffer.concat(parts).toString("latin1");
    const seen = { method: request.method ?? "", url: request.url ?? "", headers: request.headers, body };
    asked.push(seen);
    const own = answers.get(seen.url);
    if (own) return own(response, seen);
    response.writeHead(200, { "content-type": JSON_TYPE, "cache-control": "max-age=60" });
    response.end(JSON.stringify({ method: seen.method, body, call: asked.length }));
  });
});

describe("QUERY", () => {
  let runtime;
  /** @type {Client[]} */
  let clients = [];
  let places = 0;
  /** A path that no other row asks for. */
  const at = (/** @type {string} */ kind) => `/${kind}/${(places += 1)}`;
  /** @type {(path: string, body?: any, options?: any) => Promise<any>} */
  const query = (path, body = "{}", { type = JSON_TYPE, method = "QUERY", headers = {}, colo = 0 } = {}) =>
    clients[colo].raw(method, path, { body, headers: { ...(type ? { "content-type": type } : {}), ...headers } });
  const of = (/** @type {string} */ path) => asked.filter(({ url }) => url === path);
  const isHit = (/** @type {any} */ answer) => /hit/.test(answer.headers["cache-status"]);

  before(async () => {
    await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
    const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
    const vars = { ORIGIN_URL: `http://127.0.0.1:${port}`, ROUTES, CORS_ORIGINS: ["https://app.example"] };
    runtime = await startRuntime({ vars, colos: [{}, {}] });
    clients = runtime.urls.map((url) => new Client(url, { path: "/json/x", token: ADMIN_TOKEN, connections: 64 }));
  });
  after(async () => {
    for (const client of clients) await client.close();
    await runtime.stop();
    server.closeAllConnections();
    server.close();
  });

  /** Asks twice, and says whether the second answer was the first one's. */
  const areShared = async (path, one, other) => {
    const first = await query(path, ...one);
    const second = await query(path, ...other);
    return isHit(second) && first.text === second.text;
  };

  /** @type {[sentence: string, holds: () => Promise<unknown>][]} */
  const sentences = [
    [
      "the method reaches the origin as QUERY, with its content",
      async () => {
        const path = at("json");
        await query(path, '{"q":1}');
        const [{ method, body }] = of(path);
        assert.deepEqual([method, body], ["QUERY", '{"q":1}']);
      },
    ],
    [
      "the content's type is sent with it",
      async () => {
        const [json, raw] = [at("json"), at("raw")];
        await query(json);
        await query(raw, "a=b", { type: FORM });
        assert.deepEqual([of(json)[0].headers["content-type"], of(raw)[0].headers["content-type"]], [JSON_TYPE, FORM]);
      },
    ],
    [
      "it is safe: an answer to it removes no stored answer of the resource",
      async () => {
        const path = at("three");
        const first = await clients[0].raw("GET", path);
        await query(path);
        const again = await clients[0].raw("GET", path);
        assert.equal(again.text, first.text);
        assert.ok(isHit(again));
      },
    ],
    [
      "it is safe also where the cache passes it on",
      async () => {
        const path = at("get");
        await clients[0].raw("GET", path);
        assert.equal((await query(path)).status, 200);
        assert.ok(isHit(await clients[0].raw("GET", path)));
      },
    ],
    [
      "it is idempotent: the same request again changes nothing and has the same answer",
      async () => assert.ok(await areShared(at("json"), ['{"q":1}'], ['{"q":1}'])),
    ],
    [
      "answers are cacheable",
      async () => {
        const path = at("json");
        assert.match((await query(path)).headers["cache-status"], /fwd=miss; stored/);
        assert.match((await query(path)).headers["cache-status"], /hit; ttl=\d+/);
        assert.equal(of(path).length, 1);
      },
    ],
    ["the key contains the content", async () => assert.ok(!(await areShared(at("json"), ['{"q":1}'], ['{"q":2}'])))],
    [
      "the key contains the content of any type, byte for byte",
      async () => {
        const path = at("raw");
        assert.ok(await areShared(path, ["a=b", { type: FORM }], ["a=b", { type: FORM }]));
        assert.ok(!(await areShared(path, ["a=b", { type: FORM }], ["a=b ", { type: FORM }])));
      },
    ],
    [
      "the key contains the content's type: the same bytes may be another question",
      async () => assert.ok(!(await areShared(at("raw"), ["a=b", { type: FORM }], ["a=b", { type: "text/plain" }]))),
    ],
    [
      "the key contains the URI",
      async () => {
        const [one, other] = [await query(at("json")), await query(at("json"))];
        assert.ok(!isHit(other) && one.text !== other.text);
      },
    ],
    [
      "a cache may ignore differences without meaning: the order of names",
      async () => assert.ok(await areShared(at("json"), ['{"a":1,"b":2}'], ['{"b":2,"a":1}'])),
    ],
    [
      "differences without meaning: white space",
      async () => assert.ok(await areShared(at("json"), ['{"a":[1,2]}'], [' {\n"a" : [ 1, 2 ] } '])),
    ],
    [
      "differences without meaning: escapes and spellings of numbers",
      async () => assert.ok(await areShared(at("json"), ['{"a":"é","n":100.0}'], ['{"a":"\\u00e9","n":1e2}'])),
    ],
    [
      "differences without meaning: parameters of the type, and types that end in +json",
      async () => {
        const types = [JSON_TYPE, "application/json; charset=utf-8", "application/vnd.query+json"];
        const path = at("json");
        for (const type of types) await query(path, '{"a":1}', { type });
        assert.equal(of(path).length, 1);
      },
    ],
    [
      "what has a meaning is a difference: the order of an array",
      async () => assert.ok(!(await areShared(at("json"), ["[1,2]"], ["[2,1]"]))),
    ],
    [
      "what has a meaning is a difference: letters, and forms of Unicode",
      async () => {
        const path = at("json");
        for (const body of ['{"a":"é"}', '{"a":"e\u0301"}', '{"a":"E\u0301"}']) await query(path, body);
        assert.equal(of(path).length, 3);
      },
    ],
    [
      "the same content with another method is another key, unless the route says that both ask the same",
      async () => {
        assert.ok(await areShared(at("both"), ["{}"], ["{}", { method: "POST" }]));
        const path = at("three");
        await query(path);
        assert.ok(!isHit(await clients[0].raw("GET", path)));
      },
    ],
    [
      "a request without a Content-Type fails with 4xx",
      async () => {
        for (const kind of ["json", "raw"]) {
          const path = at(kind);
          assertProblem(await query(path, "{}", { type: "" }), 415, "unsupported_media_type");
          assert.equal(of(path).length, 0);
        }
      },
    ],
    [
      "a type that is not supported is 415",
      async () => assertProblem(await query(at("json"), "a=b", { type: FORM }), 415, "unsupported_media_type"),
    ],
    [
      "415 names the types that are, in Accept-Query",
      async () => assert.equal((await query(at("json"), "a=b", { type: FORM })).headers["accept-query"], JSON_TYPE),
    ],
    [
      "content that is not what its type says is 400, and does not reach the origin",
      async () => {
        const path = at("json");
        for (const body of ["{", "not json", '{"a":1,"a":2}', ""])
          assertProblem(await query(path, body), 400, "bad_body");
        assert.equal(of(path).length, 0);
      },
    ],
    [
      "content that the route does not take is refused, with the reason",
      async () => {
        const answer = await query(at("fields"), '{"wanted":1,"other":2}');
        assertProblem(answer, 400, "bad_body");
        assert.match(answer.text, /other/);
      },
    ],
    [
      "an encoded content is 415, because its key would be that of other bytes",
      async () => {
        const headers = { "content-encoding": "gzip" };
        for (const kind of ["json", "raw"]) assert.equal((await query(at(kind), "{}", { headers })).status, 415);
      },
    ],
    [
      "content that is too large is 413",
      async () => assertProblem(await query(at("json"), `"${"x".repeat(70_000)}"`), 413, "body_too_large"),
    ],
    [
      "an origin's 422 for content that it understands and cannot process is relayed",
      async () => {
        const path = at("json");
        answers.set(path, (response) => response.writeHead(422, { "content-type": JSON_TYPE }).end('{"why":"no"}'));
        const answer = await query(path);
        assert.deepEqual([answer.status, answer.text], [422, '{"why":"no"}']);
      },
    ],
    [
      "an answer may be empty: 204 says that nothing was found",
      async () => {
        const path = at("origin");
        answers.set(path, (response) => response.writeHead(204, { "cache-control": "max-age=60" }).end());
        assert.deepEqual([(await query(path)).status, isHit(await query(path))], [204, true]);
      },
    ],
    [
      "an answer may redirect to a resource that GET has: 303 with Location is passed on",
      async () => {
        const path = at("origin");
        answers.set(path, (response) => response.writeHead(303, { location: "/result/1" }).end());
        const { status, headers } = await query(path);
        assert.deepEqual([status, headers.location], [303, "/result/1"]);
      },
    ],
    [
      "307 and 308 are passed on, so that the client repeats its QUERY",
      async () => {
        for (const code of [307, 308]) {
          const path = at("origin");
          answers.set(path, (response) => response.writeHead(code, { location: "/elsewhere" }).end());
          const { status, headers } = await query(path);
          assert.deepEqual([status, headers.location], [code, "/elsewhere"]);
        }
      },
    ],
    [
      "Content-Location and Location name resources for the result and for the query, and are stored with it",
      async () => {
        const path = at("origin");
        const named = { "content-location": "/result/2", location: "/query/2" };
        answers.set(path, (response) => response.writeHead(200, { "cache-control": "max-age=60", ...named }).end("x"));
        await query(path);
        const { headers } = await query(path);
        assert.ok(/hit/.test(headers["cache-status"]));
        assert.deepEqual([headers["content-location"], headers.location], ["/result/2", "/query/2"]);
      },
    ],
    [
      "the origin says how long an answer is fresh",
      async () => {
        const path = at("origin");
        answers.set(path, (response) =>
          response.writeHead(200, { "cache-control": "max-age=1" }).end(String(asked.length)),
        );
        const first = await query(path);
        assert.equal((await query(path)).text, first.text);
        await sleep(1_100);
        assert.notEqual((await query(path)).text, first.text);
      },
    ],
    [
      "an answer that must not be stored is computed for each request",
      async () => {
        const path = at("origin");
        answers.set(path, (response) =>
          response.writeHead(200, { "cache-control": "no-store" }).end(String(asked.length)),
        );
        assert.notEqual((await query(path)).text, (await query(path)).text);
      },
    ],
    [
      "an answer may be served stale when the origin fails",
      async () => {
        const path = at("origin");
        answers.set(path, (response) => response.writeHead(200, { "cache-control": "max-age=1" }).end("old"));
        await query(path);
        await sleep(1_100);
        answers.set(path, (response) => response.writeHead(503).end());
        const { status, text } = await query(path);
        assert.deepEqual([status, text], [200, "old"]);
      },
    ],
    [
      "a conditional QUERY with the validator of the answer is 304, without content",
      async () => {
        const path = at("json");
        const { headers } = await query(path);
        const answer = await query(path, "{}", { headers: { "if-none-match": headers.etag } });
        assert.deepEqual([answer.status, answer.text, answer.headers.etag], [304, "", headers.etag]);
      },
    ],
    [
      "the condition is about the answer to this content, not about the resource",
      async () => {
        const path = at("json");
        const { headers } = await query(path, '{"q":1}');
        const answer = await query(path, '{"q":2}', { headers: { "if-none-match": headers.etag } });
        assert.equal(answer.status, 200);
      },
    ],
    [
      "a validator that is no longer right gets the answer",
      async () => assert.equal((await query(at("json"), "{}", { headers: { "if-none-match": '"x"' } })).status, 200),
    ],
    [
      "a stored answer is validated by a conditional QUERY with the same content",
      async () => {
        const path = at("origin");
        answers.set(path, (response, seen) => {
          const told = { etag: '"v"', "cache-control": "no-cache" };
          if (seen.headers["if-none-match"] === '"v"') return response.writeHead(304, told).end();
          response.writeHead(200, told).end("whole");
        });
        await query(path, '{"q":1}');
        assert.equal((await query(path, '{"q":1}')).text, "whole");
        const [, second] = of(path);
        assert.deepEqual([second.method, second.body, second.headers["if-none-match"]], ["QUERY", '{"q":1}', '"v"']);
      },
    ],
    [
      "the answer may vary by other fields of the request",
      async () => {
        const path = at("varies");
        answers.set(path, (response, seen) =>
          response
            .writeHead(200, { "cache-control": "max-age=60", vary: "accept-language" })
            .end(seen.headers["accept-language"]),
        );
        for (const language of ["de", "fr", "de", "fr"]) {
          assert.equal((await query(path, "{}", { headers: { "accept-language": language } })).text, language);
        }
        assert.equal(of(path).length, 2);
      },
    ],
    [
      "Accept-Query on OPTIONS says that a resource takes QUERY, and with which types",
      async () => {
        const options = (/** @type {string} */ kind) => clients[0].raw("OPTIONS", at(kind));
        assert.equal((await options("json")).headers["accept-query"], JSON_TYPE);
        assert.equal((await options("raw")).headers["accept-query"], "*/*");
      },
    ],
    [
      "a resource that does not take QUERY has no Accept-Query",
      async () => {
        const { headers } = await clients[0].raw("OPTIONS", at("post"));
        assert.deepEqual([headers["accept-query"], headers.allow], [undefined, "POST, OPTIONS"]);
      },
    ],
    [
      "a resource that does not take QUERY answers 405, and names the methods that it takes",
      async () => {
        const answer = await query(at("post"));
        assertProblem(answer, 405, "method_not_allowed");
        assert.equal(answer.headers.allow, "POST, OPTIONS");
      },
    ],
    [
      "Allow names QUERY",
      async () =>
        assert.equal((await clients[0].raw("OPTIONS", at("three"))).headers.allow, "GET, HEAD, QUERY, POST, OPTIONS"),
    ],
    [
      "it is not on the list of methods that browsers send without asking: a preflight allows it",
      async () => {
        const headers = { origin: "https://app.example", "access-control-request-method": "QUERY" };
        const told = (await clients[0].raw("OPTIONS", at("json"), { headers })).headers;
        assert.equal(told["access-control-allow-origin"], "https://app.example");
        assert.match(String(told["access-control-allow-methods"]), /QUERY/);
        assert.match(String(told["access-control-allow-headers"]), /content-type/);
      },
    ],
    [
      "a preflight from another page allows nothing",
      async () => {
        const headers = { origin: "https://evil.example", "access-control-request-method": "QUERY" };
        const told = (await clients[0].raw("OPTIONS", at("json"), { headers })).headers;
        assert.equal(told["access-control-allow-methods"], undefined);
      },
    ],
    [
      "a query component in the URI is refused, because the content is the query",
      async () => assertProblem(await query(`${at("json")}?q=1`), 400, "query_not_allowed"),
    ],
    [
      "an equal question in another data centre has the same answer, with one computation",
      async () => {
        const path = at("json");
        const first = await query(path, '{"a":1,"b":[2]}');
        const second = await query(path, '{"b":[2],"a":1}', { colo: 1 });
        assert.ok(isHit(second));
        assert.deepEqual([second.text, of(path).length], [first.text, 1]);
      },
    ],
    [
      "equal questions at the same moment are computed once",
      async () => {
        const path = at("json");
        answers.set(path, (response) =>
          setTimeout(() => response.writeHead(200, { "content-type": JSON_TYPE }).end("1"), 200),
        );
        const spellings = ['{"a":1,"b":2}', '{"b":2,"a":1}'];
        const burst = Array.from({ length: 20 }, (_, place) => query(path, spellings[place % 2], { colo: place % 2 }));
        assert.deepEqual(new Set((await Promise.all(burst)).map(({ status }) => status)), new Set([200]));
        assert.equal(of(path).length, 1);
      },
    ],
    [
      "a stale answer is served at once, and refreshed by a QUERY behind it",
      async () => {
        const path = at("short");
        const first = await query(path);
        await sleep(1_100);
        const stale = await query(path);
        assert.match(stale.headers["cache-status"], /detail=stale/);
        assert.equal(stale.text, first.text);
        await eventually("a refresh", () => of(path).length === 2);
        assert.equal(of(path)[1].method, "QUERY");
      },
    ],
    [
      "a request with credentials passes with its content, and is not stored",
      async () => {
        const path = at("json");
        const headers = { authorization: "Bearer x" };
        await query(path, ' {"a" : 1}', { headers });
        await query(path, ' {"a" : 1}', { headers });
        assert.deepEqual([of(path).length, of(path)[0].body, of(path)[0].method], [2, ' {"a" : 1}', "QUERY"]);
      },
    ],
    [
      "content of any bytes is sent unchanged",
      async () => {
        const path = at("raw");
        const bytes = Buffer.from([0, 255, 13, 10, 128]);
        await query(path, bytes, { type: "application/octet-stream" });
        assert.equal(of(path)[0].body, bytes.toString("latin1"));
      },
    ],
    [
      "a purge names the question by its content",
      async () => {
        const [json, raw] = [at("json"), at("raw")];
        await query(json, '{"a":1,"b":2}');
        await query(raw, "a=b", { type: FORM });
        const hard = true;
        await clients[0].admin("POST", "purge", { path: json, body: { b: 2, a: 1 }, hard });
        await clients[0].admin("POST", "purge", { path: raw, body: "a=b", headers: { "content-type": FORM }, hard });
        await query(json, '{"a":1,"b":2}');
        await query(raw, "a=b", { type: FORM });
        assert.deepEqual([of(json).length, of(raw).length], [2, 2]);
      },
    ],
  ];

  for (const [sentence, holds] of sentences) {
    test(sentence, async () => void (await holds()));
  }

  test("the table has at least 40 sentences, and the sums of the metrics hold after it", async () => {
    assert.ok(sentences.length >= 40, String(sentences.length));
    const { total_requests, cache_hit_fresh, cache_hit_stale, cache_miss, bypass, rejected } = await counters(
      clients[0],
    );
    assert.equal(total_requests, cache_hit_fresh + cache_hit_stale + cache_miss + bypass + rejected);
  });
});

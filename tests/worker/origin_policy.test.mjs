// Routes whose origin says how long its answers live, against real workerd and an HTTP origin whose answers each test scripts.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, beforeEach, describe, test } from "node:test";
import { deflateSync, gzipSync } from "node:zlib";

import { Client } from "../../scripts/client.mjs";
import { ADMIN_TOKEN, startRuntime } from "../../scripts/runtime.mjs";
import { eventually, sleep } from "./world.mjs";

const base = { methods: ["GET"], policy: "origin" };
const ROUTES = [
  { ...base, path: "/all/*", forward: "all", credentials: "origin" },
  { ...base, path: "/few/*", forward: "all", max_variants: 2 },
  { ...base, path: "/refusing/*", forward: "all", credentials: "refuse" },
  { ...base, path: "/refusing/inner" },
  { ...base, path: "/typed/*", content_types: ["application/json"] },
  { ...base, path: "/plain/*" },
  { ...base, path: "/windows/*", stale_while_revalidate: 1, stale_if_error: 600 },
  { ...base, path: "/capped/*", ttl: 1, heuristic: 0 },
  { ...base, path: "/honours/*", request_directives: "honour" },
  { ...base, path: "/brief/*", pass_ttl: 1 },
];

/** What the origin was asked. @type {{ method: string, url: string, headers: any }[]} */
let asked = [];
/** @type {(request: any, response: import("node:http").ServerResponse) => void} */
let answer = () => {};

const server = createServer((request, response) => {
  request.resume();
  const seen = { method: request.method ?? "", url: request.url ?? "", headers: request.headers };
  asked.push(seen);
  answer(seen, response);
});

/** Answers with these headers, and a body that counts the calls. */
const says = (/** @type {any} */ headers, status = 200) => {
  answer = (_, response) => {
    response.writeHead(status, { "content-type": "text/plain", ...headers });
    response.end(`call ${asked.length}`);
  };
};

describe('policy "origin"', () => {
  let runtime;
  /** @type {Client[]} */
  let clients = [];
  let places = 0;
  /** A path that no other test asks for. */
  const page = (prefix = "/all/") => `${prefix}${(places += 1)}`;
  /** @type {(method: string, path: string, headers?: any, colo?: number) => Promise<any>} */
  const ask = (method, path, headers = {}, colo = 0) => clients[colo].raw(method, path, { headers });
  const get = (/** @type {string} */ path, headers = {}, colo = 0) => ask("GET", path, headers, colo);

  before(async () => {
    await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
    const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
    const vars = {
      ORIGIN_URL: `http://127.0.0.1:${port}`,
      ROUTES,
      DIGEST_SECRET: "a-secret-of-this-test-0123456789abc",
    };
    runtime = await startRuntime({ vars, colos: [{}, {}] });
    clients = runtime.urls.map((url) => new Client(url, { path: "/all/x", token: ADMIN_TOKEN, connections: 64 }));
  });
  after(async () => {
    for (const client of clients) await client.close();
    await runtime.stop();
    server.closeAllConnections();
    server.close();
  });
  beforeEach(() => {
    asked = [];
  });

  test("the origin's headers say how long, and reach the client as they are", async () => {
    for (const headers of [
      { "cache-control": "max-age=60" },
      { "cache-control": "max-age=0, s-maxage=60" },
      { expires: new Date(Date.now() + 60_000).toUTCString() },
      { "cdn-cache-control": "max-age=60", "cache-control": "no-store" },
      { "last-modified": new Date(Date.now() - 1e9).toUTCString() },
    ]) {
      const path = page();
      says({ ...headers, "x-own": "kept", etag: '"v1"', connection: "close, x-hop", "x-hop": "1" });
      const first = await get(path);
      assert.match(first.headers["cache-status"], /fwd=miss; stored/, JSON.stringify(headers));
      await sleep(1_050);
      const { headers: told, text } = await get(path);
      assert.match(told["cache-status"], /hit; ttl=\d+$/, JSON.stringify(headers));
      assert.equal(text, first.text);
      assert.deepEqual([told["x-own"], told.etag, told["x-hop"]], ["kept", '"v1"', undefined]);
      for (const [name, value] of Object.entries(headers)) assert.equal(told[name], value);
      assert.equal(told.age, "1");
    }
  });

  test("the age of an upstream cache counts, and its Cache-Status stays", async () => {
    const path = page();
    says({ "cache-control": "max-age=60", age: "50", "cache-status": "Upstream; hit; ttl=10" });
    await get(path);
    const { headers } = await get(path);
    assert.match([headers["cache-status"]].flat().join(", "), /^Upstream; hit; ttl=10, xfetch-edge; hit; ttl=\d$/);
    assert.ok(Number(headers.age) >= 50 && Number(headers.age) < 60, headers.age);
  });

  test("what must not be shared is passed on, whole, to the one client that asked", async () => {
    for (const headers of [
      { "cache-control": "no-store" },
      { "cache-control": "private, max-age=60" },
      { "cache-control": "max-age=60", vary: "*" },
      { "cache-control": "max-age=60", "set-cookie": ["a=1", "b=2"] },
      { "x-none": "1" },
    ]) {
      const path = page();
      says(headers);
      const [first, second] = [await get(path), await get(path)];
      assert.notEqual(first.text, second.text, JSON.stringify(headers));
      assert.match(first.headers["cache-status"], /^xfetch-edge; fwd=miss$/);
      assert.deepEqual(first.headers["set-cookie"], headers["set-cookie"]);
    }
  });

  test("an answer without a lifetime but with a validator is validated: 304 makes it new without a computation", async () => {
    const path = page();
    let version = 1;
    answer = ({ headers }, response) => {
      const etag = `"v${version}"`;
      const told = { etag, "cache-control": "no-cache", "x-call": String(asked.length), "content-type": "text/plain" };
      if (headers["if-none-match"] === etag) return response.writeHead(304, told).end();
      setTimeout(() => response.writeHead(200, told).end(`body ${version}`), 300);
    };
    assert.equal((await get(path)).text, "body 1");
    const [{ delta }] = await entries(path);
    const confirmed = await get(path);
    assert.deepEqual([confirmed.status, confirmed.text, confirmed.headers["x-call"]], [200, "body 1", "2"]);
    assert.equal(asked[1].headers["if-none-match"], '"v1"');
    const [renewed] = await entries(path);
    assert.equal(renewed.delta, delta, "the cost is that of a computation, not of its confirmation");
    version = 2;
    assert.equal((await get(path)).text, "body 2");
    assert.equal((await get(path, {}, 1)).text, "body 2", "another colo validates what the object holds");
    assert.equal(asked.at(-1)?.headers["if-none-match"], '"v2"');
  });

  test("requests that must each be validated do not go one after the other", async () => {
    for (const told of [{ etag: '"v"' }, { etag: '"v"', "cache-control": "no-cache" }]) {
      const path = page();
      answer = ({ headers }, response) => {
        const isHeld = headers["if-none-match"] === '"v"';
        setTimeout(() => response.writeHead(isHeld ? 304 : 200, told).end(isHeld ? undefined : "body"), 150);
      };
      await get(path);
      const began = performance.now();
      const answers = await Promise.all(Array.from({ length: 40 }, () => get(path)));
      const took = performance.now() - began;
      assert.deepEqual(new Set(answers.map(({ status, text }) => `${status} ${text}`)), new Set(["200 body"]));
      assert.ok(took < 3_000, `40 at once took ${took} ms`);
    }
  });

  test("a 304 that confirms another representation is not believed", async () => {
    const path = page();
    let version = 1;
    answer = ({ headers }, response) => {
      const told = { etag: `"v${version}"`, "cache-control": "no-cache" };
      const isConditional = headers["if-none-match"] !== undefined;
      response.writeHead(isConditional ? 304 : 200, told).end(isConditional ? undefined : `body ${version}`);
    };
    assert.equal((await get(path)).text, "body 1");
    version = 2;
    const { text, headers } = await get(path);
    assert.deepEqual([text, headers.etag], ["body 2", '"v2"']);
  });

  test("a 304 extends the life of an entry, in its headers too", async () => {
    const path = page();
    answer = ({ headers }, response) => {
      const told = { etag: '"v"', "cache-control": `max-age=${asked.length}`, "x-call": String(asked.length) };
      response.writeHead(headers["if-none-match"] ? 304 : 200, told).end(headers["if-none-match"] ? undefined : "body");
    };
    await get(path);
    await sleep(1_100);
    const renewed = await get(path);
    assert.deepEqual([renewed.text, renewed.headers["x-call"]], ["body", "2"]);
    assert.match(renewed.headers["cache-control"], /max-age=2/);
    assert.match((await get(path)).headers["cache-status"], /hit/);
    assert.equal(asked.length, 2);
  });

  /** What memory, colo and object hold of a path. */
  const entries = async (/** @type {string} */ path) => {
    const { memory, colo } = await clients[0].admin("POST", "inspect", { path });
    return [memory.entry, colo.entry];
  };

  test("stale answers: as long as the origin says, or the route where the origin says nothing", async () => {
    /** @type {Record<string, [string, any, boolean]>} */
    const kinds = {
      swr: [page(), { "cache-control": "max-age=1, stale-while-revalidate=60" }, true],
      must: [page("/windows/"), { "cache-control": "max-age=1, must-revalidate" }, false],
      shared: [page("/windows/"), { "cache-control": "s-maxage=1" }, false],
      none: [page(), { "cache-control": "max-age=1" }, false],
      route: [page("/windows/"), { "cache-control": "max-age=1" }, true],
    };
    for (const [path, headers] of Object.values(kinds)) {
      says(headers);
      await get(path);
    }
    await sleep(1_200);
    for (const [kind, [path, headers, isServed]] of Object.entries(kinds)) {
      says(headers);
      const { headers: told } = await get(path);
      assert.equal(/detail=stale/.test(told["cache-status"]), isServed, `${kind}: ${told["cache-status"]}`);
    }
    const { routes } = await clients[0].admin("GET", "health");
    const forbidden = Object.fromEntries(routes.map(({ path, stale_forbidden_by: by }) => [path, by]));
    assert.match(forbidden["/windows/*"], /^(s-maxage|must-revalidate)$/);
    assert.equal(forbidden["/plain/*"], null);
  });

  test("stale-if-error covers 500, 502, 503, 504 and a closed connection; without it the origin's error is the answer", async () => {
    const paths = Array.from({ length: 7 }, () => page());
    says({ "cache-control": "max-age=1, stale-if-error=60" });
    for (const path of paths) await get(path);
    const plain = page();
    says({ "cache-control": "max-age=1" });
    await get(plain);
    await sleep(1_200);
    for (const [place, status] of [500, 502, 503, 504].entries()) {
      says({ "x-error": "1" }, status);
      const { status: told, headers } = await get(paths[place]);
      assert.deepEqual([told, headers["x-error"]], [200, undefined], String(status));
      assert.match(headers["cache-status"], /fwd=stale/);
    }
    answer = (_, response) => response.destroy();
    assert.equal((await get(paths[4])).status, 200);
    assert.equal((await get(plain)).status, 502);
    says({ "x-error": "1" }, 501);
    const { status, headers } = await get(paths[5]);
    assert.deepEqual([status, headers["x-error"]], [501, "1"], "501 is an answer");
    says({ "retry-after": "7" }, 503);
    const fresh = await get(page());
    assert.deepEqual([fresh.status, fresh.headers["retry-after"]], [503, "7"]);
  });

  test("an error without an older entry in its window is passed to everybody who waits", async () => {
    const path = page();
    says({ "cache-control": "max-age=1", etag: '"v"' });
    await get(path);
    await sleep(1_200);
    answer = (_, response) => setTimeout(() => response.writeHead(503, { "x-error": "1" }).end("down"), 100);
    const answers = await Promise.all(Array.from({ length: 5 }, () => get(path)));
    assert.deepEqual(
      new Set(answers.map(({ status, headers }) => `${status} ${headers["x-error"]}`)),
      new Set(["503 1"]),
    );
  });

  test("a route with one type passes what has another", async () => {
    for (const status of [301, 204, 404]) {
      says({ "cache-control": "max-age=60", location: "/x" }, status);
      assert.equal((await get(page("/typed/"))).status, status);
    }
  });

  test("conditions are for good answers, and what has no body has no length", async () => {
    const [missing, empty] = [page(), page()];
    says({ "cache-control": "max-age=60" }, 404);
    await get(missing);
    assert.equal((await get(missing, { "if-none-match": "*" })).status, 404);
    assert.equal((await get(missing)).headers["accept-ranges"], undefined);
    says({ "cache-control": "max-age=60" }, 204);
    await get(empty);
    assert.equal((await ask("HEAD", empty)).headers["content-length"], undefined);
  });

  test("every answer has a date, and a 304 without one begins anew", async () => {
    const path = page();
    answer = ({ headers }, response) => {
      response.sendDate = false;
      const isHeld = headers["if-none-match"] === '"v"';
      response
        .writeHead(isHeld ? 304 : 200, { etag: '"v"', "cache-control": "max-age=1" })
        .end(isHeld ? undefined : "x");
    };
    await get(path);
    await sleep(2_200);
    const { headers } = await get(path);
    assert.ok(Date.now() - Date.parse(headers.date) < 2_000, headers.date);
    assert.match((await get(path)).headers["cache-status"], /hit/);
  });

  test("nothing is guessed to be for others that a client's cookie may have made", async () => {
    const path = page();
    says({ "last-modified": new Date(Date.now() - 1e9).toUTCString() });
    const first = await get(path, { cookie: "sid=alice" });
    assert.notEqual((await get(path)).text, first.text);
  });

  test("any final status is an answer: redirects and errors with their headers, stored if they say so", async () => {
    for (const [status, headers] of /** @type {[number, any][]} */ ([
      [301, { location: "/elsewhere", "cache-control": "max-age=60" }],
      [404, { "x-why": "none", "cache-control": "max-age=60" }],
      [503, { "cache-control": "max-age=60" }],
      [204, { "cache-control": "max-age=60" }],
    ])) {
      const path = page();
      says(headers, status);
      const [first, second] = [await get(path), await get(path)];
      assert.deepEqual([first.status, second.status, second.text], [status, status, first.text]);
      assert.match(second.headers["cache-status"], /hit/, String(status));
      for (const [name, value] of Object.entries(headers)) assert.equal(second.headers[name], value);
    }
    const path = page();
    says({}, 403);
    assert.deepEqual([(await get(path)).status, (await get(path)).status, asked.length], [403, 403, 6]);
  });

  describe("Vary", () => {
    const byLanguage = () => {
      answer = ({ headers }, response) => {
        const told = { "cache-control": "max-age=60", vary: "Accept-Language", "content-type": "text/plain" };
        response.writeHead(200, told).end(`${headers["accept-language"]} ${asked.length}`);
      };
    };

    test("each variant is an entry of its own, computed once over two colos", async () => {
      const path = page();
      byLanguage();
      const [de, fr, none] = [{ "accept-language": "de" }, { "accept-language": "fr" }, {}];
      const texts = [];
      for (const headers of [de, fr, none]) texts.push((await get(path, headers)).text);
      assert.deepEqual(texts, ["de 1", "fr 2", "undefined 3"]);
      for (const colo of [0, 1]) {
        for (const [place, headers] of [de, fr, none].entries()) {
          const again = await get(path, headers, colo);
          assert.equal(again.text, texts[place]);
          assert.match(again.headers["cache-status"], /hit/);
        }
      }
      assert.equal(asked.length, 3);
    });

    test("spellings of the same preference share a variant", async () => {
      const path = page();
      byLanguage();
      const first = await get(path, { "accept-language": "de, en;q=0.5" });
      for (const spelling of ["DE,EN;q=0.50", "en;q=0.5 , de;q=1.0"]) {
        assert.equal((await get(path, { "accept-language": spelling })).text, first.text, spelling);
      }
    });

    test("a burst over variants computes each once", async () => {
      const path = page();
      byLanguage();
      const languages = ["de", "fr", "it"];
      const burst = Array.from({ length: 30 }, (_, at) => languages[at % 3]);
      const texts = await Promise.all(burst.map((it) => get(path, { "accept-language": it }).then(({ text }) => text)));
      for (const language of languages) {
        const own = texts.filter((text) => text.startsWith(language));
        assert.deepEqual([own.length, new Set(own).size], [10, 1], language);
      }
      assert.equal(asked.length, 3);
    });

    test("a flood of variants is answered, and does not fill the cache", async () => {
      const path = page("/few/");
      byLanguage();
      for (let at = 0; at < 6; at += 1) await get(path, { "accept-language": `x-${at}` });
      assert.equal(asked.length, 6);
      for (const [at, isHit] of [true, true, true, false, false].entries()) {
        const { headers, text } = await get(path, { "accept-language": `x-${at}` });
        assert.equal(/hit/.test(headers["cache-status"]), isHit, `x-${at}: ${headers["cache-status"]}`);
        assert.match(text, new RegExp(`^x-${at} `));
      }
    });

    test("explain follows an answer that varies to the entry of the request's own values", async () => {
      answer = (request, response) => {
        response.writeHead(200, {
          "cache-control": "max-age=1",
          vary: "accept-language",
          "content-type": "text/plain",
        });
        response.end(request.headers["accept-language"]);
      };
      const path = page();
      const explain = (headers = {}) => clients[0].admin("POST", "explain", { path, headers });
      await get(path, { "accept-language": "de" });
      assert.equal((await explain({ "accept-language": "de" })).answer, "fresh_hit");
      const other = await explain({ "Accept-Language": "fr" });
      assert.deepEqual([other.answer, other.generation], ["computes", null]);
      await get(path, { "accept-language": "fr" });
      assert.equal((await explain({ "accept-language": "fr" })).answer, "fresh_hit");
      assert.notEqual((await explain({ "accept-language": "fr" })).key, (await explain()).key);
      // Without a stale window the next request computes, whatever the tiers still hold.
      await sleep(1_200);
      assert.equal((await explain({ "accept-language": "de" })).answer, "computes");
      assert.match(String((await get(path, { "accept-language": "de" })).headers["cache-status"]), /fwd=/);
    });

    test("an origin that varies by other fields in each variant costs its own answers, and nothing else", async () => {
      const path = page();
      answer = ({ headers }, response) => {
        const vary = headers["x-b"] === "1" ? "x-b" : "x-a";
        response.writeHead(200, { "cache-control": "max-age=60", vary }).end(`${headers["x-a"]}${headers["x-b"]}`);
      };
      for (const [a, b] of ["00", "21", "11", "12", "22", "22"]) {
        assert.equal((await get(path, { "x-a": a, "x-b": b })).text, a + b);
      }
      assert.equal((await get(page(), { "x-a": "0", "x-b": "0" })).text, "00", "the isolate works");
    });

    test("the answer of another variant is no fallback either", async () => {
      const path = page();
      answer = ({ headers }, response) => {
        const told = { "cache-control": "max-age=1, stale-if-error=600", vary: "cookie" };
        response.writeHead(200, told).end(`page of ${headers.cookie}`);
      };
      await get(path, { cookie: "user=alice" });
      await sleep(1_200);
      says({}, 503);
      for (const colo of [0, 1]) {
        const { status, text } = await get(path, { cookie: "user=bob" }, colo);
        assert.deepEqual([status, /alice/.test(text)], [503, false]);
      }
    });

    test("a field that does not reach the origin, or means something else there, selects no variant", async () => {
      for (const poison of [
        { connection: "close, accept-language", "accept-language": "de" },
        { "accept-language": "de;q=0;q=1" },
        { "accept-language": "de\u00a0" },
      ]) {
        const path = page();
        byLanguage();
        // Node would not send the last one as it is in UTF-8, which is what a client could do.
        await get(path, poison).catch(() => undefined);
        const { text } = await get(path, { "accept-language": "de" });
        assert.match(text, /^de \d+$/, JSON.stringify(poison));
      }
    });

    test("no cookie is part of a stored key", async () => {
      const path = page();
      answer = (_, response) => response.writeHead(200, { "cache-control": "max-age=60", vary: "cookie" }).end("x");
      await get(path);
      const { headers } = await get(path, { cookie: "secret=value-of-a-client" });
      assert.match(headers["cache-status"], /stored/);
    });

    test("a purge in one colo is one of variants that another colo has never read", async () => {
      const path = page();
      byLanguage();
      for (const language of ["de", "fr"]) await get(path, { "accept-language": language });
      await get(path, { "accept-language": "de" }, 1);
      await clients[0].admin("POST", "purge", { path, hard: true });
      const { text } = await get(path, { "accept-language": "fr" }, 1);
      assert.equal(text, "fr 3");
    });

    test("a purge of the path is a purge of its variants", async () => {
      const path = page();
      byLanguage();
      for (const language of ["de", "fr"]) await get(path, { "accept-language": language });
      await clients[0].admin("POST", "purge", { path, hard: true });
      for (const [language, text] of [
        ["de", "de 3"],
        ["fr", "fr 4"],
      ]) {
        assert.equal((await get(path, { "accept-language": language })).text, text);
      }
    });
  });

  describe("unsafe methods", () => {
    test("one that succeeds removes the entry of its path and of those that it names on the same origin", async () => {
      const [own, created, other] = [page(), page(), page()];
      says({ "cache-control": "max-age=60" });
      for (const path of [own, created, other]) await get(path);
      answer = (_, response) =>
        response
          .writeHead(201, { location: created, "content-location": `http://elsewhere.example${other}` })
          .end("made");
      const { status, text } = await ask("POST", own);
      assert.deepEqual([status, text], [201, "made"]);
      says({ "cache-control": "max-age=60" });
      for (const [path, isKept] of /** @type {[string, boolean][]} */ ([
        [own, false],
        [created, false],
        [other, true],
      ])) {
        assert.equal(/hit/.test((await get(path)).headers["cache-status"]), isKept, path);
      }
    });

    test("the checks of the route hold for it, and TRACE shows nobody the origin's secrets", async () => {
      says({});
      for (const [method, path, headers, status] of /** @type {[string, string, any, number][]} */ ([
        ["DELETE", page("/refusing/"), { cookie: "a=b" }, 403],
        ["PUT", "/refusing/%69nner", {}, 400],
        ["PUT", "/refusing/..%2fadmin", {}, 400],
        ["TRACE", page(), {}, 405],
        ["DELETE", page("/refusing/"), {}, 200],
      ])) {
        assert.equal((await ask(method, path, headers)).status, status, `${method} ${path}`);
      }
      assert.equal(asked.length, 1);
    });

    test("one that fails, and a safe one, remove nothing", async () => {
      const path = page();
      says({ "cache-control": "max-age=60" });
      await get(path);
      says({}, 500);
      assert.equal((await ask("PUT", path)).status, 500);
      says({});
      assert.equal((await ask("QUERY", path)).status, 200);
      assert.match((await get(path)).headers["cache-status"], /hit/);
    });

    test("the other colo learns of it with its next message to the object", async () => {
      const path = page();
      says({ "cache-control": "max-age=60" });
      await get(path);
      await ask("DELETE", path, {}, 1);
      const { text } = await get(path, {}, 1);
      assert.equal(text, "call 3");
    });
  });

  test("credentials go to the origin, and its headers say whether the answer is shared", async () => {
    const authorization = { authorization: "Bearer of-one-client" };
    const [own, shared] = [page(), page()];
    says({ "cache-control": "max-age=60" });
    assert.notEqual((await get(own, authorization)).text, (await get(own)).text);
    assert.equal(asked[0].headers.authorization, authorization.authorization);
    says({ "cache-control": "public, max-age=60" });
    assert.equal((await get(shared, authorization)).text, (await get(shared)).text);
  });

  test('with forward = "route" no header of the client reaches the origin, so that none can change an answer', async () => {
    const path = page("/plain/");
    says({ "cache-control": "max-age=60", vary: "x-own" });
    const first = await get(path, { "x-own": "1", "accept-language": "de" });
    assert.deepEqual([asked[0].headers["x-own"], asked[0].headers["accept-language"]], [undefined, undefined]);
    assert.equal((await get(path, { "x-own": "2" })).text, first.text);
  });

  test("fields that the origin keeps from storage are left out, and hop-by-hop fields are not sent on", async () => {
    const path = page();
    says({ "cache-control": 'max-age=60, no-cache="x-secret"', "x-secret": "1", "x-open": "2" });
    await get(path, { "proxy-authorization": "x", te: "trailers", "x-mine": "3" });
    assert.deepEqual([asked[0].headers["proxy-authorization"], asked[0].headers["x-mine"]], [undefined, "3"]);
    const { headers } = await get(path);
    assert.deepEqual([headers["x-secret"], headers["x-open"]], [undefined, "2"]);
  });

  test("clients validate by the origin's own validator, and get parts of a stored answer", async () => {
    const path = page();
    says({ "cache-control": "max-age=60", etag: 'W/"a,b"', "last-modified": "Sun, 06 Nov 1994 08:49:37 GMT" });
    await get(path);
    for (const [name, value, status] of /** @type {[string, string, number][]} */ ([
      ["if-none-match", 'W/"a,b"', 304],
      ["if-none-match", '"x", "a,b"', 304],
      ["if-none-match", '"a"', 200],
      ["if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT", 304],
      ["range", "bytes=0-3", 206],
    ])) {
      assert.equal((await get(path, { [name]: value })).status, status, `${name}: ${value}`);
    }
    assert.equal(asked.length, 1);
    assert.equal(
      (await get(page(), { range: "bytes=0-3" })).text,
      "call",
      "also of an answer that was computed for it",
    );
    assert.equal(asked[1].headers.range, undefined);
  });

  test("an answer above max_response is passed on uncached, whole, and so is the next", async () => {
    const path = page();
    const body = Buffer.alloc(3 << 20, "large");
    for (const isAnnounced of [true, false]) {
      const own = `${path}/${isAnnounced}`;
      answer = (_, response) => {
        const told = isAnnounced ? { "content-length": body.length } : {};
        response.writeHead(200, { "cache-control": "max-age=60", "x-own": "1", ...told }).end(body);
      };
      for (const place of [1, 2]) {
        const { status, text, headers } = await get(own);
        assert.deepEqual([status, text.length, headers["x-own"]], [200, body.length, "1"], `${isAnnounced} ${place}`);
        assert.match(headers["cache-status"], /fwd=bypass$/);
      }
      const head = await ask("HEAD", own);
      assert.deepEqual([head.status, head.text, head.headers["x-own"]], [200, "", "1"]);
    }
  });

  test("a coding that the runtime does not decode stays, with its bytes", async () => {
    const path = page();
    const bytes = deflateSync("compressed ".repeat(100));
    answer = (_, response) =>
      response.writeHead(200, { "cache-control": "max-age=60", "content-encoding": "deflate" }).end(bytes);
    for (const place of [1, 2]) {
      const { headers } = await get(path);
      assert.equal(headers["content-encoding"], "deflate", String(place));
    }
  });

  test("an encoded answer is stored decoded", async () => {
    const path = page();
    const body = "compressed ".repeat(100);
    answer = (_, response) => {
      const told = { "cache-control": "max-age=60", "content-encoding": "gzip", etag: '"v"' };
      response.writeHead(200, told).end(gzipSync(body));
    };
    const texts = [(await get(path)).text, (await get(path)).text];
    assert.deepEqual(texts, [body, body]);
    assert.equal((await get(path)).headers.etag, 'W/"v"', "these are other bytes");
  });

  test("a request's own directives count where the route honours them, and nowhere else", async () => {
    says({ "cache-control": "max-age=10, stale-while-revalidate=600" });
    const aged = async (/** @type {string} */ prefix) => {
      const path = page(prefix);
      await get(path);
      await sleep(1_100);
      return path;
    };
    for (const [directive, isHit] of /** @type {[string, boolean][]} */ ([
      ["max-age=0", false],
      ["max-age=5", true],
      ["min-fresh=20", false],
      ["min-fresh=5", true],
      ["no-cache", false],
      ["max-stale=5", true],
      ["unknown", true],
    ])) {
      const [path, ignoring] = await Promise.all([aged("/honours/"), aged("/plain/")]);
      const headers = { "cache-control": directive };
      assert.equal(/hit/.test((await get(path, headers)).headers["cache-status"]), isHit, directive);
      assert.match((await get(ignoring, headers)).headers["cache-status"], /hit/, `${directive} is ignored`);
    }
    const path = page("/honours/");
    const nothing = await get(path, { "cache-control": "only-if-cached" });
    assert.deepEqual([nothing.status, JSON.parse(nothing.text).code], [504, "only_if_cached"]);
    await get(path, { "cache-control": "no-store" });
    assert.equal((await get(path, { "cache-control": "only-if-cached" })).status, 504, "no-store has stored nothing");
    await get(path);
    assert.equal((await get(path, { "cache-control": "only-if-cached" })).status, 200);
    const pragma = await get(path, { pragma: "no-cache" });
    assert.match(pragma.headers["cache-status"], /fwd=miss/);
  });

  test("a client that accepts no stale answer waits for a new one", async () => {
    const path = page("/honours/");
    says({ "cache-control": "max-age=1, stale-while-revalidate=600" });
    const first = await get(path);
    await sleep(1_200);
    const fresh = await get(path, { "cache-control": "max-age=60" });
    assert.notEqual(fresh.text, first.text);
    assert.match(fresh.headers["cache-status"], /stored/);
  });

  test("an uncached answer may confirm the copy that the client holds", async () => {
    const path = page();
    answer = ({ headers }, response) => {
      const isHeld = headers["if-none-match"] === '"v"';
      response.writeHead(isHeld ? 304 : 200, { etag: '"v"', "cache-control": "no-store" });
      response.end(isHeld ? undefined : "body");
    };
    assert.equal((await get(path)).text, "body");
    assert.deepEqual([(await get(path, { "if-none-match": '"v"' })).status, (await get(path)).text], [304, "body"]);
  });

  test("an error that may be stored does not replace what may answer in its place", async () => {
    const path = page();
    says({ "cache-control": "max-age=1, stale-if-error=600" });
    const first = await get(path);
    await sleep(1_200);
    says({ "cache-control": "max-age=60" }, 503);
    assert.equal((await get(path)).text, first.text);
    assert.equal((await get(path)).text, first.text);
  });

  test("what must not be stored is remembered for pass_ttl", async () => {
    const path = page("/brief/");
    says({ "cache-control": "no-store" });
    await get(path);
    says({ "cache-control": "max-age=60" });
    await get(path);
    assert.match((await get(path)).headers["cache-status"], /fwd=bypass$/, "still uncached");
    await sleep(1_200);
    await get(path);
    assert.match((await get(path)).headers["cache-status"], /hit/);
  });

  test("the route's own ttl is a bound for what the origin says", async () => {
    const path = page("/capped/");
    says({ "cache-control": "max-age=600" });
    const first = await get(path);
    assert.equal((await get(path)).text, first.text);
    await sleep(1_200);
    assert.notEqual((await get(path)).text, first.text);
    says({ "last-modified": new Date(Date.now() - 1e9).toUTCString() });
    const unsaid = page("/capped/");
    assert.notEqual((await get(unsaid)).text, (await get(unsaid)).headers["cache-status"]);
    assert.equal(asked.filter(({ url }) => url === unsaid).length, 2, "no heuristic");
  });

  test("an early refresh validates, behind the answer", async () => {
    const path = page();
    answer = ({ headers }, response) => {
      const told = { etag: '"v"', "cache-control": "max-age=2" };
      if (headers["if-none-match"]) return response.writeHead(304, told).end();
      setTimeout(() => response.writeHead(200, told).end("body"), 900);
    };
    await get(path);
    await eventually("a validation before expiry", async () => {
      const { headers } = await get(path);
      assert.match(headers["cache-status"], /hit; ttl=\d/);
      return asked.some(({ headers }) => headers["if-none-match"]);
    });
    assert.equal(asked.length, 2);
  });
});

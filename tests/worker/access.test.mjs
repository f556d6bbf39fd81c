// Who may see what: credentials that are verified, scopes, and limits, against real workerd, an HTTP origin and an
// identity provider whose answers each test scripts. Tokens are signed by the library `jose`.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { createServer } from "node:http";
import { after, before, beforeEach, describe, test } from "node:test";

import { SignJWT, UnsecuredJWT, exportJWK, exportSPKI, generateKeyPair } from "jose";

import { Client } from "../../scripts/client.mjs";
import { ADMIN_TOKEN, startRuntime } from "../../scripts/runtime.mjs";
import { assertProblem, assertSums, counters, eventually, sleep } from "./world.mjs";

const ISSUER = "https://id.example";
const AUDIENCE = "api";
const JWT_SECRET = "a-secret-that-both-sides-know-0123456789";
const PROXY_TOKEN = "the-token-of-the-proxy";
const DIGEST_SECRET = "a-secret-of-this-deployment-0123456789";
const KEYS = { acme: ["acme-key-1", "acme-key-2"], globex: ["globex-key"] };
const sha256 = (/** @type {string} */ text) => createHash("sha256").update(text).digest("hex");

/** @param {(request: import("node:http").IncomingMessage, response: import("node:http").ServerResponse) => void} on */
async function serve(on) {
  const server = createServer((request, response) => {
    request.resume();
    on(request, response);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  return {
    url: `http://127.0.0.1:${port}`,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

const POST = { methods: ["POST"], ttl: 60, credentials: "verify" };
const jwks = (/** @type {string} */ url, more = {}) => ({
  jwt: { jwks_url: url, algorithms: ["RS256", "ES256", "EdDSA", "PS256"], issuer: ISSUER, audience: AUDIENCE, ...more },
});
const byMe = (/** @type {any} */ more) => ({ origin: { path: "/me", header: "x-key", ...more } });
const ROUTES = (/** @type {string} */ provider) => [
  { ...POST, path: "/keys", verify: { keys: {} } },
  { ...POST, path: "/keys/tenant", verify: { keys: {} }, scope: "tenant", send_tenant: "x-tenant" },
  { ...POST, path: "/keys/own", verify: { keys: { header: "authorization" } }, scope: "credential" },
  { ...POST, path: "/token", verify: jwks(`${provider}/jwks`, { tenant: "/org/id" }), scope: "tenant" },
  { ...POST, path: "/token/brief", verify: jwks(`${provider}/brief`, { jwks_ttl: 10, jwks_stale: 600 }) },
  { ...POST, path: "/token/unscoped", verify: jwks(`${provider}/jwks`, { leeway: 0 }) },
  {
    ...POST,
    path: "/token/hmac",
    verify: { jwt: { algorithms: ["HS256"], issuer: "*", audience: "*" } },
    scope: "credential",
  },
  { ...POST, path: "/asked", verify: { origin: { path: "/me", verify_ttl: 3, verify_stale: 60, refused_ttl: 1 } } },
  {
    ...POST,
    path: "/asked/tenant",
    verify: { origin: { path: "/me", method: "HEAD", header: "x-key", tenant_header: "x-org" } },
    scope: "tenant",
  },
  { ...POST, path: "/proxy", verify: { proxy: {} }, scope: "tenant", send_tenant: "x-tenant" },
  {
    path: "/behind/*",
    methods: ["GET"],
    forward: "all",
    credentials: "verify",
    verify: { proxy: {} },
    scope: "tenant",
    send_tenant: "x-tenant",
  },
  { path: "/open/*", methods: ["GET"], forward: "all", credentials: "ignore" },
  { path: "/open/secret/*", methods: ["GET"], credentials: "verify", verify: { keys: {} } },
  { ...POST, path: "/open/exact", verify: { keys: {} } },
  { ...POST, path: "/org", verify: byMe({ tenant_header: "x-org" }), scope: "tenant", send_tenant: "x-tenant" },
  { ...POST, path: "/team", verify: byMe({ tenant_header: "x-team" }), scope: "tenant", send_tenant: "x-tenant" },
  { ...POST, path: "/long", verify: byMe({ verify_ttl: 3600 }) },
  {
    ...POST,
    path: "/moving",
    verify: byMe({ verify_ttl: 1, tenant_header: "x-org" }),
    scope: "tenant",
    send_tenant: "x-tenant",
  },
  { ...POST, path: "/flooded", verify: byMe({}), max_new_keys: 3 },
  { ...POST, path: "/new/shared", verify: { keys: {} }, max_new_keys: 3 },
  { path: "/varied/*", methods: ["GET"], forward: "all", credentials: "verify", verify: { keys: {} }, max_new_keys: 3 },
  {
    path: "/custom/*",
    methods: ["GET"],
    forward: "all",
    credentials: "verify",
    verify: { keys: { header: "x-custom-key" } },
    max_response: 100,
  },
  { ...POST, path: "/token/withdrawn", verify: jwks(`${provider}/withdrawn`, { jwks_ttl: 10, jwks_stale: 0 }) },
  { ...POST, path: "/props", verify: { props: {} }, scope: "tenant", send_tenant: "x-tenant" },
  { ...POST, path: "/mine/brief", ttl: 1, credentials: "origin", scope: "credential" },
  { ...POST, path: "/mine", credentials: "origin", scope: "credential" },
  {
    methods: ["GET"],
    path: "/pages/*",
    forward: "all",
    credentials: "verify",
    verify: { keys: {} },
    scope: "tenant",
    send_tenant: "x-tenant",
  },
  { methods: ["GET"], path: "/personal/*", forward: "all", credentials: "origin", scope: "credential" },
  {
    ...POST,
    path: "/limited",
    verify: { keys: {} },
    scope: "tenant",
    rate_limit: { binding: "LIMITER", by: "tenant", period: 60 },
  },
  { ...POST, path: "/new", verify: { keys: {} }, scope: "tenant", max_new_keys: 3 },
];

/** Personal pages are private, and old soon. */
const lifetime = (/** @type {string | undefined} */ url) =>
  url?.startsWith("/personal/") ? "private, max-age=2, stale-while-revalidate=60" : "max-age=60";

describe("who may see what", () => {
  let runtime;
  /** @type {Client[]} */
  let clients = [];
  let origin;
  let provider;
  /** What the origin was asked. @type {{ method: string, url: string, headers: any }[]} */
  let asked = [];
  /** What the identity provider was asked. @type {string[]} */
  let fetched = [];
  /** @type {(request: any, response: import("node:http").ServerResponse) => void} */
  let me = () => {};
  /** @type {(request: any, response: import("node:http").ServerResponse) => void} */
  let keySet = () => {};
  /** @type {Record<string, { publicKey: any, privateKey: any, jwk: any }>} */
  const pairs = {};
  let places = 0;
  /** The `Authorization` that the origin refuses. */
  let refusing = "";

  const body = () => JSON.stringify({ place: (places += 1) });
  /** @param {string} path @param {any} headers @param {{ body?: string, colo?: number, method?: string }} options */
  const ask = (path, headers = {}, { body: given = body(), colo = 0, method = "POST" } = {}) =>
    clients[colo].raw(method, path, {
      headers: { ...(method === "POST" ? { "content-type": "application/json" } : {}), ...headers },
      ...(method === "POST" ? { body: given } : {}),
    });
  const bearer = (/** @type {string} */ token) => ({ authorization: `Bearer ${token}` });
  const sets = (/** @type {string[]} */ ...names) => {
    const keys = names.map((name) => pairs[name].jwk);
    keySet = (_, response) => {
      response.writeHead(200, { "content-type": "application/json" });
      response.end(JSON.stringify({ keys }));
    };
  };
  /** A token signed by one of the provider's keys. @param {any} claims @param {any} header */
  const token = (claims = {}, header = {}, key = "rs") => {
    const algorithm = { rs: "RS256", rs2: "RS256", ps: "PS256", es: "ES256", ed: "EdDSA" }[key];
    const all = {
      iss: ISSUER,
      aud: AUDIENCE,
      exp: Math.floor(Date.now() / 1000) + 300,
      org: { id: "acme" },
      ...claims,
    };
    const signing = new SignJWT(all).setProtectedHeader({ alg: algorithm, kid: key, ...header });
    return signing.sign(pairs[key].privateKey);
  };

  before(async () => {
    for (const [name, algorithm] of [
      ["rs", "RS256"],
      ["rs2", "RS256"],
      ["ps", "PS256"],
      ["es", "ES256"],
      ["ed", "EdDSA"],
    ]) {
      const pair = await generateKeyPair(algorithm, { extractable: true });
      pairs[name] = { ...pair, jwk: { ...(await exportJWK(pair.publicKey)), kid: name, use: "sig" } };
    }
    origin = await serve((request, response) => {
      asked.push({ method: request.method ?? "", url: request.url ?? "", headers: request.headers });
      if (request.url === "/me") return me(request, response);
      if (refusing && request.headers.authorization === refusing) {
        response.writeHead(401, { "content-type": "application/json", "www-authenticate": 'Bearer realm="origin"' });
        return response.end('{"why":"withdrawn"}');
      }
      const { authorization, "x-tenant": tenant, "x-api-key": key } = request.headers;
      const vary = request.url?.startsWith("/varied/") ? { vary: "accept-language" } : {};
      response.writeHead(200, { "content-type": "application/json", "cache-control": lifetime(request.url), ...vary });
      const filler = request.url === "/custom/large" ? "x".repeat(200) : undefined;
      response.end(JSON.stringify({ authorization, tenant, key, call: asked.length, filler }));
    });
    provider = await serve((request, response) => {
      fetched.push(`${request.method} ${request.url}`);
      if (request.headers["x-secret"] !== undefined) fetched.push("a secret of the origin");
      keySet(request, response);
    });
    sets("rs", "ps", "es", "ed");
    const digests = Object.entries(KEYS).map(([tenant, keys]) => [tenant, keys.map(sha256)]);
    const vars = {
      ORIGIN_URL: origin.url,
      ROUTES: ROUTES(provider.url),
      API_KEYS: JSON.stringify(Object.fromEntries(digests)),
      ORIGIN_HEADERS: JSON.stringify({ "x-secret": "for the origin alone" }),
      JWT_SECRET,
      PROXY_TOKEN,
      DIGEST_SECRET,
    };
    runtime = await startRuntime({
      vars,
      colos: [{}, {}],
      ratelimits: { LIMITER: { namespace_id: "1", simple: { limit: 5, period: 60 } } },
      callers: { acme: { tenant: "acme" }, globex: { tenant: "globex" }, nobody: {}, odd: { tenant: { a: 1 } } },
    });
    clients = runtime.urls.map((url) => new Client(url, { path: "/keys", token: ADMIN_TOKEN, connections: 64 }));
  });
  after(async () => {
    for (const client of clients) await client.close();
    await runtime?.stop();
    origin.close();
    provider.close();
  });
  beforeEach(() => {
    asked = [];
    fetched = [];
    me = (_, response) => response.writeHead(204).end();
  });

  test("a request without a good API key is refused before anything else, and the origin sees nothing", async () => {
    for (const [headers, detail] of /** @type {[any, RegExp][]} */ ([
      [{}, /needs a credential/],
      [{ "x-api-key": "" }, /needs a credential|not known/],
      [{ "x-api-key": "wrong" }, /not known/],
      [{ "x-api-key": sha256("acme-key-1") }, /not known/],
      [{ "x-api-key": "acme-key-1, acme-key-1" }, /not known/],
      [{ "x-api-key": "x".repeat(9_000) }, /needs a credential/],
      [{ authorization: "Bearer acme-key-1" }, /needs a credential/],
    ])) {
      const answer = await ask("/keys", headers);
      assertProblem(answer, 401, "unauthorized");
      assert.match(JSON.parse(answer.text).detail, detail);
      assert.match(String(answer.headers["www-authenticate"]), /^ApiKey realm="xfetch-edge", header="x-api-key"$/);
      assert.equal(answer.headers["cache-status"], undefined);
    }
    assert.equal(asked.length, 0);
  });

  test("clients with good keys share an entry, and the origin gets no key", async () => {
    const same = body();
    const first = await ask("/keys", { "x-api-key": "acme-key-1", cookie: "a=b" }, { body: same });
    assert.equal(first.status, 200);
    assert.match(String(first.headers["cache-control"]), /private/);
    assert.match(String(first.headers.vary), /x-api-key/);
    const others = ["acme-key-2", "globex-key"].map((key) =>
      ask("/keys", { "x-api-key": key }, { body: same, colo: 1 }),
    );
    for (const other of await Promise.all(others)) assert.equal(other.text, first.text);
    assert.equal(asked.length, 1);
    assert.equal(asked[0].headers["x-api-key"], undefined);
    assert.equal(asked[0].headers.cookie, undefined);
  });

  test("each tenant has entries of its own, over all its keys, and the origin gets its name", async () => {
    const same = body();
    const get = async (key, headers = {}) =>
      JSON.parse((await ask("/keys/tenant", { "x-api-key": key, ...headers }, { body: same })).text);
    const acme = await get("acme-key-1", { "x-tenant": "globex" });
    assert.equal(acme.tenant, "acme", "a client does not name its tenant");
    const globex = await get("globex-key");
    assert.equal(globex.tenant, "globex");
    assert.deepEqual(await get("acme-key-2"), acme);
    assert.deepEqual(await get("globex-key", { "x-tenant": "acme" }), globex);
    assert.equal(asked.length, 2);
  });

  test("no spelling of a body or a path reaches another tenant's entry", async () => {
    const own = JSON.stringify({ q: "x" });
    await ask("/keys/tenant", { "x-api-key": "acme-key-1" }, { body: own });
    const seen = asked.length;
    for (const given of [own, JSON.stringify(["tenant", "acme"]), '{"q":"x","tenant":"acme"}', '{"q":"x"} ']) {
      const answer = await ask("/keys/tenant", { "x-api-key": "globex-key" }, { body: given });
      assert.equal(JSON.parse(answer.text).tenant, "globex", given);
    }
    assert.equal(asked.length, seen + 3, "the last is the first again");
  });

  test("each credential has entries of its own, and the origin gets the credential", async () => {
    const same = body();
    const get = (key, more = {}) => ask("/keys/own", { ...bearer(key), ...more }, { body: same });
    const [one, two] = [await get("acme-key-1"), await get("acme-key-2")];
    assert.equal(JSON.parse(one.text).authorization, "Bearer acme-key-1");
    assert.equal(JSON.parse(two.text).authorization, "Bearer acme-key-2");
    const again = await get("acme-key-1", { "x-api-key": "other", cookie: "a=b" });
    assert.equal(again.text, one.text);
    assert.match(String(again.headers["cache-status"]), /hit/);
    assert.equal(asked.length, 2);
    assert.ok(asked.every(({ headers }) => headers["x-api-key"] === undefined && headers.cookie === undefined));
  });

  test("tokens of each algorithm of the list are accepted, once with a signature and then without", async () => {
    for (const key of ["rs", "ps", "es", "ed"]) {
      const own = await token({}, {}, key);
      const answer = await ask("/token", bearer(own));
      assert.equal(answer.status, 200, `${key}: ${answer.text}`);
      assert.equal((await ask("/token", bearer(own))).status, 200);
    }
    assert.ok(fetched.length <= 1, "the key set is fetched once in the world");
    assert.ok(!fetched.includes("a secret of the origin"));
    assert.ok(
      asked.every(({ headers }) => headers.authorization === undefined),
      "the origin gets no token",
    );
  });

  test("a bad token is refused with what is wrong about it, and the origin sees nothing", async () => {
    const now = Math.floor(Date.now() / 1000);
    const good = await token();
    const [header, claims, signature] = good.split(".");
    const publicKey = await exportSPKI(pairs.rs.publicKey);
    const confused = await new SignJWT({ iss: ISSUER, aud: AUDIENCE, exp: now + 300 })
      .setProtectedHeader({ alg: "HS256", kid: "rs" })
      .sign(new TextEncoder().encode(publicKey));
    const unsigned = new UnsecuredJWT({ iss: ISSUER, aud: AUDIENCE, exp: now + 300 }).encode();
    const changed = Buffer.from(JSON.stringify({ iss: ISSUER, aud: AUDIENCE, exp: now + 300, org: { id: "globex" } }));
    const flipped = signature[0] === "A" ? `B${signature.slice(1)}` : `A${signature.slice(1)}`;
    for (const [name, text, detail] of /** @type {[string, string, RegExp][]} */ ([
      ["none", unsigned, /malformed|algorithm/],
      ["HMAC with the public key", confused, /algorithm/],
      ["other claims", `${header}.${changed.toString("base64url")}.${signature}`, /signature/],
      ["another signature", `${header}.${claims}.${flipped}`, /signature/],
      ["cut off", good.slice(0, -5), /malformed|signature/],
      ["no signature", `${header}.${claims}.`, /malformed/],
      ["two parts", `${header}.${claims}`, /malformed/],
      ["garbage", "garbage", /malformed/],
      ["expired", await token({ exp: now - 60 }), /expired/],
      ["without an end", await token({ exp: undefined }), /expired/],
      ["not yet", await token({ nbf: now + 60 }), /not valid yet/],
      ["another issuer", await token({ iss: "https://evil.example" }), /issuer/],
      ["another audience", await token({ aud: "other" }), /audience/],
      ["an unknown key", await token({}, { kid: "unknown" }), /signature/],
      ["a key's path", await token({}, { kid: "../../rs" }), /signature/],
      ["the key of another algorithm", await token({}, { kid: "es" }), /signature/],
      ["its own key set", await token({}, { jku: "http://127.0.0.1:1/", jwk: pairs.rs2.jwk }, "rs2"), /signature/],
      ["something critical", await token({}, { crit: ["b64"], b64: true }).catch(() => `${header}.e30.AA`), /./],
    ])) {
      const answer = await ask("/token", bearer(text));
      assertProblem(answer, 401, "unauthorized");
      assert.match(JSON.parse(answer.text).detail, detail, name);
      assert.match(String(answer.headers["www-authenticate"]), /^Bearer .*error="invalid_token"/);
      assert.ok(!answer.text.includes(signature), "an answer shows a token");
    }
    for (const headers of [{}, { authorization: "Basic YTpi" }, { authorization: good }, { "x-api-key": good }]) {
      const answer = await ask("/token", headers);
      assertProblem(answer, 401, "unauthorized");
      assert.doesNotMatch(String(answer.headers["www-authenticate"]), /error=/);
    }
    assertProblem(await ask("/token", bearer(await token({ org: {} }))), 403, "tenant_missing");
    assert.equal(asked.length, 0);
  });

  test("a token that expires is refused afterwards, though it was remembered", async () => {
    const same = body();
    const own = await token({ exp: Math.floor(Date.now() / 1000) + 3 });
    assert.equal((await ask("/token/unscoped", bearer(own), { body: same })).status, 200);
    assert.match(String((await ask("/token/unscoped", bearer(own), { body: same })).headers["cache-status"]), /hit/);
    await eventually("refused", async () => (await ask("/token/unscoped", bearer(own), { body: same })).status === 401);
  });

  test("a withdrawn key is accepted no longer than the key set is good", async () => {
    const own = await token();
    const get = async (/** @type {string} */ it) => (await ask("/token/withdrawn", bearer(it))).status;
    assert.equal(await get(own), 200);
    sets("rs2");
    try {
      const withdrawn = performance.now();
      await sleep(8_000);
      // Presented for the first time shortly before the set's end.
      const late = await token({ sub: "late" });
      if ((await get(late)) === 200) {
        await eventually("refused", async () => (await get(late)) === 401, 6_000);
      }
      assert.ok(performance.now() - withdrawn < 13_000);
    } finally {
      sets("rs", "ps", "es", "ed");
    }
  });

  test("the key set is stale through an outage, and a bad one never takes the place of a good one", async () => {
    const get = async () => (await ask("/token/brief", bearer(await token()))).status;
    assert.equal(await get(), 200);
    for (const [name, set] of /** @type {[string, typeof keySet][]} */ ([
      ["empty", (_, response) => response.end('{"keys":[]}')],
      ["huge", (_, response) => response.end(`{"keys":[],"x":"${"x".repeat(300_000)}"}`)],
      ["a page", (_, response) => response.end("<html>")],
      ["an error", (_, response) => response.writeHead(500).end()],
      ["a redirect", (_, response) => response.writeHead(302, { location: "http://127.0.0.1:1/" }).end()],
    ])) {
      keySet = set;
      await sleep(2_100);
      assert.equal(await get(), 200, name);
    }
    await sleep(3_000);
    assert.equal(await get(), 200, "past its TTL");
    assert.ok(fetched.length >= 1, "it was asked for again");
    sets("rs", "ps", "es", "ed");
  });

  test("while nobody can be asked and nothing is known, the answer is 503", async () => {
    const own = await startRuntime({
      vars: {
        ORIGIN_URL: origin.url,
        ROUTES: [{ ...POST, path: "/token", verify: jwks("http://127.0.0.1:9/jwks") }],
      },
    });
    const client = new Client(own.url, { path: "/token", connections: 4 });
    try {
      const headers = { "content-type": "application/json", ...bearer(await token()) };
      const answer = await client.raw("POST", "/token", { headers, body: "{}" });
      assertProblem(answer, 503, "verification_unavailable");
      assert.ok(Number(answer.headers["retry-after"]) >= 1);
    } finally {
      await client.close();
      await own.stop();
    }
    assert.equal(asked.length, 0);
  });

  test("a token of a shared secret is verified, and each token has entries of its own", async () => {
    const same = body();
    const sign = (/** @type {any} */ claims, secret = JWT_SECRET, alg = "HS256") =>
      new SignJWT({ exp: Math.floor(Date.now() / 1000) + 60, ...claims })
        .setProtectedHeader({ alg })
        .sign(new TextEncoder().encode(secret));
    const [one, two] = [await sign({ sub: "1" }), await sign({ sub: "2" })];
    const answers = await Promise.all([one, two, one].map((it) => ask("/token/hmac", bearer(it), { body: same })));
    assert.deepEqual(
      answers.map(({ status }) => status),
      [200, 200, 200],
    );
    assert.equal(answers[0].text, answers[2].text);
    assert.notEqual(answers[0].text, answers[1].text);
    assert.equal((await ask("/token/hmac", bearer(await sign({}, `${JWT_SECRET}x`)))).status, 401);
    assert.equal((await ask("/token/hmac", bearer(await sign({}, JWT_SECRET, "HS512")))).status, 401);
    assert.equal((await ask("/token/hmac", bearer(await token()))).status, 401);
  });

  test("the origin is asked about a credential once at a time, alone, and its answer is remembered", async () => {
    me = (_, response) => setTimeout(() => response.writeHead(204).end(), 200);
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, place) =>
        ask("/asked", { authorization: "Basic YTpi", cookie: "a=b" }, { colo: place % 2 }),
      ),
    );
    assert.ok(answers.every(({ status }) => status === 200));
    const questions = asked.filter(({ url }) => url === "/me");
    assert.equal(questions.length, 1);
    assert.equal(questions[0].headers.authorization, "Basic YTpi");
    assert.equal(questions[0].headers.cookie, undefined);
    assert.equal(questions[0].method, "GET");
    assert.ok(asked.filter(({ url }) => url === "/asked").every(({ headers }) => headers.authorization === undefined));
  });

  test("the origin's refusal of a credential is passed on and remembered for a shorter time", async () => {
    let status = 401;
    me = (_, response) => response.writeHead(status, { "www-authenticate": 'Basic realm="origin"' }).end("secret page");
    const get = () => ask("/asked", { authorization: "Basic cmVmdXNlZA==" });
    for (let place = 0; place < 3; place += 1) {
      const answer = await get();
      assertProblem(answer, 401, "unauthorized");
      assert.equal(answer.headers["www-authenticate"], 'Basic realm="origin"');
      assert.ok(!answer.text.includes("secret page"));
    }
    assert.ok(asked.length <= 2, String(asked.length));
    status = 403;
    await eventually("forbidden", async () => (await get()).status === 403);
    status = 204;
    await eventually("accepted", async () => (await get()).status === 200);
    // Withdrawn: its answer is good for three seconds at most.
    status = 401;
    await eventually("withdrawn", async () => (await get()).status === 401, 6_000);
  });

  test("an outage of the origin locks nobody out who was known, and lets nobody in who was not", async () => {
    const get = (/** @type {string} */ user) => ask("/asked", { authorization: user });
    assert.equal((await get("Basic a25vd24=")).status, 200);
    me = (_, response) => response.writeHead(500).end();
    await sleep(3_500);
    assert.equal((await get("Basic a25vd24=")).status, 200);
    assertProblem(await get("Basic c3RyYW5nZXI="), 503, "verification_unavailable");
    for (const status of [302, 404, 429, 301, 418]) {
      me = (_, response) => response.writeHead(status, { location: "/" }).end();
      assertProblem(await get(`Basic ${status}`), 503, "verification_unavailable");
    }
  });

  test("a question has the credential alone, also beside ORIGIN_HEADERS", async () => {
    await ask("/asked", { authorization: "Basic YWxvbmU=" });
    const [question] = asked.filter(({ url }) => url === "/me");
    assert.equal(question.headers["x-secret"], undefined);
    const [computation] = asked.filter(({ url }) => url === "/asked");
    assert.equal(computation.headers["x-secret"], "for the origin alone");
  });

  test("a client that moves to another tenant gets that tenant's entries from then on", async () => {
    let tenant = "acme";
    me = (_, response) => response.writeHead(204, { "x-org": tenant }).end();
    const same = body();
    const get = async () => JSON.parse((await ask("/moving", { "x-key": "mover" }, { body: same })).text).tenant;
    assert.equal(await get(), "acme");
    tenant = "globex";
    await eventually("moved", async () => (await get()) === "globex", 5_000);
    for (let place = 0; place < 5; place += 1) assert.equal(await get(), "globex");
  });

  test("routes that ask the origin in different ways do not share its answers", async () => {
    me = (_, response) => response.writeHead(204, { "x-org": "acme", "x-team": "red" }).end();
    const get = async (/** @type {string} */ path) => JSON.parse((await ask(path, { "x-key": "both" })).text).tenant;
    assert.equal((await ask("/long", { "x-key": "both" })).status, 200);
    assert.deepEqual([await get("/org"), await get("/team"), await get("/org")], ["acme", "red", "acme"]);
    assert.equal(asked.filter(({ url }) => url === "/me").length, 3);
  });

  test("questions about bad credentials are bounded, and take no room from computations", async () => {
    me = (_, response) => response.writeHead(401).end();
    const flood = await Promise.all(
      Array.from({ length: 20 }, (_, place) => ask("/flooded", { "x-key": `bad-${place}` })),
    );
    const count = (/** @type {number} */ status) => flood.filter((it) => it.status === status).length;
    assert.deepEqual([count(401), count(429)], [3, 17]);
    assert.equal(asked.length, 3);
    // Questions that hang.
    me = () => {};
    const hanging = Array.from({ length: 60 }, (_, place) => ask("/long", { "x-key": `hangs-${place}` }));
    await sleep(300);
    assert.equal((await ask("/keys", { "x-api-key": "acme-key-1" })).status, 200);
    for (const answer of await Promise.all(hanging)) assertProblem(answer, 503, "verification_unavailable");
  });

  test("the origin may name the tenant of a credential", async () => {
    me = (request, response) =>
      response.writeHead(200, { "x-org": String(request.headers["x-key"]).split("-")[0], "content-length": "5" }).end();
    const same = body();
    const get = (/** @type {string} */ key) => ask("/asked/tenant", { "x-key": key }, { body: same });
    const [one, two, other] = [await get("acme-1"), await get("acme-2"), await get("globex-1")];
    assert.equal(one.text, two.text);
    assert.notEqual(one.text, other.text);
    assert.deepEqual([...new Set(asked.filter(({ url }) => url === "/me").map(({ method }) => method))], ["HEAD"]);
    me = (_, response) => response.writeHead(200, { "x-org": "two words" }).end();
    assertProblem(await get("nobody"), 403, "tenant_missing");
  });

  test("a tenant in a header counts only beside the proxy's token, which the origin does not get", async () => {
    const same = body();
    const get = (/** @type {any} */ headers) => ask("/proxy", headers, { body: same });
    assertProblem(await get({ "x-tenant": "acme" }), 403, "forbidden");
    assertProblem(await get({ "x-tenant": "acme", "x-proxy-token": "wrong" }), 403, "forbidden");
    assertProblem(await get({ "x-proxy-token": PROXY_TOKEN }), 403, "tenant_missing");
    assertProblem(await get({ "x-proxy-token": PROXY_TOKEN, "x-tenant": "acme, globex" }), 403, "tenant_missing");
    assert.equal(asked.length, 0);
    const acme = await get({ "x-proxy-token": PROXY_TOKEN, "x-tenant": "acme" });
    const globex = await get({ "x-proxy-token": PROXY_TOKEN, "x-tenant": "globex" });
    assert.deepEqual([JSON.parse(acme.text).tenant, JSON.parse(globex.text).tenant], ["acme", "globex"]);
    assert.ok(asked.every(({ headers }) => headers["x-proxy-token"] === undefined));
  });

  test("what is passed on behind a proxy has the verified tenant, and not the proxy's token", async () => {
    const path = `/behind/${(places += 1)}`;
    const headers = { "x-proxy-token": PROXY_TOKEN, "x-tenant": "acme", x_tenant: "globex" };
    for (const method of ["GET", "PUT", "DELETE"]) {
      assert.equal(JSON.parse((await ask(path, headers, { method })).text).tenant, "acme", method);
    }
    assert.equal(asked.length, 3);
    for (const { headers: seen } of asked) {
      assert.deepEqual([seen["x-proxy-token"], seen.x_tenant, seen["x-tenant"]], [undefined, undefined, "acme"]);
    }
    assertProblem(await ask(path, { "x-tenant": "acme" }, { method: "DELETE" }), 403, "forbidden");
  });

  test("a tenant in the properties of a service binding cannot be forged from outside", async () => {
    const same = body();
    const through = async (/** @type {string} */ name, headers = {}) => {
      const answer = await fetch(`${runtime.callerUrls[name]}/props`, {
        method: "POST",
        headers: { "content-type": "application/json", ...headers },
        body: same,
      });
      return { status: answer.status, text: await answer.text() };
    };
    const [acme, globex] = [await through("acme", { "x-tenant": "globex" }), await through("globex")];
    assert.deepEqual([JSON.parse(acme.text).tenant, JSON.parse(globex.text).tenant], ["acme", "globex"]);
    assert.deepEqual(await through("acme"), acme);
    for (const name of ["nobody", "odd"]) assert.equal((await through(name)).status, 403, name);
    assertProblem(await ask("/props", { "x-tenant": "acme", props: '{"tenant":"acme"}' }), 403, "forbidden");
  });

  test("without verification each credential may have entries of its own, and the origin judges it", async () => {
    const same = body();
    const get = (/** @type {any} */ headers) => ask("/mine", headers, { body: same });
    const [one, two, none] = [await get(bearer("1")), await get(bearer("2")), await get({})];
    assert.equal(new Set([one.text, two.text, none.text]).size, 3);
    assert.equal((await get(bearer("1"))).text, one.text);
    assert.equal((await get({})).text, none.text);
    assert.notEqual((await get({ ...bearer("1"), cookie: "a=b" })).text, one.text, "all credentials count");
    assert.equal(asked.length, 4);
  });

  test("an origin that refuses a client's credential takes back what it has shown this client", async () => {
    for (const [path, method] of [
      ["/mine/brief", "POST"],
      [`/personal/${(places += 1)}`, "GET"],
    ]) {
      const same = body();
      const get = (/** @type {string} */ user) => ask(path, bearer(user), { body: same, method });
      assert.equal((await get("leaves")).status, 200);
      assert.equal((await get("stays")).status, 200);
      refusing = "Bearer leaves";
      await eventually("refused", async () => (await get("leaves")).status === 401, 6_000);
      const answer = await get("leaves");
      assert.equal(answer.headers["www-authenticate"], 'Bearer realm="origin"');
      assert.equal(answer.text, '{"why":"withdrawn"}');
      assert.equal((await get("stays")).status, 200);
      refusing = "";
      await eventually("accepted again", async () => (await get("leaves")).status === 200, 4_000);
    }
  });

  test("a page of a tenant is passed on, stored and invalidated for that tenant alone", async () => {
    const path = `/pages/${(places += 1)}`;
    const get = (/** @type {string} */ key, method = "GET") =>
      ask(path, { "x-api-key": key, "x-tenant": "evil", authorization: "Bearer x" }, { method });
    const [acme, globex] = [await get("acme-key-1"), await get("globex-key")];
    assert.deepEqual([JSON.parse(acme.text).tenant, JSON.parse(globex.text).tenant], ["acme", "globex"]);
    assert.ok(asked.every(({ headers }) => headers["x-api-key"] === undefined && headers.authorization === undefined));
    assert.match(String((await get("acme-key-2")).headers["cache-status"]), /hit/);
    assertProblem(await get("wrong", "PUT"), 401, "unauthorized");
    const changed = await get("acme-key-1", "PUT");
    assert.equal(JSON.parse(changed.text).tenant, "acme", "also what is passed on has the verified tenant");
    assert.match(String((await get("acme-key-1")).headers["cache-status"]), /fwd=miss/);
    assert.match(String((await get("globex-key")).headers["cache-status"]), /hit/);
  });

  test("an answer that is passed on says which credential it is for, and the origin gets none", async () => {
    const headers = { "x-custom-key": "acme-key-1", authorization: "Bearer a", cookie: "a=b" };
    // Above max_response.
    for (let place = 0; place < 2; place += 1) {
      const answer = await ask(`/custom/large`, headers, { method: "GET" });
      assert.equal(answer.status, 200);
      assert.match(String(answer.headers["cache-status"]), /fwd=bypass/);
      assert.match(String(answer.headers.vary), /x-custom-key/);
    }
    for (const { headers: seen } of asked) {
      assert.deepEqual([seen["x-custom-key"], seen.authorization, seen.cookie], [undefined, undefined, undefined]);
    }
  });

  test("no other spelling of a path leads around its verification", async () => {
    for (const [path, method] of [
      ["/open/SECRET/1", "GET"],
      ["/open/secret;a/1", "GET"],
      ["/open/secret/a;b/../1", "GET"],
      ["/open;a/secret/1", "GET"],
      ["/open/Secret/1", "PUT"],
      ["/open/EXACT", "POST"],
      ["/open/exact/", "POST"],
      ["/open/exact;a=b", "POST"],
      ["/open/exact", "GET"],
      ["/open/%65xact", "GET"],
      ["/passed/open/SECRET/1", "GET"],
    ]) {
      const answer = await ask(String(path), {}, { method });
      assert.ok([400, 401, 404, 405].includes(answer.status), `${method} ${path}: ${answer.status}`);
    }
    assert.equal(asked.length, 0);
    assert.equal((await ask("/open/other", {}, { method: "GET" })).status, 200);
  });

  test("a private answer is stored for the client that it is for, and for no other", async () => {
    const path = `/personal/${(places += 1)}`;
    const get = (/** @type {string} */ user) => ask(path, bearer(user), { method: "GET" });
    const [one, two] = [await get("1"), await get("2")];
    assert.notEqual(one.text, two.text);
    assert.match(String((await get("1")).headers["cache-status"]), /hit/);
    assert.match(String(one.headers.vary), /authorization/);
  });

  test("the admin paths say whose entries they mean", async () => {
    const same = body();
    const tenant = (/** @type {string} */ key) => ask("/keys/tenant", { "x-api-key": key }, { body: same });
    await tenant("acme-key-1");
    await tenant("globex-key");
    const named = { path: "/keys/tenant", body: JSON.parse(same) };
    const admin = (/** @type {string} */ path, /** @type {any} */ value) =>
      clients[0].raw("POST", `/_xfetch/${path}`, {
        headers: { authorization: `Bearer ${ADMIN_TOKEN}`, "content-type": "application/json" },
        body: JSON.stringify(value),
      });
    for (const bad of [{}, { tenant: "" }, { tenant: 1 }, { tenant: "a b" }, { credentials: {} }]) {
      assertProblem(await admin("purge", { ...named, ...bad }), 400, "bad_body");
    }
    assertProblem(await admin("inspect", { path: "/keys", body: {}, tenant: "acme" }), 400, "bad_body");
    const explained = JSON.parse((await admin("explain", { ...named, tenant: "acme" })).text);
    assert.match(explained.canonical, /^\[\["tenant","acme"\],/);
    assert.equal(explained.answer, "fresh_hit");
    assert.match(explained.key, /^[0-9a-f]{32}-[0-9a-f]{64}$/);
    assert.equal((await admin("purge", { ...named, tenant: "acme", hard: true })).status, 200);
    assert.match(String((await tenant("acme-key-1")).headers["cache-status"]), /fwd=miss/);
    assert.match(String((await tenant("globex-key")).headers["cache-status"]), /hit/);
    // By credential: the header field as the client sends it.
    await ask("/keys/own", bearer("acme-key-1"), { body: same });
    const own = { path: "/keys/own", body: JSON.parse(same), credentials: { authorization: "Bearer acme-key-1" } };
    const inspected = await admin("inspect", own);
    assert.ok(JSON.parse(inspected.text).memory.entry, inspected.text);
    assert.ok(!inspected.text.includes("acme-key-1"), "a stored key shows a credential");
    assertProblem(await admin("inspect", { ...own, credentials: { cookie: "a" } }), 400, "bad_body");
    assertProblem(await admin("inspect", { ...own, credentials: { authorization: 1 } }), 400, "bad_body");
  });

  test("a preflight allows the header with the credential", async () => {
    const own = await startRuntime({
      vars: {
        ORIGIN_URL: origin.url,
        CORS_ORIGINS: ["https://app.example"],
        API_KEYS: JSON.stringify({ acme: sha256("k") }),
        ROUTES: [{ ...POST, path: "/keys", verify: { keys: {} } }],
      },
    });
    try {
      const answer = await fetch(`${own.url}/keys`, {
        method: "OPTIONS",
        headers: { origin: "https://app.example", "access-control-request-method": "POST" },
      });
      assert.match(String(answer.headers.get("access-control-allow-headers")), /x-api-key/);
      const refused = await fetch(`${own.url}/keys`, { method: "POST", headers: { origin: "https://app.example" } });
      assert.equal(refused.status, 401);
      assert.equal(refused.headers.get("access-control-allow-origin"), "https://app.example");
    } finally {
      await own.stop();
    }
  });

  test("above the rate limit of a tenant the answer is 429, and other tenants are served", async () => {
    const same = body();
    const get = (/** @type {string} */ key) => ask("/limited", { "x-api-key": key }, { body: same });
    const answers = [];
    for (let place = 0; place < 8; place += 1) answers.push(await get(place % 2 ? "acme-key-1" : "acme-key-2"));
    assert.ok(answers.slice(0, 5).every(({ status }) => status === 200));
    const last = answers.at(-1);
    assertProblem(last, 429, "rate_limited");
    assert.equal(last?.headers["retry-after"], "60");
    assert.equal((await get("globex-key")).status, 200);
  });

  test("a tenant that asks for too many new keys is held back, and its warm keys are served", async () => {
    const warm = body();
    const get = (/** @type {string} */ key, given = body()) => ask("/new", { "x-api-key": key }, { body: given });
    assert.equal((await get("acme-key-1", warm)).status, 200);
    const others = [await get("acme-key-1"), await get("acme-key-2"), await get("acme-key-1"), await get("acme-key-2")];
    assert.deepEqual(
      others.map(({ status }) => status),
      [200, 200, 429, 429],
    );
    assertProblem(others[3], 429, "too_many_new_keys");
    assert.ok(Number(others[3].headers["retry-after"]) >= 1);
    assert.match(String((await get("acme-key-1", warm)).headers["cache-status"]), /hit/);
    assert.equal((await get("globex-key")).status, 200);
  });

  test("the top list names the tenants that ask most, behind the admin token", async () => {
    for (let place = 0; place < 5; place += 1) await ask("/keys/tenant", { "x-api-key": "globex-key" });
    const shown = await clients[0].admin("GET", "top");
    const globex = shown.tenants.find(({ tenant }) => tenant === "globex");
    assert.ok(globex.requests >= 5 && globex.computations >= 5 && globex.origin_seconds >= 0, JSON.stringify(globex));
    assert.ok(shown.routes.some(({ path }) => path === "/keys/tenant"));
    assert.equal((await clients[0].raw("GET", "/_xfetch/top")).status, 401);
    assertProblem(
      await clients[0].raw("POST", "/_xfetch/top", { headers: { authorization: `Bearer ${ADMIN_TOKEN}` } }),
      405,
      "method_not_allowed",
    );
    const metrics = await clients[0].raw("GET", "/_xfetch/metrics?format=prometheus", {
      headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
    });
    assert.ok(!metrics.text.includes("globex"), "a tenant is no label");
  });

  test("new keys are counted by tenant also where all share, and by variant", async () => {
    const get = (/** @type {string} */ key) => ask("/new/shared", { "x-api-key": key });
    for (let place = 0; place < 3; place += 1) assert.equal((await get("acme-key-1")).status, 200);
    assertProblem(await get("acme-key-2"), 429, "too_many_new_keys");
    assert.equal((await get("globex-key")).status, 200);
    const path = `/varied/${(places += 1)}`;
    const languages = ["de", "en", "fr", "it", "es", "pt"];
    const answers = [];
    for (const language of languages) {
      const headers = { "x-api-key": "acme-key-1", "accept-language": language };
      answers.push((await ask(path, headers, { method: "GET" })).status);
    }
    assert.deepEqual(answers, [200, 200, 200, 429, 429, 429]);
  });

  test("a rotation of keys is learned of from a token that names a new one, and strangers cannot make it often", async () => {
    sets("rs2");
    try {
      const own = await token({}, {}, "rs2");
      // The set that was fetched at the first test is too young at first.
      await eventually("accepted", async () => (await ask("/token", bearer(own))).status === 200, 45_000);
      assert.equal(fetched.length, 1);
      const unknown = await Promise.all(
        Array.from({ length: 20 }, async (_, place) => token({}, { kid: `k${place}` }, "rs2")),
      );
      for (const answer of await Promise.all(unknown.map((it) => ask("/token", bearer(it)))))
        assert.equal(answer.status, 401);
      assert.equal(fetched.length, 1);
    } finally {
      sets("rs", "ps", "es", "ed");
    }
  });

  test("refusals are counted, questions are no computations, and no log shows a credential", async () => {
    const counted = await counters(clients[0]);
    assertSums(counted);
    assert.ok(counted.rejected_unauthorized > 20);
    assert.ok(counted.rejected_rate_limit >= 3);
    assert.ok(counted.rejected_new_keys >= 2);
    assert.ok(counted.verification_calls > 5);
    const log = JSON.stringify(runtime.logs);
    for (const secret of [...Object.values(KEYS).flat(), JWT_SECRET, PROXY_TOKEN, DIGEST_SECRET, "YTpi"]) {
      assert.ok(!log.includes(secret), `the log shows ${secret}`);
    }
  });
});

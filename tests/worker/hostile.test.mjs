// Hostile requests and broken origin answers, as tables against one running Worker. Each line has a request, the
// status and code that it must get, and how many origin calls and cached keys it may add. Both numbers are compared
// after every line, the sums of the metrics at the end.

import assert from "node:assert/strict";
import { createHash, createHmac } from "node:crypto";
import { after, before, describe, test } from "node:test";

import { ADMIN_TOKEN, PATH, assertProblem, assertSums, counters, openWorld, question, route } from "./world.mjs";
import { everything, send } from "./wire.mjs";

const JSON_TYPE = { "content-type": "application/json" };
const ADMIN = { authorization: `Bearer ${ADMIN_TOKEN}` };

/** A body that is warm in this world, spelled as in its first request. */
const WARM = { home_team: "Arsenal", away_team: "Chelsea", match_date: "caf\u00e9 😀 1/2" };
const warm = JSON.stringify(WARM);
const spelled = (from, to) => warm.replace(from, to);

/** The largest body that the route accepts here, in bytes. */
const LIMIT = 24_576;

/** A request that is refused: it reaches neither the origin nor the cache. */
const refused = (name, status, code, request) => ({
  name,
  status,
  code,
  calls: 0,
  keys: 0,
  request: { method: "POST", path: PATH, headers: JSON_TYPE, ...request },
});
/** A request that must hit the warm key. */
const same = (name, request) => ({
  name,
  status: 200,
  cache: /; hit/,
  calls: 0,
  keys: 0,
  request: { method: "POST", path: PATH, headers: JSON_TYPE, body: warm, ...request },
});
/** A request that must have a key of its own. */
const other = (name, body) => ({
  name,
  status: 200,
  cache: /stored$/,
  calls: 1,
  keys: 1,
  request: { method: "POST", path: PATH, headers: JSON_TYPE, body },
});

/** A body of any shape in a known field: the origin judges it, and its refusal is relayed. */
const judgedByOrigin = (/** @type {string} */ name, /** @type {string} */ body) => ({
  name,
  status: 404,
  calls: 1,
  keys: 0,
  request: { method: "POST", path: PATH, headers: JSON_TYPE, body },
});

const BODIES = [
  same("reordered", {
    body: `{"match_date":${JSON.stringify(WARM.match_date)},"away_team":"Chelsea","home_team":"Arsenal"}`,
  }),
  same("white space", {
    body: ` {\n "home_team" :\t"Arsenal","away_team":"Chelsea" , "match_date":${JSON.stringify(WARM.match_date)} }\r\n`,
  }),
  same("an escaped letter", { body: spelled("Arsenal", "\\u0041rsenal") }),
  same("an escaped letter beyond ASCII", { body: spelled("é", "\\u00e9") }),
  same("an escaped surrogate pair", { body: spelled("😀", "\\ud83d\\ude00") }),
  same("an escaped letter in another field", { body: spelled("Chelsea", "\\u0043helsea") }),
  same("an escaped slash", { body: spelled("/", "\\/") }),
  other("NFD instead of NFC", spelled("é", "e\u0301")),
  other("a zero-width space", spelled("caf", "caf\u200b")),
  other("a non-breaking space", spelled("caf", "\u00a0caf")),
  other("another case", spelled("caf", "Caf")),
  other("swapped teams", JSON.stringify({ ...WARM, home_team: WARM.away_team, away_team: WARM.home_team })),
  other("a separator within a text", JSON.stringify({ ...WARM, match_date: '1","home_team":"x' })),
  other("the same pieces, joined elsewhere", JSON.stringify({ ...WARM, match_date: "1,home_team:x" })),
  other("a text that looks like a number", JSON.stringify({ ...WARM, match_date: "1" })),
  other("the number it looks like", JSON.stringify({ ...WARM, match_date: 1 })),
  {
    ...other("the same number with a fraction", '{"home_team":"Arsenal","away_team":"Chelsea","match_date":1.0}'),
    cache: /; hit/,
    calls: 0,
    keys: 0,
  },
  {
    ...other("the same number with an exponent", '{"home_team":"Arsenal","away_team":"Chelsea","match_date":10e-1}'),
    cache: /; hit/,
    calls: 0,
    keys: 0,
  },
  ...[
    ["empty", ""],
    ["white space only", " \n"],
    ["no JSON", "home=Arsenal"],
    ["cut off", warm.slice(0, -1)],
    ["two values", `${warm}${warm}`],
    ["a byte order mark", `\ufeff${warm}`],
    ["a comment", `/* */${warm}`],
    ["a trailing comma", warm.replace("}", ",}")],
    ["single quotes", warm.replaceAll('"', "'")],
    ["an array", `[${warm}]`],
    ["a name twice", '{"home_team":"A","home_team":"A"}'],
    ["a name twice, once escaped", '{"home_team":"A","\\u0068ome_team":"B"}'],
    ["an unknown name", '{"home_team":"A","admin":true}'],
    ["__proto__", '{"__proto__":{"home_team":"A"}}'],
    ["nesting 10,000 deep", `{"home_team":${"[".repeat(10_000)}${"]".repeat(10_000)}}`],
    ["a number out of range", '{"home_team":1e400}'],
    ["a number out of range below", '{"home_team":-1e400}'],
    ["an integer that would lose digits", '{"home_team":9007199254740993}'],
    ["NaN", '{"home_team":NaN}'],
    ["a leading zero", '{"home_team":01}'],
    ["a control character, raw", '{"home_team":"a\u0007"}'],
    ["half a surrogate pair", '{"home_team":"\\ud83d"}'],
    ["no UTF-8", Buffer.from('{"home_team":"\xff"}', "latin1")],
    ["overlong UTF-8", Buffer.concat([Buffer.from('{"home_team":"'), Buffer.from([0xc0, 0xaf]), Buffer.from('"}')])],
  ].map(([name, body]) => refused(name, 400, "bad_body", { body })),
  ...[
    ["an object in a field", '{"home_team":{"a":1}}'],
    ["an array in a field", '{"home_team":["A"]}'],
    ["an empty text", '{"home_team":""}'],
    ["NUL", '{"home_team":"a\\u0000"}'],
    ["a control character, escaped", '{"home_team":"a\\u001b[31m"}'],
    ["DEL", '{"home_team":"a\\u007f"}'],
    ["a long text", JSON.stringify({ home_team: "x".repeat(10_000) })],
    ["a double beyond 2^53", '{"home_team":1e22}'],
  ].map(([name, body]) => judgedByOrigin(name, body)),
  refused("one byte over the limit", 413, "body_too_large", {
    body: warm.padEnd(LIMIT + 1 - Buffer.byteLength(warm) + warm.length),
  }),
  // No larger, because the runtime reads only so much of a refused body; beyond it, the connection may break first.
  refused("twice the limit", 413, "body_too_large", { body: Buffer.alloc(2 * LIMIT, 0x20) }),
  refused("streamed over the limit", 413, "body_too_large", {
    body: () => /** @type {any} */ (ReadableStream).from([Buffer.alloc(LIMIT - 10, 0x20), Buffer.from(warm)]),
  }),
  same("at the limit", { body: warm + " ".repeat(LIMIT - Buffer.byteLength(warm)) }),
  same("streamed", {
    body: () => /** @type {any} */ (ReadableStream).from([Buffer.from(warm.slice(0, 9)), Buffer.from(warm.slice(9))]),
  }),
];

const HEADERS = [
  ...[
    { "x-forwarded-host": "evil.example" },
    { "x-forwarded-for": "127.0.0.1" },
    { "x-forwarded-proto": "http" },
    { "x-original-url": "/admin" },
    { "x-rewrite-url": "/admin" },
    { "x-http-method-override": "GET" },
    { forwarded: "host=evil.example;proto=http" },
    { range: "bytes=0-3" },
    { "if-match": '"no"' },
    { "if-modified-since": "Thu, 01 Jan 2099 00:00:00 GMT" },
    { "if-unmodified-since": "Thu, 01 Jan 1970 00:00:00 GMT" },
    { "if-range": '"no"' },
    { "if-none-match": '"another"' },
    { accept: "text/html" },
    { "accept-encoding": "gzip, br" },
    { "accept-language": "de" },
    { "cache-control": "no-cache, no-store, max-age=0" },
    { pragma: "no-cache" },
    { origin: "https://evil.example" },
    { referer: "https://evil.example/" },
    { "user-agent": "<script>" },
    { "x-xfetch-token": ADMIN_TOKEN },
    { "cdn-loop": "another-cache; v=2" },
    { "content-encoding": "identity" },
  ].map((extra) =>
    same(`${Object.keys(extra)[0]}: ${Object.values(extra)[0]}`, {
      headers: { ...JSON_TYPE, ...extra },
      isPlain: true,
    }),
  ),
  refused("no content type", 415, "unsupported_media_type", { headers: {}, body: warm }),
  ...[
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/jsonp",
    "application/json; charset=utf-16",
    "application/json, text/plain",
  ].map((type) =>
    refused(`content type ${type}`, 415, "unsupported_media_type", { headers: { "content-type": type }, body: warm }),
  ),
  ...["gzip", "br", "identity, gzip"].map((encoding) =>
    refused(`content encoding ${encoding}`, 415, "unsupported_media_type", {
      headers: { ...JSON_TYPE, "content-encoding": encoding },
      body: warm,
    }),
  ),
  refused("a request that has passed this cache", 508, "loop_detected", {
    headers: { ...JSON_TYPE, "cdn-loop": "a, XFETCH-EDGE; v=1" },
    body: warm,
  }),
];

const METHODS = ["GET", "HEAD", "PUT", "DELETE", "PATCH"].map((method) =>
  refused(method, 405, "method_not_allowed", { method, headers: {} }),
);

const PATHS = [
  ...[
    `${PATH}/`,
    `${PATH};x.css`,
    `${PATH}.css`,
    `${PATH}/x.css`,
    `${PATH}%2f`,
    `${PATH}%00`,
    `${PATH}%0a`,
    `${PATH}%3Fx=1`,
    `${PATH}%23x`,
    `/${PATH}`,
    PATH.toUpperCase(),
    PATH.replace("brain", "%62rain"),
    PATH.replace("/brain", "//brain"),
    "/",
    "/favicon.ico",
    "/.well-known/x",
  ].map((path) => refused(`path ${path}`, 404, "not_found", { path, body: warm })),
  // The runtime's URL parser resolves dot segments and backslashes before the Worker sees the path.
  ...["/x/../brain", "/%2e/brain", "/x/%2e%2e/brain", "\\brain"].map((segment) =>
    same(`resolved ${segment}`, { path: PATH.replace("/brain", segment) }),
  ),
  same("a question mark and no query", { path: `${PATH}?` }),
  ...["?x=1", "?__proto__=1", "?a=%00"].map((query) =>
    refused(`query ${query}`, 400, "query_not_allowed", { path: PATH + query, body: warm }),
  ),
  ...["/open/..%2fx", "/open/a%5c..%5cx", "/open//x", "/open/%252e%252e/x"].map((path) =>
    refused(`forwarded path ${path}`, 400, "ambiguous_path", { method: "GET", headers: {}, path }),
  ),
  refused("a forwarded path that leaves its prefix", 404, "not_found", {
    method: "GET",
    headers: {},
    path: "/open/%2e%2e/x",
  }),
  refused("a prefix that is no whole segment", 404, "not_found", { method: "GET", headers: {}, path: "/opener" }),
];

const ADMINS = [
  ...["metrics", "inspect", "explain", "purge", "metrics/reset", "openapi.json", "nothing"].flatMap((path) => [
    refused(`${path} without a token`, 401, "unauthorized", { path: `/_xfetch/${path}`, headers: {}, body: "{}" }),
    refused(`${path} with the token in the query`, 401, "unauthorized", {
      path: `/_xfetch/${path}?token=${ADMIN_TOKEN}`,
      headers: {},
      body: "{}",
    }),
  ]),
  ...[
    "Bearer",
    "Bearer ",
    `Bearer ${ADMIN_TOKEN.slice(0, -1)}`,
    `Bearer ${ADMIN_TOKEN}x`,
    `Bearer ${ADMIN_TOKEN.toUpperCase()}`,
    `Basic ${ADMIN_TOKEN}`,
    ADMIN_TOKEN,
    `Bearer ${ADMIN_TOKEN},x`,
  ].map((authorization) =>
    refused(`authorization ${authorization.replace(ADMIN_TOKEN, "TOKEN")}`, 401, "unauthorized", {
      path: "/_xfetch/purge",
      headers: { authorization },
      body: "{}",
    }),
  ),
  ...["metrics/reset", "purge", "inspect", "explain"].map((path) =>
    refused(`GET ${path}`, 405, "method_not_allowed", { method: "GET", path: `/_xfetch/${path}`, headers: ADMIN }),
  ),
  ...["metrics", "health", "openapi.json"].map((path) =>
    refused(`POST ${path}`, 405, "method_not_allowed", { path: `/_xfetch/${path}`, headers: ADMIN, body: "{}" }),
  ),
  refused("an unknown path", 404, "not_found", { method: "GET", path: "/_xfetch/entry/0", headers: ADMIN }),
  refused("an unknown format", 400, "unknown_format", {
    method: "GET",
    path: "/_xfetch/metrics?format=xml",
    headers: ADMIN,
  }),
  ...[
    ["no JSON", "x"],
    ["no object", "[]"],
    ["no path", '{"body":{}}'],
    ["a path of another type", '{"path":1,"body":{}}'],
    ["no body", JSON.stringify({ path: PATH })],
    ["an unknown name", JSON.stringify({ path: PATH, body: WARM, soft: true })],
    ["hard of another type", JSON.stringify({ path: PATH, body: WARM, hard: "yes" })],
    ["a header that is not keyed", JSON.stringify({ path: PATH, body: WARM, headers: { "x-other": "1" } })],
    ["a body that the route refuses", JSON.stringify({ path: PATH, body: { other: 1 } })],
  ].flatMap(([name, body]) =>
    ["purge", "inspect", "explain"].map((path) =>
      refused(`${path}: ${name}`, 400, "bad_body", { path: `/_xfetch/${path}`, headers: ADMIN, body }),
    ),
  ),
  ...["purge", "inspect", "explain"].map((path) =>
    refused(`${path}: an unknown route`, 404, "unknown_route", {
      path: `/_xfetch/${path}`,
      headers: ADMIN,
      body: '{"path":"/x","body":{}}',
    }),
  ),
];

const FORECAST = "/api/v1/brain/forecast";
const TOKENS = "/api/v1/brain/tokens";
const KEYS = { acme: "the-key-of-acme", globex: "the-key-of-globex" };
const JWT_SECRET = "a-secret-of-this-table-0123456789abc";
const sha256 = (/** @type {string} */ text) => createHash("sha256").update(text).digest("hex");
/** The route of tenants, and one that takes tokens. */
const SCOPED = [
  {
    path: FORECAST,
    ttl: 600,
    credentials: "verify",
    verify: { keys: {} },
    scope: "tenant",
    send_tenant: "x-tenant",
    fields: ["home_team", "away_team", "match_date"],
  },
  {
    path: TOKENS,
    credentials: "verify",
    verify: { jwt: { algorithms: ["HS256"], issuer: "a", audience: "b", tenant: "org" } },
    scope: "tenant",
  },
];

const asTenant = (/** @type {any} */ headers, body = warm) => ({
  path: FORECAST,
  headers: { ...JSON_TYPE, ...headers },
  body,
});
/** A request for the warm key of the tenant acme. */
const ofAcme = (/** @type {string} */ name, /** @type {any} */ more) =>
  same(name, asTenant({ "x-api-key": KEYS.acme, ...more }));
const unknown = (/** @type {string} */ name, /** @type {any} */ headers) =>
  refused(name, 401, "unauthorized", asTenant(headers));

const TENANTS = [
  unknown("no key", {}),
  unknown("an empty key", { "x-api-key": "" }),
  unknown("a key that nobody has", { "x-api-key": "x" }),
  unknown("the digest of a key", { "x-api-key": sha256(KEYS.acme) }),
  unknown("a key in another case", { "x-api-key": KEYS.acme.toUpperCase() }),
  unknown("a key that is cut off", { "x-api-key": KEYS.acme.slice(0, -1) }),
  unknown("a key and more", { "x-api-key": `${KEYS.acme}x` }),
  unknown("two keys in a field", { "x-api-key": `${KEYS.acme}, ${KEYS.globex}` }),
  unknown("two fields", { "x-api-key": [KEYS.acme, KEYS.globex] }),
  unknown("a key with a scheme", { "x-api-key": `Bearer ${KEYS.acme}` }),
  unknown("the key in another header", { authorization: `Bearer ${KEYS.acme}` }),
  unknown("the key in a cookie", { cookie: `x-api-key=${KEYS.acme}` }),
  unknown("a tenant instead of a key", { "x-tenant": "acme" }),
  unknown("the admin token", { authorization: `Bearer ${ADMIN_TOKEN}` }),
  unknown("a key of ten thousand bytes", { "x-api-key": "x".repeat(10_000) }),
  refused("a key in the query", 400, "query_not_allowed", {
    ...asTenant({ "x-api-key": KEYS.acme }),
    path: `${FORECAST}?x-api-key=${KEYS.acme}`,
  }),
  ofAcme("the tenant's key", {}),
  ofAcme("another tenant's name beside it", { "x-tenant": "globex" }),
  ofAcme("another spelling of that", { "X-Tenant": "globex", x_tenant: "globex" }),
  ofAcme("a cookie and a token beside it", { cookie: "a=b", authorization: "Bearer x" }),
  {
    ...other("the same request of another tenant", warm),
    request: { method: "POST", ...asTenant({ "x-api-key": KEYS.globex, "x-tenant": "acme" }) },
  },
  same("and again", asTenant({ "x-api-key": KEYS.globex })),
  refused("a tenant in the body", 400, "bad_body", {
    ...asTenant({ "x-api-key": KEYS.globex }, JSON.stringify({ ...WARM, tenant: "acme" })),
  }),
  refused("a body that is the begin of a key", 400, "bad_body", {
    ...asTenant({ "x-api-key": KEYS.globex }, '["tenant","acme"]'),
  }),
  ...[
    ["no tenant", {}],
    ["a tenant of another type", { tenant: 1 }],
    ["an empty tenant", { tenant: "" }],
    ["a tenant with a space", { tenant: "acme globex" }],
    ["a credential in its place", { credentials: { "x-api-key": KEYS.acme } }],
    ["both", { tenant: "acme", credentials: {} }],
  ].flatMap(([name, more]) =>
    ["purge", "inspect", "explain"].map((path) =>
      refused(`${path}: ${name}`, 400, "bad_body", {
        path: `/_xfetch/${path}`,
        headers: ADMIN,
        body: JSON.stringify({ path: FORECAST, body: WARM, .../** @type {any} */ (more) }),
      }),
    ),
  ),
  refused("a tenant on a route that all share", 400, "bad_body", {
    path: "/_xfetch/purge",
    headers: ADMIN,
    body: JSON.stringify({ path: PATH, body: WARM, tenant: "acme" }),
  }),
];

const encoded = (/** @type {unknown} */ value) => Buffer.from(JSON.stringify(value)).toString("base64url");
/** A token signed with the secret of this table. */
function signed(/** @type {any} */ claims = {}, header = {}, secret = JWT_SECRET) {
  const all = { iss: "a", aud: "b", org: "acme", exp: 4_000_000_000, ...claims };
  const text = `${encoded({ alg: "HS256", ...header })}.${encoded(all)}`;
  return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
}
const [HEAD_PART, CLAIMS_PART, SIGNATURE] = signed().split(".");
const badToken = (/** @type {string} */ name, /** @type {string} */ token) =>
  refused(name, 401, "unauthorized", {
    path: TOKENS,
    headers: { ...JSON_TYPE, authorization: `Bearer ${token}` },
    body: "{}",
  });

const BAD_TOKENS = [
  badToken("none", `${encoded({ alg: "none" })}.${CLAIMS_PART}.`),
  badToken("none with a signature", `${encoded({ alg: "none" })}.${CLAIMS_PART}.${SIGNATURE}`),
  badToken("None", `${encoded({ alg: "None" })}.${CLAIMS_PART}.${SIGNATURE}`),
  badToken("another algorithm of the same secret", signed({}, { alg: "HS512" })),
  badToken("an algorithm of public keys", signed({}, { alg: "RS256" })),
  badToken("no algorithm", signed({}, { alg: undefined })),
  badToken("another secret", signed({}, {}, `${JWT_SECRET}x`)),
  badToken("an empty secret", signed({}, {}, "")),
  badToken("other claims", `${HEAD_PART}.${encoded({ iss: "a", aud: "b", org: "globex", exp: 4e9 })}.${SIGNATURE}`),
  badToken("cut off", signed().slice(0, -6)),
  badToken("a part too many", `${signed()}.x`),
  badToken("a part too few", `${HEAD_PART}.${CLAIMS_PART}`),
  badToken("padding", `${signed()}=`),
  badToken(
    "the other alphabet",
    signed()
      .replaceAll("-", "+")
      .replaceAll("_", "/")
      .replace(/\.[^.]*$/, ".a+b/"),
  ),
  badToken("expired", signed({ exp: 1 })),
  badToken("without an end", signed({ exp: undefined })),
  badToken("an end that is a text", signed({ exp: "4000000000" })),
  badToken("an end beyond all clocks", signed({ exp: 1e300 })),
  badToken("not yet", signed({ nbf: 3_999_999_999 })),
  badToken("another issuer", signed({ iss: "A" })),
  badToken("a list of issuers", signed({ iss: ["a"] })),
  badToken("another audience", signed({ aud: ["c"] })),
  badToken("something critical", signed({}, { crit: ["exp"] })),
  badToken("a key's name of another type", signed({}, { kid: { $ne: null } })),
  badToken("a key's name that is a path", signed({}, { kid: "../../../dev/null" }, "")),
  badToken(
    "a name given twice",
    `${Buffer.from('{"alg":"HS256","alg":"HS256"}').toString("base64url")}.${CLAIMS_PART}.${SIGNATURE}`,
  ),
  badToken("no object", `${encoded([])}.${encoded([])}.${SIGNATURE}`),
  badToken(
    "nesting",
    `${Buffer.from(`{"alg":"HS256","x":${"[".repeat(200)}${"]".repeat(200)}}`).toString("base64url")}.${CLAIMS_PART}.${SIGNATURE}`,
  ),
  badToken("nine thousand bytes", signed({ x: "x".repeat(9_000) })),
  ...[
    ["no tenant", { org: undefined }],
    ["a tenant of another type", { org: ["acme"] }],
    ["a tenant with a line break", { org: "acme\n" }],
    ["a tenant with a letter beyond ASCII", { org: "acm\u00e9" }],
    ["a tenant that is too long", { org: "x".repeat(257) }],
  ].map(([name, claims]) =>
    refused(String(name), 403, "tenant_missing", {
      path: TOKENS,
      headers: { ...JSON_TYPE, authorization: `Bearer ${signed(claims)}` },
      body: "{}",
    }),
  ),
];

/** Answers of an origin to a cold key, and what the client then gets. None of them is stored. */
const ORIGINS = [
  ["set-cookie", { mode: "cookie" }, 200],
  ["private", { mode: "private" }, 200],
  ["no-store", { mode: "no-store" }, 200],
  ["Vary: *", { mode: "vary" }, 200],
  ["204", { mode: "status", status: 204 }, 502, "origin_unexpected_status"],
  ["205", { mode: "status", status: 205 }, 502, "origin_unexpected_status"],
  ["206", { mode: "status", status: 206 }, 502, "origin_unexpected_status"],
  ["304 that nobody asked for", { mode: "status", status: 304 }, 502, "origin_unexpected_status"],
  ["a redirect", { mode: "redirect" }, 502, "origin_redirect"],
  ["401", { mode: "status", status: 401 }, 502, "origin_unauthorized"],
  ["403", { mode: "status", status: 403 }, 502, "origin_unauthorized"],
  ["404", { mode: "status", status: 404 }, 404],
  ["404 in HTML", { mode: "no-html" }, 404, "origin_refused"],
  ["404 with invalid JSON", { mode: "no-garbage" }, 404, "origin_refused"],
  ["404 with a large body", { mode: "no-huge" }, 502, "origin_body_too_large"],
  ["405", { mode: "status", status: 405 }, 405],
  ["407", { mode: "status", status: 407 }, 502, "origin_unauthorized"],
  ["429", { mode: "status", status: 429 }, 502, "origin_busy"],
  ["500", { mode: "status", status: 500 }, 502, "origin_error"],
  ["599", { mode: "status", status: 599 }, 502, "origin_error"],
  ["HTML with 200", { mode: "html" }, 502, "origin_not_json"],
  ["an empty 200", { mode: "empty" }, 502, "origin_not_json"],
  ["latin1", { mode: "latin1" }, 502, "origin_not_json"],
  ["half a body", { mode: "garbage" }, 502, "origin_not_json"],
  ["a broken connection", { mode: "truncate" }, 502, "origin_truncated"],
  ["too large", { mode: "huge" }, 502, "origin_body_too_large"],
  ["a compression bomb", { mode: "bomb" }, 502, "origin_body_too_large"],
].map(([name, mode, status, code]) => ({
  name,
  mode,
  status,
  code,
  calls: 1,
  keys: 0,
  request: { method: "POST", path: PATH, headers: JSON_TYPE },
}));

describe("hostile input", () => {
  let world;
  before(async () => {
    world = await openWorld({
      vars: {
        ROUTES: [route({ ttl: 600, max_request: LIMIT }), ...SCOPED],
        FORWARD: ["/open"],
        CORS_ORIGINS: ["https://app.example"],
        API_KEYS: JSON.stringify(
          Object.fromEntries(Object.entries(KEYS).map(([tenant, key]) => [tenant, sha256(key)])),
        ),
        JWT_SECRET,
      },
      origin: { latency: 5 },
    });
    assert.equal((await world.client.ask(warm)).status, 200);
    const request = asTenant({ "x-api-key": KEYS.acme });
    assert.equal((await world.client.raw("POST", FORECAST, request)).status, 200);
  });
  after(() => world.end());

  const remembered = async () => (await world.client.admin("GET", "metrics")).gauges.memory_entries;

  async function check({ name, status, code, cache, calls, keys, mode, request }) {
    const { client, origin } = world;
    if (mode) origin.set({ latency: 5, ...mode });
    const [callsBefore, keysBefore] = [origin.counts().calls, await remembered()];
    const { method, path, headers } = request;
    const body = mode ? question() : typeof request.body === "function" ? request.body() : request.body;
    const answer = await client.raw(method, path, {
      headers,
      body: ["GET", "HEAD"].includes(method) ? undefined : body,
    });
    if (mode) origin.set({ mode: "ok", status: 500 });
    if (code && method !== "HEAD") assertProblem(answer, status, code);
    assert.equal(answer.status, status, `${name}: ${answer.text}`);
    if (cache) assert.match(answer.headers["cache-status"], cache, name);
    if (request.isPlain) assert.equal(answer.text, world.plain ?? (world.plain = answer.text), "the same bytes");
    assert.equal(answer.headers["set-cookie"], undefined);
    if (answer.status >= 400) {
      assert.equal(answer.headers["cache-control"], "no-store", "an error must not be stored");
      assert.equal(answer.headers["x-content-type-options"], "nosniff");
      assert.doesNotMatch(answer.text, /panicked|wasm|\.rs:|RuntimeError|stack/i, "no internals are shown");
    }
    assert.equal(origin.counts().calls - callsBefore, calls, `${name}: calls of the origin`);
    assert.equal((await remembered()) - keysBefore, keys, `${name}: keys in the cache`);
  }

  for (const [what, table] of Object.entries({
    bodies: BODIES,
    headers: HEADERS,
    methods: METHODS,
    paths: PATHS,
    "admin paths": ADMINS,
    tenants: TENANTS,
    tokens: BAD_TOKENS,
    "origin answers": ORIGINS,
  })) {
    test(`${what}: ${table.length} lines`, async (t) => {
      for (const line of table) await t.test(line.name, () => check(/** @type {any} */ (line)));
    });
  }

  test("cache poisoning: an answer that was computed for a request with hostile headers is the plain one", async () => {
    const body = question();
    const strange = {
      ...JSON_TYPE,
      "x-forwarded-host": "evil.example",
      host: "evil.example",
      origin: "https://evil.example",
      "x-forwarded-scheme": "nothttps",
      accept: "text/html",
      "accept-language": "xx",
    };
    const first = await world.client.raw("POST", PATH, { body, headers: strange });
    const seen = world.origin.counts();
    assert.equal(
      seen.last_body,
      JSON.stringify(Object.fromEntries(Object.entries(JSON.parse(body)).sort())),
      "only the canonical body was sent",
    );
    for (const name of ["x-forwarded-host", "origin", "x-forwarded-scheme", "accept-language"])
      assert.equal(seen.last_headers[name], undefined);
    assert.notEqual(seen.last_headers.host, "evil.example");
    const second = await world.client.raw("POST", PATH, { body, headers: JSON_TYPE });
    assert.match(second.headers["cache-status"], /; hit/);
    assert.equal(second.text, first.text);
    assert.equal(second.headers["access-control-allow-origin"], undefined, "CORS headers are not cached");
  });

  test("request smuggling: a request that servers may read differently is refused or read in one way", async () => {
    const head = `POST ${PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n`;
    const bytes = Buffer.byteLength(warm);
    const length = `Content-Length: ${bytes}\r\n`;
    const chunked = (body) => `${Buffer.byteLength(body).toString(16)}\r\n${body}\r\n0\r\n\r\n`;
    // Each could be mistaken for a request for the warm key, or for this key, which was never requested.
    const other = question();
    const refusals = [
      `${head}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n${chunked(warm.padEnd(LIMIT + 1))}`,
      `${head}Content-Length: -${bytes}\r\n\r\n${warm}`,
      `${head}Content-Length: ${bytes}e0\r\n\r\n${warm}`,
      `${head}Content-Length: 0x${bytes.toString(16)}\r\n\r\n${warm}`,
      `${head}Transfer-Encoding: chunked\r\n\r\nzz\r\n${warm}\r\n0\r\n\r\n`,
      `${head}Transfer-Encoding: chunked, gzip\r\n\r\n${chunked(warm)}`,
      `${head}Transfer-Encoding : chunked\r\n${length}\r\n${warm}`,
    ];
    // Refused or read in one way, and never as a second request or as another key.
    const plain = [
      `POST ${PATH} HTTP/1.1\r\nContent-Type: application/json\r\n${length}Host: x\r\nHost: y\r\n\r\n${warm}`,
      `${head}${length}Content-Length: ${bytes + 1}\r\n\r\n${warm} `,
      `${head}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n${chunked(warm)}`,
      `${head}X-Long: ${"x".repeat(100_000)}\r\n${length}\r\n${warm}`,
      `POST ${PATH} HTTP/1.1\r\nContent-Type: application/json\r\n${length}\r\n${warm}`,
      `POST http://evil.example${PATH} HTTP/1.1\r\nHost: x\r\n${length}Content-Type: application/json\r\n\r\n${warm}`,
      `${head}${length}\r\n${warm}POST ${PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\n${other}`,
    ];
    const before = [world.origin.counts().calls, await remembered()];
    const ask = (request) => everything(send(world.client.base, request));
    assert.match(
      await ask(`${head}Content-Length: 1000000000\r\n\r\n{`),
      /^HTTP\/1\.1 413 /,
      "a body that announces too much is refused before it arrives",
    );
    for (const request of refusals) assert.doesNotMatch(await ask(request), /HTTP\/1\.1 2/, request.slice(0, 300));
    for (const request of plain) {
      const answer = await ask(request);
      const good = answer.match(/HTTP\/1\.1 2[^]*?\r\n\r\n/g) ?? [];
      assert.ok(good.length <= 1, `one good answer at most: ${request.slice(0, 300)}`);
      for (const head of good) assert.match(head, /^cache-status: xfetch-edge; hit/im, request.slice(0, 300));
    }
    assert.deepEqual([world.origin.counts().calls, await remembered()], before);
    assert.match(
      (await world.client.raw("POST", PATH, { body: warm, headers: JSON_TYPE })).headers["cache-status"],
      /; hit/,
      "other requests are served as before",
    );
  });

  test("the sums hold after all of this", async () => assertSums(await counters(world.client)));
});

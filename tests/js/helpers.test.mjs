import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { mock, test } from "node:test";

import { SignJWT, exportJWK, generateKeyPair, generateSecret } from "jose";

import * as helpers from "../../src/worker/helpers.js";
import { BROKEN, TICKS, TICK, TOO_SLOW } from "../../src/worker/slow_bodies.js";

const { FLAGS, LENGTH, copy, forget, requestFlags, sleep, verifySignature, wake } = helpers;
const source = (name) => readFileSync(new URL(`../../src/worker/${name}`, import.meta.url), "utf8");

function flagsOf(method, headers = {}, names = []) {
  return requestFlags({ method, headers: new Headers(headers) }, names);
}

test("each flag states one fact about a request's head", () => {
  assert.equal(flagsOf("POST"), FLAGS.POST);
  assert.equal(flagsOf("OPTIONS"), FLAGS.OPTIONS);
  for (const method of /** @type {const} */ (["GET", "HEAD", "QUERY"])) assert.equal(flagsOf(method), FLAGS[method]);
  for (const method of ["PUT", "query", "toString"]) assert.equal(flagsOf(method), 0);
  const headers = [
    ["content-type", "application/json", FLAGS.JSON_TYPE],
    ["content-type", "text/plain", 0],
    ["content-encoding", "gzip", FLAGS.CONTENT_ENCODING],
    ["authorization", "Bearer x", FLAGS.CREDENTIALS],
    ["cookie", "a=b", FLAGS.CREDENTIALS],
    ["x-api-key", "secret", FLAGS.CREDENTIALS],
    ["x-other", "secret", 0],
    ["if-none-match", "*", FLAGS.NONE_MATCH],
    ["cdn-loop", "x", FLAGS.LOOP],
    ["range", "bytes=0-", 0],
    ["if-modified-since", "x", 0],
  ];
  for (const [name, value, flag] of headers)
    assert.equal(flagsOf("PUT", { [name]: value }, ["x-api-key"]), flag, String(name));
  assert.equal(flagsOf("GET", { range: "bytes=0-" }), FLAGS.GET | FLAGS.RANGE);
  assert.equal(flagsOf("HEAD", { "if-modified-since": "x" }), FLAGS.HEAD | FLAGS.MODIFIED_SINCE);
});

test("a plausible Content-Length is stored above the flags, any other is left out", () => {
  const length = (headers) => Math.floor(flagsOf("POST", headers) / LENGTH) - 1;
  assert.equal(length({}), -1);
  assert.equal(length({ "content-length": "0" }), 0);
  assert.equal(length({ "content-length": "65536" }), 65_536);
  assert.equal(length({ "content-length": "9007199254740991" }), 2 ** 40, "capped, so that the sum is exact");
  for (const wrong of ["-1", "1.5", "x", "9007199254740993"])
    assert.equal(length({ "content-length": wrong }), -1, wrong);
  assert.equal(length({ "content-length": "5", "transfer-encoding": "chunked" }), -1);
});

test("Rust and JavaScript have the same flags and numbers", () => {
  const rust = source("request_flags.rs");
  const functions = {
    POST: "is_post",
    OPTIONS: "is_options",
    GET: "is_get",
    HEAD: "is_head",
    QUERY: "is_query",
    JSON_TYPE: "has_json_type",
    CONTENT_ENCODING: "has_content_encoding",
    CREDENTIALS: "has_credentials",
    LOOP: "has_loop",
    NONE_MATCH: "has_none_match",
    MODIFIED_SINCE: "has_modified_since",
    RANGE: "has_range",
  };
  assert.deepEqual(Object.keys(functions), Object.keys(FLAGS));
  for (const [flag, name] of Object.entries(functions)) {
    const bit = rust.match(new RegExp(`fn ${name}\\(self\\) -> bool \\{\\s*self\\.has\\((\\d+)\\)`));
    assert.equal(1 << Number(bit?.[1]), FLAGS[flag], name);
  }
  assert.equal(2 ** Number(rust.match(/const BITS: u32 = (\d+);/)?.[1]), LENGTH);
  const handler = source("handler.rs");
  assert.equal(Number(handler.match(/const TOO_SLOW: i32 = (-\d+);/)?.[1]), TOO_SLOW);
  assert.deepEqual(
    [BROKEN, TOO_SLOW].map((it) => it < 0),
    [true, true],
  );
  assert.notEqual(Number(BROKEN), Number(TOO_SLOW));
  const timeout = Number(
    source("request.rs")
      .match(/const BODY_TIMEOUT: Span = Span\(([\d_]+)\);/)?.[1]
      .replaceAll("_", ""),
  );
  assert.equal((TICKS - 1) * TICK, timeout);
  const wanted = [...source("helpers.rs").matchAll(/js_name = (\w+)|fn (\w+)\(/g)].map((it) => it[1] ?? it[2]);
  for (const name of ["requestFlags", "copy", "respond", "sleep", "wake", "forget"]) {
    assert.ok(wanted.includes(name) && name in helpers, name);
  }
});

test("bytes are copied to their address, also after the memory has grown", () => {
  const body = new Uint8Array([1, 2, 3, 4]).buffer;
  for (const pages of [8, 16]) {
    const memory = { buffer: new ArrayBuffer(pages) };
    copy(body, 3, memory, 2);
    assert.deepEqual([...new Uint8Array(memory.buffer)].slice(0, 6), [0, 0, 1, 2, 3, 0]);
  }
});

test("a sleep ends by its timer, when it is woken, or when it is forgotten", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const ended = [];
    /** @type {[string, (sleeping: any) => void][]} */
    const ways = [
      ["timer", () => mock.timers.tick(50)],
      ["woken", wake],
      ["forgotten", forget],
    ];
    for (const [name, end] of ways) {
      const sleeping = sleep(50);
      sleeping.then(() => ended.push(name));
      await Promise.resolve();
      assert.ok(!ended.includes(name));
      end(sleeping);
      await sleeping;
      await Promise.resolve();
    }
    assert.deepEqual(ended, ["timer", "woken", "forgotten"]);
  } finally {
    mock.timers.reset();
  }
});

test("a signature is verified by its key and algorithm alone", async () => {
  for (const algorithm of ["HS256", "HS512", "RS256", "PS384", "ES256", "ES512", "EdDSA"]) {
    const isSecret = algorithm.startsWith("HS");
    const secret = await generateSecret(isSecret ? algorithm : "HS256", { extractable: true });
    const pair = isSecret
      ? { publicKey: secret, privateKey: secret }
      : await generateKeyPair(algorithm, { extractable: true });
    const signing = new SignJWT({ a: 1 }).setProtectedHeader({ alg: algorithm });
    const [header, claims, signature] = (await signing.sign(pair.privateKey)).split(".");
    const jwk = JSON.stringify(await exportJWK(pair.publicKey));
    const bytes = new Uint8Array(Buffer.from(signature, "base64url"));
    const verify = (/** @type {any} */ key, name = algorithm, signed = `${header}.${claims}`) =>
      verifySignature(key, name, bytes, signed).catch(() => "no such key");
    assert.equal(await verify(jwk), true, algorithm);
    assert.equal(await verify(jwk, algorithm, `${header}.${claims}A`), false);
    assert.notEqual(await verify(jwk, algorithm === "RS256" ? "PS256" : "RS256"), true);
    assert.equal(await verify('{"kty":"none"}'), "no such key");
    assert.equal(await verify("{}", "none"), "no such key");
  }
});

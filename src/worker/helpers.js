// Each function replaces several calls from wasm into JavaScript by one.

/** Flags for a request's method and headers. src/worker/request_flags.rs has the same; a test compares the two. */
export const FLAGS = Object.freeze({
  POST: 1 << 0,
  OPTIONS: 1 << 1,
  GET: 1 << 2,
  HEAD: 1 << 3,
  QUERY: 1 << 4,
  JSON_TYPE: 1 << 5,
  CONTENT_ENCODING: 1 << 6,
  CREDENTIALS: 1 << 7,
  LOOP: 1 << 8,
  NONE_MATCH: 1 << 9,
  MODIFIED_SINCE: 1 << 10,
  RANGE: 1 << 11,
});
/** Above the flags: the announced length of the body, plus one. */
export const LENGTH = 2 ** 16;
const MAX_LENGTH = 2 ** 40;

const METHODS = new Map([
  ["POST", FLAGS.POST],
  ["OPTIONS", FLAGS.OPTIONS],
  ["GET", FLAGS.GET],
  ["HEAD", FLAGS.HEAD],
  ["QUERY", FLAGS.QUERY],
]);

/**
 * Encodes a request's method and headers as one number: the flags, and above them the announced length of the body.
 *
 * @param {{ method: string, headers: Headers }} request
 * @param {string[]} names further headers that are credentials
 */
export function requestFlags(request, names) {
  const { headers } = request;
  let flags = METHODS.get(request.method) ?? 0;
  const isGetOrHead = (flags & (FLAGS.GET | FLAGS.HEAD)) !== 0;
  if (headers.get("content-type") === "application/json") flags |= FLAGS.JSON_TYPE;
  if (headers.has("content-encoding")) flags |= FLAGS.CONTENT_ENCODING;
  if (headers.has("authorization") || headers.has("cookie") || names.some((name) => headers.has(name))) {
    flags |= FLAGS.CREDENTIALS;
  }
  if (headers.has("if-none-match")) flags |= FLAGS.NONE_MATCH;
  if (headers.has("cdn-loop")) flags |= FLAGS.LOOP;
  // For other methods these two mean nothing, and a hit does not pay for them.
  if (isGetOrHead && headers.has("if-modified-since")) flags |= FLAGS.MODIFIED_SINCE;
  if (isGetOrHead && headers.has("range")) flags |= FLAGS.RANGE;
  // Transfer-Encoding overrides Content-Length (RFC 9112, section 6.3).
  const field = headers.has("transfer-encoding") ? null : headers.get("content-length");
  const length = field === null ? -1 : Number(field);
  if (!Number.isSafeInteger(length) || length < 0) return flags;
  return flags + LENGTH * (Math.min(length, MAX_LENGTH) + 1);
}

/**
 * The names and values of all headers, one after the other. Several fields of a name are one, except `Set-Cookie`.
 *
 * @param {Headers} headers
 */
export function headerList(headers) {
  return [...headers].flat();
}

let memory = new Uint8Array(0);

/**
 * Copies the first bytes of a buffer into wasm memory, through one view of the memory for all copies.
 *
 * @param {ArrayBuffer} buffer
 * @param {number} length
 * @param {{ buffer: ArrayBuffer }} wasm the wasm's memory
 * @param {number} address
 */
export function copy(buffer, length, { buffer: own }, address) {
  if (memory.buffer !== own) memory = new Uint8Array(own);
  memory.set(new Uint8Array(buffer, 0, length), address);
}

/**
 * Creates a response. The caller keeps `body` and `init` for the next response.
 *
 * @param {BodyInit} body
 * @param {ResponseInit} init
 */
export function respond(body, init) {
  return new Response(body, init);
}

const CURVES = new Map([
  ["ES256", "P-256"],
  ["ES384", "P-384"],
  ["ES512", "P-521"],
]);
/** The names of the platform for the families of algorithms. */
const NAMES = new Map([
  ["HS", "HMAC"],
  ["RS", "RSASSA-PKCS1-v1_5"],
  ["PS", "RSA-PSS"],
  ["ES", "ECDSA"],
]);

/**
 * Whether a key has signed a text.
 *
 * @param {string} jwk the key (RFC 7517)
 * @param {string} algorithm its name in RFC 7518 or RFC 8037
 * @param {Uint8Array<ArrayBuffer>} signature
 * @param {string} signed
 * @returns {Promise<boolean>} rejected if the key cannot be used
 */
export async function verifySignature(jwk, algorithm, signature, signed) {
  const bits = Number(algorithm.slice(2));
  const parameters =
    algorithm === "EdDSA"
      ? { name: "Ed25519" }
      : {
          name: NAMES.get(algorithm.slice(0, 2)) ?? "",
          hash: `SHA-${bits}`,
          namedCurve: CURVES.get(algorithm),
          // As long as the hash (RFC 7518, section 3.5).
          saltLength: bits / 8,
        };
  const key = await crypto.subtle.importKey("jwk", JSON.parse(jwk), parameters, false, ["verify"]);
  return crypto.subtle.verify(parameters, key, signature, new TextEncoder().encode(signed));
}

/** @typedef {Promise<void> & { resolve(): void, timer: ReturnType<typeof setTimeout> }} Sleep */

/**
 * A promise that resolves after this many milliseconds, or when it is woken.
 *
 * @param {number} milliseconds
 */
export function sleep(milliseconds) {
  /** @type {PromiseWithResolvers<void>} */
  const { promise, resolve } = Promise.withResolvers();
  return Object.assign(promise, { resolve, timer: setTimeout(resolve, milliseconds) });
}

/**
 * Ends a sleep early. It may belong to another request: the runtime continues the code that awaits a promise in the
 * request that created the promise.
 *
 * @param {Sleep} sleeping
 */
export function wake(sleeping) {
  sleeping.resolve();
}

/**
 * Clears the timer of a sleep that is no longer awaited. The promise is still resolved, which frees the closures that
 * Rust has attached to it.
 *
 * @param {Sleep} sleeping
 */
export function forget(sleeping) {
  clearTimeout(sleeping.timer);
  sleeping.resolve();
}

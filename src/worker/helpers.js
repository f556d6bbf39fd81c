// What would be many calls across the border between wasm and JavaScript, each made into one.

// The bits of a request's head, as src/worker/request_flags.rs has them.
const POST = 1 << 0;
const OPTIONS = 1 << 1;
const READS = 1 << 2;
const JSON_TYPE = 1 << 3;
const ENCODED = 1 << 4;
const CREDENTIALS = 1 << 5;
const NONE_MATCH = 1 << 6;
const LOOP = 1 << 7;
/** Above the bits: the announced length of the body, plus one. */
const LENGTH = 2 ** 8;
const LENGTH_MOST = 2 ** 40;

const METHODS = { POST, OPTIONS, GET: READS, HEAD: READS };

/** What a request's head says, in one number; `names` are further headers that are credentials. */
export function requestFlags(request, names) {
  const { headers } = request;
  let bits = METHODS[request.method] ?? 0;
  if (headers.get("content-type") === "application/json") bits |= JSON_TYPE;
  if (headers.has("content-encoding")) bits |= ENCODED;
  if (headers.has("authorization") || headers.has("cookie") || names.some((name) => headers.has(name))) bits |= CREDENTIALS;
  if (headers.has("if-none-match")) bits |= NONE_MATCH;
  if (headers.has("cdn-loop")) bits |= LOOP;
  // A body in chunks ends where it ends, whatever length stands beside them.
  const field = headers.has("transfer-encoding") ? null : headers.get("content-length");
  const length = field === null ? -1 : Number(field);
  return Number.isSafeInteger(length) && length >= 0 ? bits + LENGTH * (Math.min(length, LENGTH_MOST) + 1) : bits;
}

let memory = new Uint8Array(0);

/** Copies so many bytes into wasm memory, to this address: by one view of the memory, not one for each copy. */
export function copy(buffer, length, { buffer: own }, address) {
  if (memory.buffer !== own) memory = new Uint8Array(own);
  memory.set(new Uint8Array(buffer, 0, length), address);
}

/** A response with a body that is kept for the next one. */
export function respond(body, init) {
  return new Response(body, init);
}

/** A promise of the end of so many milliseconds. */
export function sleep(milliseconds) {
  const { promise, resolve } = Promise.withResolvers();
  return Object.assign(promise, { resolve, timer: setTimeout(resolve, milliseconds) });
}

/** Ends it early: by another request, too, as the runtime then runs what waits for it as part of its own. */
export function wake(sleeping) {
  sleeping.resolve();
}

/** Nobody waits for it any more. It ends all the same: what waited for it in Rust is freed only then. */
export function forget(sleeping) {
  clearTimeout(sleeping.timer);
  sleeping.resolve();
}

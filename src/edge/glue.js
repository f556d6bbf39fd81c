// What would be many calls across the border between wasm and JavaScript, each made into one.

// The bits of a request's head, as src/edge/head.rs has them.
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
export function head(request, names) {
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

/** The bodies that are being read in this isolate. */
let reading = 0;
/**
 * So many may stay in that number by mistake: a request that the platform cancels, as its client has gone, hears
 * nothing any more. Beyond them a request is kept until its body has ended, in whatever way, which costs an eighth
 * of an answer from memory.
 */
const UNKEPT = 48;
/** So many slow bodies are waited for without an end: a timer costs a tenth of an answer from memory. */
const PATIENT = 64;

/**
 * Reads a body and has it answered: `answer` gets the buffer, or undefined for a broken body, or null when
 * `limit` milliseconds have passed while many are slow, and the rest as it stands here. It returns a response or a
 * promise of one.
 */
export function readThen(answer, limit, request, env, context, route, head, started) {
  const answered = new Promise((resolve, reject) => {
    let isOpen = true;
    const end = (body) => {
      if (!isOpen) return;
      isOpen = false;
      reading -= 1;
      try {
        resolve(answer(body, request, env, context, route, head, started));
      } catch (error) {
        // worker-build's own note of a panic, which nobody else sees here: the next request gets a new instance.
        globalThis.__worker_init_state.criticalError ||= error instanceof WebAssembly.RuntimeError;
        reject(error);
      }
    };
    // Nobody clears it: it ends with the request.
    if (reading >= PATIENT) setTimeout(end, limit, null);
    reading += 1;
    request.arrayBuffer().then(end, () => end(undefined));
  });
  if (reading > UNKEPT) context.waitUntil(answered.catch(() => undefined));
  return answered;
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

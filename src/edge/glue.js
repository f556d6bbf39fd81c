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
const reading = new Set();
/**
 * So many may stay among them by mistake, until they are found slow: a request that the platform cancels, as its
 * client has gone, hears nothing any more. Beyond them a request is kept until its body has ended, in whatever way,
 * which costs an eighth of an answer from memory.
 */
const UNKEPT = 48;

/** How often slow bodies are looked for, in milliseconds: a timer for each would cost a tenth of an answer from memory. */
const TICK = 1_000;
/** A watch that has not ticked for so long has gone with its request. */
const OVERDUE = 3 * TICK;
/** Whoever looks for them: one for the isolate, behind the answer of some request, as long as bodies are being read. */
let watch = { isRunning: false, ticks: 0, heard: 0 };

function beginWatch(context, now) {
  const own = { isRunning: true, ticks: 0, heard: now };
  watch = own;
  const look = async () => {
    while (own === watch && reading.size > 0) {
      await new Promise((tick) => setTimeout(tick, TICK));
      own.ticks += 1;
      own.heard = Date.now();
      if (own === watch) reading.forEach(grow);
    }
    own.isRunning = false;
  };
  context.waitUntil(look());
}

/** A body has been awaited for one more tick. */
function grow(body) {
  body.ticks -= 1;
  if (body.ticks > 0) return;
  reading.delete(body);
  body.arrived(null);
}

/**
 * Reads a body and has it answered: `answer` gets the buffer, or undefined for a broken body, or null when it has
 * not come within `limit` milliseconds and a tick or two, and the rest as it stands here. It returns a response or a
 * promise of one.
 */
export function readThen(answer, limit, request, env, context, route, head, started) {
  // A promise of this request's own: what waits for it goes on here, whoever ends it.
  const { promise, resolve } = Promise.withResolvers();
  const body = { arrived: resolve, ticks: limit / TICK + 1 };
  reading.add(body);
  request.arrayBuffer().then(resolve, () => resolve(undefined));
  // Each is watched for as long as it may take, and no watch goes on for much longer than twice that: after half a
  // minute the platform would end it.
  const isGone = !watch.isRunning || Math.abs(started - watch.heard) > OVERDUE;
  if (isGone || watch.ticks * TICK >= limit) beginWatch(context, started);
  const answered = promise.then((buffer) => {
    reading.delete(body);
    try {
      return answer(buffer, request, env, context, route, head, started);
    } catch (error) {
      // worker-build's own note of a panic, which nobody else sees here: the next request gets a new instance.
      globalThis.__worker_init_state.criticalError ||= error instanceof WebAssembly.RuntimeError;
      throw error;
    }
  });
  if (reading.size > UNKEPT) context.waitUntil(answered.catch(() => undefined));
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

// The deployed module: the Worker that worker-build has made, less what it does for every request. Its class
// of entry points is built anew for each, behind two proxies; here the handlers are called as they are. And a
// body is read here: what a hit leaves to the engine's collector decides how long its pauses are.

import Worker, { Metrics, RefreshLease } from "./worker.js";

/** worker-build's own note of a panic: the wasm instance has to be rebuilt before it is used again. */
const state = globalThis.__worker_init_state;
const { fetch, answer } = Worker.prototype;
/** What `fetch` is called on, the same for all: it is looked at once, before anything else is called. */
const entrance = { env: undefined, ctx: undefined };

/** What ends the requests that wait for the wasm. */
const waiting = new Set();

let isBroken = false;
// Whoever hears of a panic notes it here, and who rebuilds the instance notes that: this module, worker-build's, or the
// `worker` crate. What was going on in the instance goes on no more, and who waited for it is told so.
Object.defineProperty(state, "criticalError", {
  get: () => isBroken,
  set(value) {
    isBroken = value;
    waiting.forEach((end) => end(new Error("The wasm instance has been lost.")));
    waiting.clear();
  },
});

/** Before the wasm is called: worker-build's way to construct is what rebuilds the instance. */
function mend(env, context) {
  if (isBroken) new Worker(context, env);
}

/** An error on its way out of the wasm: nothing there throws but a panic. */
function noted(error) {
  state.criticalError = true;
  return error;
}

/** An answer as it is; or, where it is a promise, what that is of, or an error when the instance that is at it is lost. */
function unlessLost(answered) {
  if (!(answered instanceof Promise)) return answered;
  const { promise, resolve, reject } = Promise.withResolvers();
  waiting.add(reject);
  const end = (settle) => (value) => {
    waiting.delete(reject);
    settle(value);
  };
  answered.then(end(resolve), end(reject));
  return promise;
}

const settled = Promise.resolve();
const failed = (error) => {
  throw noted(error);
};
/** The runtime's own makes an object of its side for each task, which only a full collection takes away. */
globalThis.queueMicrotask = (task) => {
  settled.then(task).catch(failed);
};

/** How often slow bodies are looked for, in milliseconds: a timer for each would cost a tenth of an answer from memory. */
const TICK = 1_000;
/** A body is too slow after ten seconds, as in src/worker/request.rs, and what is left of the one in which it began. */
const TICKS = 11;
/** A watch that has not ticked for so long has gone with its request. */
const OVERDUE = 3 * TICK;
/** For a length, as src/worker/handler.rs has them. */
const BROKEN = -1;
const TOO_SLOW = -2;

/**
 * The bodies that are being read in this isolate, each in a place of its own: what ends it, and the tick at which it
 * is too slow. A place is used again: a set would leave a table behind for every few bodies.
 */
const ends = [];
const due = [];
const free = [];
let freed = 0;
let ticks = 0;
/**
 * So many may stay among them by mistake, until they are found slow: a request that the platform cancels, as its
 * client has gone, hears nothing any more. Beyond them a request is kept until its body has ended, in whatever way,
 * which costs an eighth of an answer from memory.
 */
const UNKEPT = 48;

const pending = () => ends.length - freed;

function take(end) {
  const place = freed > 0 ? free[(freed -= 1)] : ends.length;
  ends[place] = end;
  due[place] = ticks + TICKS;
  return place;
}

/** A body has come, or is too slow: its place is free, unless it was so before. */
function leave(place, end) {
  if (ends[place] !== end) return;
  ends[place] = undefined;
  free[freed] = place;
  freed += 1;
}

/** Whoever looks for slow ones: one for the isolate, behind the answer of some request, as long as bodies are being read. */
let watch = { isRunning: false, until: 0, heard: 0 };

function beginWatch(context, now) {
  const own = { isRunning: true, until: ticks + TICKS, heard: now };
  watch = own;
  const look = async () => {
    while (own === watch && pending() > 0) {
      await new Promise((tick) => setTimeout(tick, TICK));
      if (own !== watch) break;
      own.heard = Date.now();
      ticks += 1;
      ends.forEach(endSlow);
    }
    own.isRunning = false;
  };
  context.waitUntil(look());
}

function endSlow(end, place) {
  if (end === undefined || due[place] > ticks) return;
  leave(place, end);
  end(null);
}

let handed;
/** Hands over what resolves a promise, without the object and the function that others need for it. */
function hand(resolve) {
  handed = resolve;
}

/** Reads a body, unless that takes too long, and has it answered; `asked` is what `answer` wants to be told again. */
function readAndAnswer(request, env, context, asked) {
  const started = Date.now();
  // A promise of this request's own: what waits for it goes on here, whoever ends it.
  const promise = new Promise(hand);
  const resolve = handed;
  const place = take(resolve);
  // An error ends it, too, and is told from a body below.
  request.arrayBuffer().then(resolve, resolve);
  // Each is watched for as long as it may take, and no watch goes on for much longer than twice that: after half a
  // minute the platform would end it.
  const isGone = !watch.isRunning || Math.abs(started - watch.heard) > OVERDUE;
  if (isGone || ticks >= watch.until) beginWatch(context, started);
  const answered = promise.then((body) => {
    leave(place, resolve);
    const length = body instanceof ArrayBuffer ? body.byteLength : body === null ? TOO_SLOW : BROKEN;
    mend(env, context);
    try {
      return unlessLost(answer(body, length, request, env, context, asked, started));
    } catch (error) {
      throw noted(error);
    }
  });
  if (pending() > UNKEPT) context.waitUntil(answered.catch(() => undefined));
  return answered;
}

export default {
  fetch(request, env, context) {
    mend(env, context);
    entrance.env = env;
    entrance.ctx = context;
    try {
      const step = fetch.call(entrance, request);
      return typeof step === "number" ? readAndAnswer(request, env, context, step) : unlessLost(step);
    } catch (error) {
      throw noted(error);
    }
  },
};

export { Metrics, RefreshLease };

// Reads request bodies, and gives up on those that are sent too slowly.
//
// A timer for each body would cost a tenth of a hit from memory. So one watch per isolate ticks as long as bodies are
// being read, behind the answer of some request, and ends those that have taken too long.

/** How often the watch looks, in milliseconds. */
export const TICK = 1_000;
/** A body is too slow after ten seconds, as in src/worker/request.rs, and the rest of the tick in which it began. */
export const TICKS = 11;
/** A watch that has not ticked for this long, in milliseconds, has gone with its request. */
export const OVERDUE = 3 * TICK;
/** In place of a body's length: it could not be read, or it was too slow. As in src/worker/handler.rs. */
export const BROKEN = -1;
export const TOO_SLOW = -2;
/**
 * How many bodies may be read without keeping their requests alive. A request that the platform cancels, because its
 * client has gone, hears nothing any more and stays among the pending until the watch finds it. Beyond this number a
 * request is kept until its body has ended, which costs an eighth of a hit from memory.
 */
export const MAX_UNKEPT = 48;

/**
 * @typedef {{ waitUntil(promise: Promise<unknown>, isHousekeeping?: boolean): void }} Context
 * @typedef {(body: ArrayBuffer | null | unknown) => void} End
 * @typedef {{ arrayBuffer(): Promise<ArrayBuffer> }} Readable
 */

/**
 * Creates a reader of bodies for one isolate.
 *
 * @template Env, T
 * @param {(body: ArrayBuffer, length: number, started: number, request: Readable, env: Env, context: Context, step: number)
 *   => T | Promise<T>} answer gets the body and its length in bytes, or {@link BROKEN} or {@link TOO_SLOW}, the instant at
 *   which the reading began, and what `readAndAnswer` got. It is one function for all requests, because a closure for
 *   each would cost a hit from memory.
 */
export function createReader(answer) {
  /**
   * The bodies that are being read, each in a place of its own: what ends it, and the tick at which it is too slow. A
   * place is used again: a set would leave a table behind for every few bodies.
   *
   * @type {(End | undefined)[]}
   */
  const ends = [];
  /** @type {number[]} */
  const due = [];
  /** @type {number[]} */
  const free = [];
  let freed = 0;
  let ticks = 0;
  let watch = { isRunning: false, until: 0, heard: 0 };

  const pending = () => ends.length - freed;

  const take = (/** @type {End} */ end) => {
    const place = freed > 0 ? free[(freed -= 1)] : ends.length;
    ends[place] = end;
    due[place] = ticks + TICKS;
    return place;
  };

  /** A body has come, or is too slow: its place is free, unless it was so before. */
  const leave = (/** @type {number} */ place, /** @type {End} */ end) => {
    if (ends[place] !== end) return;
    ends[place] = undefined;
    free[freed] = place;
    freed += 1;
  };

  const endSlow = (/** @type {End | undefined} */ end, /** @type {number} */ place) => {
    if (end === undefined || due[place] > ticks) return;
    leave(place, end);
    end(null);
  };

  const beginWatch = (/** @type {Context} */ context, /** @type {number} */ now) => {
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
    context.waitUntil(look(), true);
  };

  /** What resolves the promise made last, without the object and the function that `withResolvers` needs. */
  let handed = /** @type {End} */ (() => {});
  const hand = (/** @type {End} */ resolve) => {
    handed = resolve;
  };

  return {
    /** How many bodies are being read. */
    pending,

    /**
     * Reads a request's body and has it answered.
     *
     * @param {Readable} request
     * @param {Env} env
     * @param {Context} context
     * @param {number} step what the wasm wants to have back with the body
     * @returns {Promise<T>}
     */
    readAndAnswer(request, env, context, step) {
      const started = Date.now();
      // A promise of this request: the code that awaits it continues in this request, whichever request resolves it.
      const promise = new Promise(hand);
      const resolve = handed;
      const place = take(resolve);
      // An error ends it, too, and is told from a body below.
      request.arrayBuffer().then(resolve, resolve);
      // Each body is watched for as long as it may take, and no watch goes on for much longer than twice that: after
      // half a minute the platform would end it.
      const isGone = !watch.isRunning || Math.abs(started - watch.heard) > OVERDUE;
      if (isGone || ticks >= watch.until) beginWatch(context, started);
      const answered = promise.then((body) => {
        leave(place, resolve);
        const length = body instanceof ArrayBuffer ? body.byteLength : body === null ? TOO_SLOW : BROKEN;
        return answer(/** @type {ArrayBuffer} */ (body), length, started, request, env, context, step);
      });
      if (pending() > MAX_UNKEPT) context.waitUntil(answered.catch(() => undefined));
      return answered;
    },
  };
}

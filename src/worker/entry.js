// The deployed module: the Worker that worker-build has made, less what that does for every request. Its class of
// entry points is built anew for each request, behind two proxies; here the handlers are called as they are. And the
// body is read here: what a hit leaves to the garbage collector decides how long its pauses are.

// @ts-expect-error worker-build makes it beside this file.
import Worker, { Metrics, RefreshLease } from "./worker.js";
import { createFence, createQueue } from "./panic_fence.js";
import { createReader } from "./slow_bodies.js";

/** worker-build's way to construct a Worker is what rebuilds the wasm instance. */
const fence = createFence(globalThis.__worker_init_state, (env, context) => void new Worker(context, env));
const { fetch, answer } = Worker.prototype;
/** What `fetch` is called on, the same for all requests: it is read once, before anything else is called. */
const entrance = { env: undefined, ctx: undefined };

const bodies = createReader((body, length, started, request, env, context, step) => {
  fence.rebuildAfterPanic(env, context);
  try {
    return fence.rejectOnPanic(answer(body, length, request, env, context, step, started));
  } catch (error) {
    throw fence.notePanic(error);
  }
});

globalThis.queueMicrotask = createQueue(fence.notePanic);

export default {
  /**
   * @param {Request} request
   * @param {any} env
   * @param {any} context
   */
  fetch(request, env, context) {
    fence.rebuildAfterPanic(env, context);
    entrance.env = env;
    entrance.ctx = context;
    try {
      const step = fetch.call(entrance, request);
      return typeof step === "number" ? bodies.readAndAnswer(request, env, context, step) : fence.rejectOnPanic(step);
    } catch (error) {
      throw fence.notePanic(error);
    }
  },
};

export { Metrics, RefreshLease };

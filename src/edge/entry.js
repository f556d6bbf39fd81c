// The deployed module: the Worker that worker-build has made, less what it does for every request. Its class
// of entry points is built anew for each, behind two proxies; here the handler is called as it is.

import Worker, { Metrics, RefreshLease } from "./worker.js";

/** worker-build's own note of a panic: the wasm instance has to be rebuilt before it is used again. */
const state = globalThis.__worker_init_state;
const { fetch } = Worker.prototype;

const settled = Promise.resolve();
/** The runtime's own makes an object of its side for each task, which only a full collection takes away. */
globalThis.queueMicrotask = (task) => {
  settled.then(task);
};

export default {
  fetch(request, env, context) {
    // Its way to construct is what rebuilds the instance.
    if (state.criticalError) new Worker(context, env);
    try {
      return fetch.call({ env, ctx: context }, request);
    } catch (error) {
      state.criticalError ||= error instanceof WebAssembly.RuntimeError;
      throw error;
    }
  },
};

export { Metrics, RefreshLease };

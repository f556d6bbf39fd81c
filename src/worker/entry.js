// The deployed module. It calls the wasm's handlers directly, and reads request bodies in JavaScript: the garbage that a
// hit leaves decides how long the collector's pauses are.

import { noteFailedTasks } from "./microtasks.js";
import { rebuiltAfterPanic } from "./objects.js";
import { createFence, isOwnTrap } from "./panic_fence.js";
import { createReader } from "./slow_bodies.js";
// @ts-expect-error scripts/build.mjs puts wasm-bindgen's module beside this file.
import * as wasm from "./wasm.js";

const fence = createFence(wasm.__worker_init_state(), () => wasm.__wbg_reset_state());
const bodies = createReader((body, length, started, request, env, context, step) => {
  fence.rebuildAfterPanic();
  try {
    return fence.rejectOnPanic(wasm.answer(body, length, request, env, context, step, started));
  } catch (error) {
    throw fence.notePanic(error);
  }
});

noteFailedTasks(fence.notePanic);
// Panics in callbacks of timers and promises show only here.
addEventListener("error", ({ error }) => {
  if (isOwnTrap(error)) fence.notePanic(error);
});

export default {
  /**
   * @param {Request} request
   * @param {any} env
   * @param {any} context
   */
  fetch(request, env, context) {
    fence.rebuildAfterPanic();
    try {
      const step = wasm.fetch(request, env, context);
      return typeof step === "number" ? bodies.readAndAnswer(request, env, context, step) : fence.rejectOnPanic(step);
    } catch (error) {
      throw fence.notePanic(error);
    }
  },
};

export const RefreshLease = rebuiltAfterPanic(fence, wasm.RefreshLease);
export const Metrics = rebuiltAfterPanic(fence, wasm.Metrics);

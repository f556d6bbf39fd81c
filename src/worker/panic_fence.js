// What happens when the wasm panics: its instance is rebuilt before it is used again, and requests that wait for the
// lost instance fail with an error at once instead of hanging.

/**
 * Notes a panic wherever it shows. worker-build's shim, the `worker` crate and this module all report it by setting
 * `criticalError` on `state`, and the shim clears it when it rebuilds the instance.
 *
 * @param {{ criticalError?: boolean }} state worker-build's own note of a panic
 * @param {(env: unknown, context: unknown) => void} rebuild rebuilds the wasm instance
 */
export function createFence(state, rebuild) {
  /** Rejects the requests that wait for the wasm. @type {Set<(error: Error) => void>} */
  const waiting = new Set();
  let isBroken = false;

  Object.defineProperty(state, "criticalError", {
    get: () => isBroken,
    set(/** @type {boolean} */ value) {
      isBroken = value;
      for (const reject of waiting) reject(new Error("The wasm instance has been lost."));
      waiting.clear();
    },
  });

  return {
    /**
     * Rebuilds the instance if a panic was noted. To be called before the wasm is.
     *
     * @param {unknown} env
     * @param {unknown} context
     */
    rebuildAfterPanic(env, context) {
      if (isBroken) rebuild(env, context);
    },

    /**
     * Notes an error on its way out of the wasm, where nothing throws but a panic. Returns it, to be thrown.
     *
     * @param {unknown} error
     */
    notePanic(error) {
      state.criticalError = true;
      return error;
    },

    /**
     * Passes a plain response through. A promised response is rejected if the wasm instance computing it panics.
     *
     * @template T
     * @param {T | Promise<T>} answered
     * @returns {T | Promise<T>}
     */
    rejectOnPanic(answered) {
      if (!(answered instanceof Promise)) return answered;
      /** @type {PromiseWithResolvers<T>} */
      const { promise, resolve, reject } = Promise.withResolvers();
      waiting.add(reject);
      answered.then(
        (value) => {
          waiting.delete(reject);
          resolve(value);
        },
        (error) => {
          waiting.delete(reject);
          reject(error);
        },
      );
      return promise;
    },
  };
}

/**
 * A `queueMicrotask` that leaves no garbage on the runtime's side: the runtime's own makes an object for each task,
 * which only a full collection takes away.
 *
 * @param {(error: unknown) => unknown} notePanic
 */
export function createQueue(notePanic) {
  const settled = Promise.resolve();
  const failed = (/** @type {unknown} */ error) => {
    throw notePanic(error);
  };
  return (/** @type {() => void} */ task) => settled.then(task).catch(failed);
}

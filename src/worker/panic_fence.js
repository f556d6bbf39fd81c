// Handles panics of the wasm: the instance is rebuilt before it is used again, and requests that wait for the lost
// instance fail at once instead of hanging.

/**
 * Creates a fence that notices every panic. The `worker` crate and this module both report a panic by setting
 * `criticalError` on `state`.
 *
 * @param {{ criticalError?: boolean }} state the `worker` crate's own note of a panic
 * @param {() => void} rebuild rebuilds the wasm instance
 */
export function createFence(state, rebuild) {
  /** Rejects the requests that wait for the wasm. @type {Set<(error: Error) => void>} */
  const waiting = new Set();
  let isBroken = false;
  let instances = 0;

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
     * Rebuilds the instance if it has panicked. Must be called before each call into the wasm.
     */
    rebuildAfterPanic() {
      if (!isBroken) return;
      rebuild();
      isBroken = false;
      instances += 1;
    },

    /** How often the instance has been rebuilt. An object of the wasm belongs to one instance. */
    instance: () => instances,

    /**
     * Records an error thrown by the wasm as a panic, because only panics throw there. Returns the error to rethrow it.
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

/** The name that scripts/build.mjs gives to the wasm module; V8 shows it in the stack of a trap. */
export const MODULE_NAME = "xfetch_edge";

/**
 * Whether an error is a trap of this wasm, and not of another module in the same isolate.
 *
 * @param {unknown} error
 */
export function isOwnTrap(error) {
  return error instanceof WebAssembly.RuntimeError && Boolean(error.stack?.includes(`wasm/${MODULE_NAME}`));
}

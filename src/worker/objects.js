// Durable Object classes around those of the wasm. A panic anywhere in the isolate destroys the wasm's objects with its
// instance, but the platform keeps using the JavaScript object: so that one creates a new wasm object when it is needed.

/** The handlers that the platform calls. */
const HANDLERS = /** @type {const} */ (["fetch", "alarm"]);

/**
 * A class whose objects outlive a panic of the wasm.
 *
 * @typedef {ReturnType<typeof import("./panic_fence.js").createFence>} Fence
 * @param {Fence} fence
 * @param {new (state: unknown, env: unknown) => any} Inner the class that the wasm exports
 * @returns {new (state?: unknown, env?: unknown) => any}
 */
export function rebuiltAfterPanic(fence, Inner) {
  class Outer {
    /**
     * @param {unknown} state
     * @param {unknown} env
     */
    constructor(state, env) {
      this.state = state;
      this.env = env;
      this.instance = -1;
      /** @type {any} */
      this.inner = undefined;
    }
  }

  /** The object in the current wasm instance. */
  const current = (/** @type {Outer} */ outer) => {
    fence.rebuildAfterPanic();
    if (outer.instance !== fence.instance()) {
      outer.inner = new Inner(outer.state, outer.env);
      outer.instance = fence.instance();
    }
    return outer.inner;
  };

  for (const handler of HANDLERS.filter((name) => name in Inner.prototype)) {
    Object.defineProperty(Outer.prototype, handler, {
      /** @param {unknown[]} values */
      async value(...values) {
        try {
          return await fence.rejectOnPanic(current(this)[handler](...values));
        } catch (error) {
          // Other errors are the handler's own.
          if (error instanceof WebAssembly.RuntimeError) fence.notePanic(error);
          throw error;
        }
      },
    });
  }
  return Outer;
}

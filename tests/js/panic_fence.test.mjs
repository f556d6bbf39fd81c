import assert from "node:assert/strict";
import { test } from "node:test";

import { MODULE_NAME, createFence, isOwnTrap } from "../../src/worker/panic_fence.js";

function fence() {
  /** @type {{ criticalError?: boolean }} */
  const state = {};
  const rebuilt = [];
  const made = createFence(state, () => rebuilt.push(state.criticalError));
  return { state, rebuilt, ...made };
}

test("a plain response passes as it is, and a promised one resolves", async () => {
  const { rejectOnPanic } = fence();
  const response = { status: 200 };
  assert.equal(rejectOnPanic(response), response);
  assert.equal(await rejectOnPanic(Promise.resolve(response)), response);
  await assert.rejects(async () => rejectOnPanic(Promise.reject(new Error("own"))), /own/);
});

test("requests that wait for the wasm fail at once when it panics, and later ones do not", async () => {
  const { rejectOnPanic, notePanic } = fence();
  const never = new Promise(() => {});
  const waiting = [rejectOnPanic(never), rejectOnPanic(never)];
  const error = new Error("unreachable");
  assert.equal(notePanic(error), error);
  for (const answered of waiting) await assert.rejects(async () => answered, /instance has been lost/);
  assert.equal(await rejectOnPanic(Promise.resolve(1)), 1);
});

test("the instance is rebuilt once before the next call, also when another module has noted the panic", () => {
  const { state, rebuilt, rebuildAfterPanic, instance } = fence();
  rebuildAfterPanic();
  assert.deepEqual([rebuilt, instance()], [[], 0]);
  state.criticalError = true;
  assert.equal(state.criticalError, true);
  rebuildAfterPanic();
  rebuildAfterPanic();
  assert.deepEqual([rebuilt, instance()], [[true], 1]);
  assert.equal(state.criticalError, false);
});

test("only a trap of a module with this wasm's name is its own", () => {
  const trapOf = (/** @type {string} */ name) => {
    const text = (/** @type {string} */ it) => [it.length, ...Buffer.from(it)];
    const names = [...text("name"), 0, 1 + name.length, ...text(name)];
    const code = [0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 7, 5, 1, ...text("f"), 0, 0];
    const bytes = [...code, 10, 5, 1, 3, 0, 0, 11, 0, names.length, ...names];
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array(bytes)));
    try {
      /** @type {() => void} */ (exports.f)();
    } catch (error) {
      return error;
    }
  };
  assert.equal(isOwnTrap(trapOf(MODULE_NAME)), true);
  assert.equal(isOwnTrap(trapOf("another")), false);
  assert.equal(isOwnTrap(new Error(`wasm/${MODULE_NAME}`)), false);
  assert.equal(isOwnTrap(undefined), false);
});

import assert from "node:assert/strict";
import { test } from "node:test";

import { createFence, createQueue } from "../../src/worker/panic_fence.js";

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

test("a microtask that throws is noted as a panic", async () => {
  const noted = [];
  const queue = createQueue((error) => {
    noted.push(error);
    return error;
  });
  const order = [];
  queue(() => order.push("task"));
  order.push("caller");
  const broken = queue(() => {
    throw new Error("unreachable");
  });
  await assert.rejects(async () => broken, /unreachable/);
  assert.deepEqual(order, ["caller", "task"]);
  assert.equal(noted.length, 1);
});

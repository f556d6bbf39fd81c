import assert from "node:assert/strict";
import { test } from "node:test";

import { noteFailedTasks, queueMicrotask } from "../../src/worker/microtasks.js";

test("a task runs after its caller, and one that throws is noted", async () => {
  const noted = /** @type {unknown[]} */ ([]);
  noteFailedTasks((error) => {
    noted.push(error);
    return error;
  });
  const order = /** @type {string[]} */ ([]);
  queueMicrotask(() => order.push("task"));
  order.push("caller");
  const broken = queueMicrotask(() => {
    throw new Error("unreachable");
  });
  await assert.rejects(async () => broken, /unreachable/);
  assert.deepEqual(order, ["caller", "task"]);
  assert.equal(noted.length, 1);
});

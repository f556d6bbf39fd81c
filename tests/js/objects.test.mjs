import assert from "node:assert/strict";
import { test } from "node:test";

import { rebuiltAfterPanic } from "../../src/worker/objects.js";
import { createFence } from "../../src/worker/panic_fence.js";

/** A class as the wasm exports it, and what its objects were asked. */
function world() {
  const state = {};
  const made = [];
  const fence = createFence(state, () => {});
  class Inner {
    constructor(...values) {
      made.push(values);
      this.number = made.length;
    }

    async fetch(request) {
      if (request === "panic") throw new WebAssembly.RuntimeError("unreachable");
      if (request === "fail") throw new Error("own");
      if (request === "hang") return new Promise(() => {});
      return `${request} by ${this.number}`;
    }
  }
  return { fence, state, made, Inner, Outer: rebuiltAfterPanic(fence, Inner) };
}

test("a handler is called on one object of the wasm, with the platform's state", async () => {
  const { made, Outer } = world();
  const object = new Outer("state", "env");
  assert.deepEqual(made, [], "the wasm's object is created when it is needed");
  assert.equal(await object.fetch("first"), "first by 1");
  assert.equal(await object.fetch("second"), "second by 1");
  assert.deepEqual(made, [["state", "env"]]);
});

test("only the handlers of the wasm's class exist, because the platform looks for them", () => {
  const { Outer } = world();
  assert.deepEqual(
    ["fetch", "alarm"].map((name) => name in Outer.prototype),
    [true, false],
  );
});

test("after a panic the next call gets a new object of the wasm", async () => {
  const { fence, Outer } = world();
  const [first, second] = [new Outer(), new Outer()];
  await first.fetch("a");
  assert.equal(await second.fetch("b"), "b by 2");
  await assert.rejects(first.fetch("panic"), WebAssembly.RuntimeError);
  assert.equal(await second.fetch("c"), "c by 3", "the panic of another object destroys this one, too");
  assert.equal(await first.fetch("d"), "d by 4");
  assert.equal(fence.instance(), 1);
});

test("an error of the handler's own is no panic", async () => {
  const { fence, Outer } = world();
  const object = new Outer();
  await assert.rejects(object.fetch("fail"), /own/);
  assert.equal(await object.fetch("next"), "next by 1");
  assert.equal(fence.instance(), 0);
});

test("a message that waits fails at once when the wasm panics", async () => {
  const { state, Outer } = world();
  const waiting = new Outer().fetch("hang");
  await new Promise(setImmediate);
  state.criticalError = true;
  await assert.rejects(waiting, /instance has been lost/);
});

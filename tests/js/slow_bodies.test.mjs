import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { BROKEN, MAX_UNKEPT, TICK, TICKS, TOO_SLOW, createReader } from "../../src/worker/slow_bodies.js";

beforeEach(() => mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_000_000 }));
afterEach(() => mock.timers.reset());

const settle = async () => {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
};

/** Lets this many ticks of the watch pass. */
async function pass(ticks) {
  for (let tick = 0; tick < ticks; tick += 1) {
    await settle();
    mock.timers.tick(TICK);
    await settle();
  }
}

function world() {
  const kept = [];
  const context = { waitUntil: (/** @type {Promise<unknown>} */ promise) => kept.push(promise) };
  const reader = createReader((_, length, started, request, env, own, step) => {
    assert.deepEqual([own, env, step], [context, "env", 7], "what was passed on comes back");
    assert.equal(typeof request.arrayBuffer, "function");
    return { length, started };
  });
  const read = (body) => reader.readAndAnswer({ arrayBuffer: () => body }, "env", context, 7);
  return { kept, reader, read };
}

const never = () => new Promise(() => {});

test("a complete body is answered with its length, and its place becomes free", async () => {
  const { reader, read } = world();
  const answered = read(Promise.resolve(new ArrayBuffer(7)));
  assert.equal(reader.pending(), 1);
  assert.deepEqual(await answered, { length: 7, started: 1_000_000 });
  assert.equal(reader.pending(), 0);
});

test("a body that cannot be read is reported as broken", async () => {
  const { read } = world();
  assert.equal((await read(Promise.reject(new Error("reset")))).length, BROKEN);
});

test("a slow body ends after ten seconds and no later than one tick more", async () => {
  const { reader, read } = world();
  let length;
  read(never()).then((answer) => (length = answer.length));
  await pass(TICKS - 1);
  assert.equal(length, undefined, "ten seconds are allowed");
  await pass(1);
  assert.equal(length, TOO_SLOW);
  assert.equal(reader.pending(), 0);
});

test("one watch serves all bodies, and ends when none is being read", async () => {
  const { kept, read } = world();
  const ended = [];
  for (let body = 0; body < 5; body += 1) read(never()).then(() => ended.push(body));
  assert.equal(kept.length, 1, "one watch");
  await pass(TICKS);
  assert.deepEqual(ended, [0, 1, 2, 3, 4]);
  await pass(1);
  await kept[0];
});

test("a watch that was cancelled with its request is replaced", async () => {
  const { kept, read } = world();
  read(never());
  mock.timers.setTime(1_000_000 + 4 * TICK);
  read(never());
  assert.equal(kept.length, 2);
});

test("beyond a number of pending bodies a request is kept alive until its body has ended", async () => {
  const { kept, read } = world();
  for (let body = 0; body < MAX_UNKEPT; body += 1) read(never());
  assert.equal(kept.length, 1, "the watch");
  read(Promise.resolve(new ArrayBuffer(0)));
  assert.equal(kept.length, 2);
  assert.deepEqual(await kept[1], { length: 0, started: 1_000_000 });
});

test("a free place is used again, and a body that ends twice frees its place once", async () => {
  const { reader, read } = world();
  await read(Promise.resolve(new ArrayBuffer(1)));
  read(never());
  assert.equal(reader.pending(), 1);
  await read(Promise.resolve(new ArrayBuffer(1)));
  assert.equal(reader.pending(), 1);
});

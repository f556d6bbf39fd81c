// The cache embedded in another Worker, and a panic in that Worker: the wasm instance is rebuilt, and only its
// memory is lost.

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  EMBEDDING as folder,
  PATH,
  assertSums,
  breaksIn,
  counters,
  eventually,
  inWorld,
  question,
  sleep,
} from "./world.mjs";

test(
  "an embedding Worker keeps its own paths and serves the cache's",
  inWorld({ folder }, async ({ client }) => {
    const own = await client.raw("GET", "/own/hello");
    assert.deepEqual([own.status, own.text], [200, "hello from the embedding Worker"]);
    const body = question();
    assert.match((await client.ask(body)).cacheStatus, /stored/);
    assert.match((await client.ask(body)).cacheStatus, /hit/);
  }),
);

test(
  "after a panic with other requests in flight the next one works, no key stays locked, origin calls are bounded",
  inWorld(
    { folder, prelude: breaksIn(7), route: { origin_timeout: 1 }, origin: { latency: 500 } },
    async ({ client, origin }) => {
      const [warm, cold] = [question(), question()];
      const first = await client.ask(warm);
      Array.from({ length: 5 }, () => client.ask(cold).catch(() => undefined));
      await eventually("it computes", () => origin.counts().in_flight === 1);
      const headers = { "content-type": "application/json" };
      const broken = await client.raw("POST", PATH, { body: warm, headers });
      assert.equal(broken.status, 500);
      assert.doesNotMatch(broken.text, /sabotage|wasm/, "no internals are shown");
      const after = await client.ask(warm);
      assert.match(after.cacheStatus, /hit/, "from the colo or the object");
      assert.equal(after.text, first.text);
      const began = Date.now();
      const answer = await client.ask(cold);
      assert.equal(answer.status, 200);
      assert.ok(Date.now() - began < 8_500, "one lease of 6 s at most");
      // The requests in flight belong to the lost instance, so nothing answers them.
      await sleep(200);
      assert.ok(origin.counts().calls <= 3, `${origin.counts().calls} calls`);
      assert.equal((await client.raw("POST", PATH, { body: cold, headers })).status, 200);
      assertSums(await counters(client));
    },
  ),
);

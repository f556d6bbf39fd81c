// Decisions that once differed between the Worker, the simulator and the search, which now share them
// (`src/isolate/task.rs`), tested on real workerd; `tests/native/tasks.rs` tests them step by step.

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  assertProblem,
  assertSums,
  counters,
  eventually,
  inWorld,
  inspect,
  meddling,
  purge,
  question,
  sleep,
} from "./world.mjs";

/** The kind of a message: the index of its variant, which follows the version and the checksum. */
const KIND = "new Uint8Array(message[1].body)[8]";
const [ACQUIRE, WAIT] = [0, 1];
const SECOND_COLO = 'env.LOCATION_HINT === "weur"';
const colos = [{}, { LOCATION_HINT: "weur" }];

const REFUSES_WAITS = meddling(
  `async (send) => {
    if (${KIND} === ${WAIT}) {
      globalThis.hasRefused = true;
      return stub.fetch("https://object/", { method: "POST", body: "of another version" });
    }
    if (${KIND} === ${ACQUIRE} && globalThis.hasRefused) throw new Error("sabotage");
    return send();
  }`,
  SECOND_COLO,
);

test(
  "drift 1: a refused wait does not use up the one call without a lease, a refused acquire does",
  inWorld(
    { colos, prelude: REFUSES_WAITS, route: { ttl: 0.5, early_window: 0.01 }, origin: { latency: 50 } },
    async ({ clients: [one, two], origin }) => {
      const body = question();
      for (const client of [one, two]) await client.ask(body);
      await sleep(700);
      origin.set({ latency: 2_500 });
      await one.ask(body);
      await eventually("the first colo computes", () => origin.counts().calls === 2);
      assert.ok((await two.ask(body)).isHit);
      await sleep(1_000);
      assert.equal(origin.counts().calls, 2, "the second colo was told that the lease is held, and calls nothing");
      await eventually("later it is denied the lease, and uses its one call", async () => {
        assert.ok((await two.ask(body)).isHit);
        return origin.counts().calls === 3;
      });
      assertSums(await counters(two));
    },
  ),
);

test(
  "drift 2: an uncached answer without room for a call falls back on the old entry",
  inWorld(
    {
      route: { ttl: 0.3, stale_while_revalidate: 0, stale_if_error: 60, max_origin_calls: 1 },
      origin: { latency: 20 },
    },
    async ({ client, origin }) => {
      const [body, other] = [question(), question()];
      const first = await client.ask(body);
      await sleep(500);
      origin.set({ mode: "private" });
      assert.match((await client.ask(body)).cacheStatus, /fwd=bypass/, "its answers must not be stored now");
      origin.set({ mode: "ok", latency: 1_500 });
      const busy = client.ask(other);
      await eventually("the only call is under way", () => origin.counts().calls === 3);
      const answer = await client.ask(body);
      assert.equal(answer.status, 200);
      assert.match(answer.cacheStatus, /fwd=stale/);
      assert.equal(answer.text, first.text);
      await busy;
      assertSums(await counters(client));
    },
  ),
);

test(
  "drift 3: too many origin calls is a refusal and not a miss",
  inWorld({ route: { max_origin_calls: 1 }, origin: { latency: 1_000 } }, async ({ client, origin }) => {
    const busy = client.ask(question());
    await eventually("the only call is under way", () => origin.counts().calls === 1);
    assertProblem(await client.ask(question()), 503, "too_many_origin_calls");
    await busy;
    const { rejected, cache_miss } = await counters(client);
    assert.deepEqual({ rejected, cache_miss }, { rejected: 1, cache_miss: 1 });
  }),
);

const DELAYS_THE_SECOND = meddling(
  `async (send, place) => {
    const reply = await send();
    if (place === 2) await new Promise((on) => setTimeout(on, 2_600));
    return reply;
  }`,
  SECOND_COLO,
);

test(
  "drift 4: the floor of a late grant reaches memory and the colo",
  inWorld(
    {
      colos,
      prelude: DELAYS_THE_SECOND,
      route: { ttl: 0.5, early_window: 0.01, origin_timeout: 1 },
      origin: { latency: 50 },
    },
    async ({ clients: [one, two] }) => {
      const body = question();
      for (const client of [one, two]) await client.ask(body);
      await sleep(700);
      const { floor } = await purge(one, body, true);
      assert.ok((await two.ask(body)).isHit, "the second colo has not heard of the purge yet");
      await eventually("the late grant is given back", async () => (await counters(two)).grants_given_back >= 1);
      const { memory, colo } = await inspect(two, body);
      assert.deepEqual([memory.floor.hard, colo.floor.hard], [floor, floor]);
    },
  ),
);

const ALWAYS_HELD = meddling(
  `async (send) => {
    if (${KIND} === ${WAIT}) return new Promise(() => {});
    if (${KIND} !== ${ACQUIRE}) return send();
    globalThis.held ??= new Uint8Array(await (await send()).arrayBuffer());
    return new Response(globalThis.held);
  }`,
  SECOND_COLO,
);

test(
  "drift 5: patience counts from the first wait on, whatever a request waits for",
  inWorld(
    { colos, prelude: ALWAYS_HELD, route: { origin_timeout: 0.5 }, origin: { latency: 400 } },
    async ({ clients: [one, two], origin }) => {
      const body = question();
      const leads = one.ask(body);
      await eventually("the first colo computes", () => origin.counts().calls === 1);
      // Patience is twice the lease of 5.5 s: one sleep of 7 s that no reply ends, and a second that is cut short.
      const answer = await two.ask(body);
      assertProblem(answer, 504, "origin_timeout");
      assert.ok(answer.ms > 10_900 && answer.ms < 12_500, `${answer.ms} ms`);
      assert.equal((await leads).status, 200);
    },
  ),
);

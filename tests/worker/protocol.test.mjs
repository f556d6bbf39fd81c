// The protocol on real workerd: tiers, verdicts, generations over two colos, waiters, elections, purges,
// failures, restarts, and the sums of the metrics against the origin's own count.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";

import { startOrigin } from "../../examples/origin/server.mjs";
import { Client } from "../../scripts/client.mjs";
import {
  ADMIN_TOKEN,
  PATH,
  assertProblem,
  assertSums,
  counters,
  eventually,
  inWorld,
  inspect,
  meddling,
  purge,
  question,
  route,
  sleep,
} from "./world.mjs";
import { startRuntime } from "../../scripts/runtime.mjs";

const generation = async (client, body) => (await inspect(client, body)).memory.entry?.generation;

describe("warm keys", () => {
  test(
    "an entry is served fresh, refreshed early, served stale, and computed again past its window",
    inWorld(
      { route: { ttl: 2, stale_while_revalidate: 2, early_window: 1, beta: 100 }, origin: { latency: 100 } },
      async ({ client, origin }) => {
        const body = question();
        await client.ask(body);
        // beta 100 and a window of the whole TTL: about every second request refreshes early, served fresh.
        await eventually("the early refresh", async () => {
          const early = await client.ask(body);
          assert.match(early.cacheStatus, /hit; ttl=[01]$/);
          return origin.counts().calls === 2;
        });
        let c = await counters(client);
        assert.ok(c.xfetch_early_triggers >= 1 && c.cache_hit_fresh >= 1);
        await sleep(2_500);
        const stale = await client.ask(body);
        assert.match(stale.cacheStatus, /hit; ttl=-\d+; detail=stale/);
        await eventually("the stale refresh", () => origin.counts().calls >= 3);
        await sleep(4_500);
        const miss = await client.ask(body);
        assert.match(miss.cacheStatus, /fwd=miss; stored/);
        c = await counters(client);
        assert.ok(c.xfetch_stale_triggers >= 1);
        assertSums(c);
      },
    ),
  );

  test(
    "a burst at a stale entry costs one computation and nobody waits",
    inWorld({ route: { ttl: 1, early_window: 0.01 }, origin: { latency: 700 } }, async ({ client, origin }) => {
      const body = question();
      await client.ask(body);
      await sleep(1_500);
      const answers = await client.burst(100, body);
      assert.ok(answers.every((it) => it.isHit && it.isStale && it.status === 200));
      await eventually("the refresh", async () => (await client.ask(body)).ttl >= 0);
      assert.equal(origin.counts().calls, 2);
      assert.equal(origin.counts().highest_in_flight, 1);
      const c = await counters(client);
      assert.equal(c.compute_calls, 2);
      assert.equal(
        c.xfetch_triggers,
        c.refreshes_started + c.xfetch_lock_contention_total + c.xfetch_recheck_skips_total,
      );
      assertSums(c);
    }),
  );

  test(
    "an origin that hangs makes no warm request wait",
    inWorld({ route: { ttl: 1, origin_timeout: 2 } }, async ({ client, origin }) => {
      const body = question();
      await client.ask(body);
      origin.set({ mode: "hang" });
      await sleep(1_200);
      const answers = [];
      for (let count = 0; count < 20; count += 1) {
        answers.push(await client.ask(body));
        await sleep(50);
      }
      assert.ok(
        answers.every((it) => it.isHit && it.ms < 500),
        "served at once",
      );
      assert.equal(origin.counts().calls, 2, "one call outstanding");
      await eventually(
        "the time-out is counted",
        async () => (await counters(client)).failed_origin_timeout === 1,
        6_000,
      );
    }),
  );
});

describe("cold keys", () => {
  test(
    "a burst costs one computation, and everybody gets the same body",
    inWorld({ origin: { latency: 500 } }, async ({ client, origin }) => {
      const body = question();
      const answers = await client.burst(100, body);
      assert.ok(answers.every((it) => it.status === 200 && it.text === answers[0].text));
      const stored = answers.filter((it) => /stored/.test(it.cacheStatus));
      assert.equal(stored.length, 1);
      assert.ok(answers.every((it) => /stored|collapsed|hit/.test(it.cacheStatus)));
      assert.equal(origin.counts().calls, 1);
      const c = await counters(client);
      assert.deepEqual([c.compute_calls, c.compute_calls_cold, c.total_requests], [1, 1, 100]);
      assertSums(c);
    }),
  );

  test(
    "a burst over two colos costs one computation in the world",
    inWorld({ colos: [{}, {}], origin: { latency: 500 } }, async ({ clients, origin }) => {
      const body = question();
      const answers = (await Promise.all(clients.map((client) => client.burst(50, body)))).flat();
      assert.ok(answers.every((it) => it.status === 200 && it.text === answers[0].text));
      assert.equal(origin.counts().calls, 1);
    }),
  );

  test(
    "F15: a client that hangs up does not lose the computation",
    inWorld({ origin: { latency: 600 } }, async ({ client, origin, runtime }) => {
      const body = question();
      const hangUp = new AbortController();
      const lost = fetch(runtime.url + PATH, {
        method: "POST",
        body,
        headers: { "content-type": "application/json" },
        signal: hangUp.signal,
      }).catch(() => "gone");
      await eventually("the computation begins", () => origin.counts().in_flight === 1);
      hangUp.abort();
      assert.equal(await lost, "gone");
      await sleep(1_000);
      assert.match((await client.ask(body)).cacheStatus, /hit/);
      assert.equal(origin.counts().calls, 1);
    }),
  );

  test(
    "F15: a client that disconnects leaves no waiter asleep, whether its request computes or its message stands for the other waiters",
    inWorld({ origin: { latency: 1_000 } }, async ({ client, origin, runtime }) => {
      const body = question();
      const hangUp = new AbortController();
      const lost = () =>
        fetch(runtime.url + PATH, {
          method: "POST",
          body,
          headers: { "content-type": "application/json" },
          signal: hangUp.signal,
        }).catch(() => "gone");
      const gone = [lost()];
      await eventually("the computation begins", () => origin.counts().in_flight === 1);
      gone.push(lost());
      await sleep(100);
      const others = client.burst(20, body);
      await sleep(200);
      hangUp.abort();
      assert.deepEqual(await Promise.all(gone), ["gone", "gone"]);
      const answers = await others;
      assert.ok(
        answers.every((it) => it.status === 200 && it.text === answers[0].text && /collapsed/.test(it.cacheStatus)),
      );
      assert.ok(
        answers.every((it) => it.ms < 2_000),
        "as soon as it is computed",
      );
      assert.equal(origin.counts().calls, 1);
      assertSums(await counters(client));
    }),
  );

  test(
    "waiters are woken by a failure at once, one call per window",
    inWorld({ origin: { mode: "status", status: 500, latency: 400 } }, async ({ client, origin }) => {
      const body = question();
      const answers = await client.burst(50, body);
      for (const answer of answers) assertProblem(answer, 502, "origin_error");
      assert.ok(answers.every((it) => it.ms < 2_000 && it.headers["retry-after"]));
      assert.equal(origin.counts().calls, 1);
      assertProblem(await client.ask(body), 502, "origin_error");
      assert.equal(origin.counts().calls, 1, "the back-off is kept");
      origin.set({ mode: "ok" });
      const answer = await eventually("it recovers", async () => {
        const answer = await client.ask(body);
        return answer.status === 200 && answer;
      });
      assert.match(answer.cacheStatus, /stored/);
      assertSums(await counters(client));
    }),
  );

  test(
    "too many waiters get 503 with Retry-After, the others their answer",
    inWorld({ route: { max_waiters: 5 }, origin: { latency: 600 } }, async ({ client, origin }) => {
      const answers = await client.burst(20, question());
      const refused = answers.filter((it) => it.status === 503);
      for (const answer of refused) assertProblem(answer, 503, "too_many_waiters");
      assert.ok(refused.length >= 10 && refused.length <= 14 && refused.every((it) => it.headers["retry-after"]));
      assert.equal(answers.filter((it) => it.status === 200).length, 20 - refused.length);
      assert.equal(origin.counts().calls, 1);
      assertSums(await counters(client));
    }),
  );

  test(
    "origin calls at once are bounded over all keys",
    inWorld({ route: { max_origin_calls: 3 }, origin: { latency: 500 } }, async ({ client, origin }) => {
      const answers = await Promise.all(Array.from({ length: 12 }, () => client.ask(question())));
      assert.ok(origin.counts().highest_in_flight <= 3);
      for (const answer of answers.filter((it) => it.status !== 200))
        assertProblem(answer, 503, "too_many_origin_calls");
      assert.ok(answers.filter((it) => it.status === 200).length >= 3);
      assertSums(await counters(client));
    }),
  );
});

describe("generations", () => {
  test(
    "generations increase over two colos, and the other colo adopts the newer one",
    inWorld({ colos: [{}, {}], route: { ttl: 1 } }, async ({ clients: [one, two], origin }) => {
      const body = question();
      await one.ask(body);
      const first = await generation(one, body);
      assert.match((await two.ask(body)).cacheStatus, /hit/, "from the object");
      assert.equal(await generation(two, body), first);
      await sleep(1_200);
      await one.ask(body);
      const second = await eventually("a new generation", async () => {
        const now = await generation(one, body);
        return now > first && now;
      });
      // The other colo is stale, triggers, and finds the newer one instead of computing.
      assert.match((await two.ask(body)).cacheStatus, /stale/);
      await eventually("it is adopted", async () => (await generation(two, body)) === second);
      assert.equal(origin.counts().calls, 2);
      const c = await counters(two);
      assert.equal(c.xfetch_recheck_skips_total, 1);
      assertSums(c);
    }),
  );

  test(
    "an entry of the object that may be served on errors only does not answer a colo that has never seen it",
    inWorld(
      { colos: [{}, {}], route: { ttl: 0.5, stale_while_revalidate: 0, stale_if_error: 60 } },
      async ({ clients: [one, two], origin }) => {
        const body = question();
        await one.ask(body);
        await sleep(800);
        const answer = await two.ask(body);
        assert.match(answer.cacheStatus, /fwd=miss; stored/);
        assert.equal(origin.counts().calls, 2);
        assert.ok(answer.ms < 1_500, `${answer.ms} ms`);
      },
    ),
  );

  test(
    "a purge in one colo reaches the other at its next exchange with the object",
    inWorld({ colos: [{}, {}], route: { ttl: 1 } }, async ({ clients: [one, two] }) => {
      const body = question();
      await one.ask(body);
      await two.ask(body);
      await purge(one, body, true);
      assert.equal((await inspect(one, body)).memory.entry, null);
      assert.match((await two.ask(body)).cacheStatus, /hit/, "not yet");
      await sleep(1_200);
      await two.ask(body);
      await eventually("the purge is heard", async () => {
        const { memory } = await inspect(two, body);
        return memory.floor.hard > 0;
      });
    }),
  );

  test(
    "F18: a purge wins over the computation that began before it",
    inWorld({ origin: { latency: 800 } }, async ({ client, origin }) => {
      const body = question();
      const early = client.ask(body);
      await eventually("it computes", () => origin.counts().in_flight === 1);
      await purge(client, body, true);
      const answer = await early;
      assert.equal(answer.status, 200);
      assert.equal(answer.cacheStatus, "xfetch-edge; fwd=miss", "only its own client is answered");
      const held = await inspect(client, body);
      assert.deepEqual([held.memory.entry, held.colo.entry, held.object.holds.generation], [null, null, null]);
      assert.equal((await counters(client)).commits_rejected, 1);
      assert.match((await client.ask(body)).cacheStatus, /stored/);
      assert.equal(origin.counts().calls, 2);
    }),
  );
});

test(
  "F18: a purge wins over the refresh that began before it",
  inWorld({ route: { ttl: 0.5, early_window: 0.01 }, origin: { latency: 50 } }, async ({ client, origin }) => {
    const body = question();
    const first = await client.ask(body);
    await sleep(700);
    origin.set({ latency: 1_000 });
    assert.match((await client.ask(body)).cacheStatus, /detail=stale/);
    await eventually("the refresh computes", () => origin.counts().in_flight === 1);
    await purge(client, body, true);
    await eventually("it is rejected", async () => (await counters(client)).commits_rejected === 1);
    const held = await inspect(client, body);
    assert.deepEqual([held.memory.entry, held.colo.entry, held.object.holds.generation], [null, null, null]);
    const next = await client.ask(body);
    assert.match(next.cacheStatus, /stored/);
    assert.ok(next.text !== first.text && origin.counts().calls === 3);
    assertSums(await counters(client));
  }),
);

/** A commit of the second colo leaves after the end of its lease. The kind of a message: the index of its variant. */
const COMMITS_LATE = meddling(
  `async (send) => {
    if (new Uint8Array(message[1].body)[8] === 2) await new Promise((on) => setTimeout(on, 8_600));
    return send();
  }`,
  'env.LOCATION_HINT === "weur"',
);

test(
  "a commit that comes after the end of its lease, while another holds the next one, changes nothing",
  inWorld(
    {
      colos: [{}, { LOCATION_HINT: "weur" }],
      prelude: COMMITS_LATE,
      route: { origin_timeout: 2 },
      origin: { latency: 50 },
    },
    async ({ clients: [one, two], origin }) => {
      const body = question();
      const slow = two.ask(body);
      await eventually("the second colo computes", () => origin.counts().calls === 1);
      const { last_token: lost } = (await inspect(one, body)).object.holds;
      // The lease lasts 7 s. The next holder computes while the late commit arrives.
      await sleep(7_300);
      origin.set({ latency: 1_800 });
      const next = await one.ask(body);
      assert.match(next.cacheStatus, /fwd=miss; stored/);
      const { generation: stored } = (await inspect(one, body)).object.holds;
      assert.ok(stored > lost, `${stored} after ${lost}`);
      assert.equal((await slow).status, 200);
      assert.equal(await generation(one, body), stored);
      assert.equal(origin.counts().calls, 2);
    },
  ),
);

describe("evicted objects and killed runtimes", () => {
  test(
    "F6: an object evicted between acquire and commit judges the commit by its stored token",
    inWorld({ origin: { latency: 800 } }, async ({ client, origin, runtime }) => {
      const body = question();
      const { key } = await inspect(client, body);
      const answer = client.ask(body);
      await eventually("it computes", () => origin.counts().in_flight === 1);
      await runtime.evict(key);
      assert.match((await answer).cacheStatus, /stored/);
      assert.equal((await inspect(client, body)).object.holds.generation, await generation(client, body));
    }),
  );

  test("F4 and F23: entries, tokens and counters survive a killed runtime; the lost holder costs one lease at most", async () => {
    const persist = await mkdtemp(join(tmpdir(), "xfetch-restart-"));
    const origin = await startOrigin({ settings: { latency: 600, spread: 0 } });
    const start = () =>
      startRuntime({ vars: { ORIGIN_URL: origin.url, ROUTES: [route({ ttl: 60, origin_timeout: 1 })] }, persist });
    let runtime = await start();
    try {
      let client = new Client(runtime.url, { path: PATH, token: ADMIN_TOKEN });
      const [warm, cold] = [question(), question()];
      const before = await client.ask(warm);
      const { epoch, counters: counted } = await client.admin("GET", "metrics");
      client.ask(cold).catch(() => "cut off");
      await eventually("the computation begins", () => origin.counts().in_flight === 1);
      await runtime.kill();
      runtime = await start();
      client = new Client(runtime.url, { path: PATH, token: ADMIN_TOKEN });
      const after = await client.ask(warm);
      assert.match(after.cacheStatus, /hit/, "from the object");
      assert.equal(after.text, before.text);
      const metrics = await client.admin("GET", "metrics");
      assert.equal(metrics.epoch, epoch);
      assert.ok(metrics.counters.total_requests >= counted.total_requests);
      const began = Date.now();
      const answers = await client.burst(20, cold);
      assert.ok(answers.every((it) => it.status === 200 && it.text === answers[0].text));
      assert.ok(Date.now() - began < 8_500, `one lease is 6 s; it took ${Date.now() - began} ms`);
      assert.equal(origin.counts().calls, 3, "the lost one included");
      assertSums((await client.admin("GET", "metrics")).counters);
    } finally {
      await runtime.stop();
      await origin.close();
      await rm(persist, { recursive: true, force: true });
    }
  });
});

describe("an origin that fails", () => {
  const faults = [
    ["status", "origin_error", { status: 503 }],
    ["status", "origin_busy", { status: 429 }],
    ["status", "origin_unauthorized", { status: 401 }],
    ["reset", "origin_unreachable", {}],
    ["truncate", "origin_truncated", {}],
    ["garbage", "origin_not_json", {}],
    ["html", "origin_not_json", {}],
    ["latin1", "origin_not_json", {}],
    ["empty", "origin_not_json", {}],
    ["huge", "origin_body_too_large", {}],
    ["endless", "origin_body_too_large", {}],
    ["bomb", "origin_body_too_large", {}],
    ["redirect", "origin_redirect", {}],
  ];
  for (const [mode, code, settings] of /** @type {[string, string, any][]} */ (faults)) {
    test(
      `${mode} ${settings.status ?? ""}: 502 when cold, the old entry when warm, nothing stored`,
      inWorld({ route: { ttl: 1 }, origin: { latency: 50 } }, async ({ client, origin }) => {
        const warm = question();
        const first = await client.ask(warm);
        origin.set({ mode, ...settings });
        assertProblem(await client.ask(question()), 502, code);
        await sleep(1_200);
        const stale = await client.ask(warm);
        assert.ok(stale.isStale && stale.text === first.text);
        await eventually("the failure is counted", async () => (await counters(client))[`failed_${code}`] === 2);
        const again = await client.ask(warm);
        assert.equal(again.text, first.text, "the old entry is intact");
        assertSums(await counters(client));
      }),
    );
  }

  test(
    "a hanging origin is 504 for a cold key, within its time-out",
    inWorld({ route: { origin_timeout: 1 }, origin: { mode: "hang" } }, async ({ client }) => {
      const answer = await client.ask(question());
      assertProblem(answer, 504, "origin_timeout");
      assert.ok(answer.ms < 2_500 && answer.headers["retry-after"]);
    }),
  );

  test(
    "Retry-After of the origin is passed on",
    inWorld({ origin: { mode: "status", status: 503, retry_after: 7 } }, async ({ client }) => {
      const body = question();
      await client.ask(body);
      const answer = await client.ask(body);
      assert.ok(Number(answer.headers["retry-after"]) >= 6, answer.headers["retry-after"]);
    }),
  );

  test(
    "within stale_if_error the old entry answers a miss whose computation fails",
    inWorld({ route: { ttl: 0.5, stale_while_revalidate: 0 } }, async ({ client, origin }) => {
      const body = question();
      const first = await client.ask(body);
      origin.set({ mode: "status", status: 500 });
      await sleep(800);
      const answer = await client.ask(body);
      assert.equal(answer.status, 200);
      assert.equal(answer.text, first.text);
      assert.match(answer.cacheStatus, /fwd=stale/);
      assert.equal((await counters(client)).cache_hit_stale, 1);
    }),
  );

  test(
    "the origin's 404 is relayed to all clients, and not remembered by default",
    inWorld({ origin: { latency: 300 } }, async ({ client, origin }) => {
      const body = question({ home_team: "Nobody" });
      const answers = await client.burst(10, body);
      assert.ok(answers.every((it) => it.status === 404 && JSON.parse(it.text).error === "unknown team"));
      const calls = origin.counts().calls;
      assert.equal((await client.ask(body)).status, 404);
      assert.equal(origin.counts().calls, calls + 1, "negative_ttl is 0");
    }),
  );

  test(
    "with a negative_ttl the origin's 404 is remembered",
    inWorld({ route: { negative_ttl: 60 } }, async ({ client, origin }) => {
      const body = question({ home_team: "Nobody" });
      assert.equal((await client.ask(body)).status, 404);
      assert.equal((await client.ask(body)).status, 404);
      assert.equal(origin.counts().calls, 1);
    }),
  );

  for (const mode of ["cookie", "private", "no-store", "vary"]) {
    test(
      `${mode}: a refusal with this header goes only to the client that asked`,
      inWorld({ route: { negative_ttl: 60 }, origin: { latency: 300 } }, async ({ client, origin }) => {
        origin.set({ mode });
        const body = question({ home_team: "Nobody" });
        const answers = [...(await client.burst(5, body)), await client.ask(body)];
        for (const answer of answers) {
          assert.equal(answer.status, 404);
          assert.equal(JSON.parse(answer.text).error, "unknown team");
          assert.match(answer.cacheStatus, /fwd=bypass/);
          assert.equal(answer.headers["set-cookie"], undefined);
          assert.equal(answer.headers["cache-control"], "no-store");
        }
        assert.equal(origin.counts().calls, answers.length, "each request has called the origin");
        const c = await counters(client);
        assert.deepEqual([c.compute_calls, c.compute_failed], [answers.length, answers.length]);
        assertSums(c);
      }),
    );

    test(
      `${mode}: answered, never stored, and the key goes uncached for a while`,
      inWorld({}, async ({ client, origin }) => {
        origin.set({ mode });
        const body = question();
        const first = await client.ask(body);
        assert.equal(first.status, 200);
        assert.match(first.cacheStatus, /fwd=bypass/);
        assert.equal(first.headers["set-cookie"], undefined);
        const second = await client.ask(body);
        assert.match(second.cacheStatus, /fwd=bypass/);
        assert.notEqual(second.text, first.text);
        assert.equal(origin.counts().calls, 2);
        const held = await inspect(client, body);
        assert.deepEqual([held.memory.entry, held.colo.entry, held.object.holds.generation], [null, null, null]);
        const c = await counters(client);
        assert.equal(c.compute_calls, 2);
        assertSums(c);
      }),
    );
  }
});

describe("metrics", () => {
  test(
    "the counters agree with the origin's own count over a mixed run in two colos",
    inWorld({ colos: [{}, {}], route: { ttl: 1 }, origin: { latency: 100 } }, async ({ clients, origin }) => {
      const bodies = Array.from({ length: 5 }, () => question());
      let asked = 0;
      for (let round = 0; round < 12; round += 1) {
        const answers = await Promise.all(clients.flatMap((client) => bodies.map((body) => client.ask(body))));
        asked += answers.length;
        await sleep(250);
      }
      await sleep(1_500);
      await clients[1].admin("GET", "metrics");
      const c = await eventually("both isolates have flushed", async () => {
        const now = await counters(clients[0]);
        return now.total_requests === asked && now;
      });
      assert.equal(c.compute_calls, origin.counts().calls);
      assert.equal(origin.counts().aborted, 0);
      const highest = Object.values(origin.counts().keys).map((key) => key.highest_in_flight);
      assert.deepEqual([...new Set(highest)], [1], "no second computation of a key in flight");
      assertSums(c);
    }),
  );

  test(
    "a reset begins a new epoch from zero",
    inWorld({}, async ({ client }) => {
      await client.ask(question());
      const before = await client.admin("GET", "metrics");
      assert.ok(before.counters.total_requests === 1 && before.since > 0);
      const reset = await client.admin("POST", "metrics/reset");
      assert.notEqual(reset.epoch, before.epoch);
      const after = await client.admin("GET", "metrics");
      assert.equal(after.epoch, reset.epoch);
      assert.equal(after.counters.total_requests, 0);
      await client.ask(question());
      assert.equal((await counters(client)).total_requests, 1);
    }),
  );

  test(
    "one structured line is logged per computation",
    inWorld({}, async ({ client, runtime }) => {
      await client.ask(question());
      const line = runtime.logs.map(({ message }) => message).find((message) => message.includes('"event":"refresh"'));
      const { event, ending, purpose, route: path, delta_ms } = JSON.parse(line);
      assert.deepEqual([event, ending, purpose, path], ["refresh", "stored", "cold", PATH]);
      assert.ok(delta_ms >= 50);
    }),
  );
});

// Faults of the platform and of the origin on real workerd, each under its number in docs/internals/faults.md.
// Other files test more of them: protocol has F4, F6, F15, F18 and F23, embed has F16, surface has F21. The simulation
// and the search also cover duplication, reordering and alarms (F8, F19).

import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";

import { startOrigin } from "../../examples/origin/server.mjs";
import { Client } from "../../scripts/client.mjs";
import { startRuntime } from "../../scripts/runtime.mjs";
import { edge, serve } from "../../scripts/workerd.mjs";
import {
  ADMIN_TOKEN,
  EMBEDDING,
  PATH,
  assertProblem,
  assertSums,
  breaksIn,
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
import { answered, beginOf } from "./wire.mjs";

const STALE = { ttl: 0.5, stale_while_revalidate: 600, early_window: 0.01 };

/** A body that was computed and is stale now. */
async function staleEntry(client) {
  const body = question();
  const first = await client.ask(body);
  assert.equal(first.status, 200);
  await sleep(700);
  return { body, first };
}

/** Sends `sent` bytes of a body, and resets the connection after `after` ms: the runtime cancels the request. */
function reset(url, body, { sent = body.length, after }) {
  return new Promise((resolve) => {
    const socket = beginOf(url, body, sent);
    socket
      .on("error", () => {})
      .on("data", () => {})
      .on("close", resolve);
    setTimeout(() => socket.resetAndDestroy(), after);
  });
}

const times = (count, make) => Promise.all(Array.from({ length: count }, (_, place) => make(place)));

/** Repeats a request for `ms`; every answer must be a fast hit. Returns the answers that differ from `first`. */
async function servedMeanwhile(client, body, first, ms) {
  const end = Date.now() + ms;
  const answers = [];
  while (Date.now() < end) {
    answers.push(await client.ask(body));
    await sleep(40);
  }
  assert.ok(
    answers.every((it) => it.status === 200 && it.isHit),
    answers.map((it) => it.cacheStatus).join("\n"),
  );
  assert.ok(Math.max(...answers.map((it) => it.ms)) < 500, "served at once");
  return answers.filter((it) => it.text !== first.text);
}

describe("F1 and F2: the origin does not answer, or fails", () => {
  /** @type {any[][]} */
  const ways = [
    ["an error", { mode: "status", status: 500 }, "failed_origin_error", 502],
    ["unavailable, with Retry-After", { mode: "status", status: 503, retry_after: 2 }, "failed_origin_error", 502],
    ["too many requests", { mode: "status", status: 429, retry_after: 2 }, "failed_origin_busy", 502],
    ["a reset", { mode: "reset" }, "failed_origin_unreachable", 502],
    ["a hang", { mode: "hang" }, "failed_origin_timeout", 504],
  ];
  for (const [name, change, counter, status] of ways) {
    test(
      `${name}: the stale entry is kept and served, one call per back-off, cold requests get a problem document`,
      inWorld({ route: { ...STALE, origin_timeout: 1 }, origin: { latency: 50 } }, async ({ client, origin }) => {
        const { body, first } = await staleEntry(client);
        origin.set(change);
        const before = origin.counts().calls;
        assert.deepEqual(await servedMeanwhile(client, body, first, 1_500), [], "the old entry stays as it is");
        assert.ok(origin.counts().calls - before <= 2, `${origin.counts().calls - before} calls in 1.5 s`);
        const asked = question();
        const cold = await client.burst(10, asked);
        for (const answer of cold) assert.equal(answer.status, status);
        const { match_date } = JSON.parse(asked);
        const own = Object.values(origin.counts().keys).filter((it) => JSON.parse(it.body).match_date === match_date);
        assert.deepEqual(
          own.map((it) => it.calls),
          [1],
          "one call for all who wait",
        );
        assert.ok(cold[0].headers["retry-after"]);
        const c = await eventually("the failures are counted by reason", async () => {
          const now = await counters(client);
          return now[counter] >= 2 && now;
        });
        assertSums(c);
        origin.set({ mode: "ok" });
        await eventually("it recovers", async () => (await client.ask(body)).text !== first.text);
      }),
    );
  }

  test(
    "an origin that cannot be resolved is 502 for a cold key",
    inWorld({ vars: { ORIGIN_URL: "https://nowhere.invalid" } }, async ({ client }) => {
      assertProblem(await client.ask(question()), 502, "origin_unreachable");
    }),
  );
});

describe("F3: an invalid body is never stored, and is counted by its reason", () => {
  /** @type {any[][]} */
  const ways = [
    ["truncate", "failed_origin_truncated"],
    ["garbage", "failed_origin_not_json"],
    ["html", "failed_origin_not_json"],
    ["latin1", "failed_origin_not_json"],
    ["empty", "failed_origin_not_json"],
    ["huge", "failed_origin_body_too_large"],
    ["endless", "failed_origin_body_too_large"],
    ["bomb", "failed_origin_body_too_large"],
    ["redirect", "failed_origin_redirect"],
  ];
  test(
    "each of them",
    inWorld({ route: { ...STALE, origin_timeout: 5 }, origin: { latency: 20 } }, async ({ client, origin }) => {
      for (const [mode, counter] of ways) {
        origin.set({ mode: "ok" });
        const { body, first } = await staleEntry(client);
        const before = (await counters(client))[counter];
        const held = (await inspect(client, body)).object.holds.generation;
        origin.set({ mode });
        assert.deepEqual(await servedMeanwhile(client, body, first, 300), [], mode);
        await eventually(`${mode} is counted as ${counter}`, async () => (await counters(client))[counter] > before);
        const cold = await client.ask(question());
        assert.ok(
          cold.status === 502 && cold.headers["content-type"].startsWith("application/problem+json"),
          `${mode}: ${cold.status}`,
        );
        const { memory, colo, object } = await inspect(client, body);
        assert.ok(held > 0);
        for (const generation of [memory.entry.generation, colo.entry.generation, object.holds.generation]) {
          assert.equal(generation, held, `${mode}: the committed entry stays in every tier`);
        }
      }
      assertSums(await counters(client));
    }),
  );
});

describe("F7: the key's object", () => {
  for (const mode of ["throw", "garbage", "unknown", "deaf"]) {
    test(
      `${mode === "unknown" ? "of another version (F17)" : mode}: warm keys are served and refreshed within a bound, a cold key gets one call`,
      inWorld(
        { saboteur: true, route: { ...STALE, origin_timeout: 2 }, origin: { latency: 100 } },
        async ({ client, origin, runtime }) => {
          const { body, first } = await staleEntry(client);
          await runtime.sabotage(mode);
          const before = origin.counts().calls;
          await servedMeanwhile(client, body, first, 2_600);
          const calls = origin.counts().calls - before;
          assert.ok(calls >= 1 && calls <= 4, `${calls} calls without a lease in 2.6 s`);
          const { memory, colo } = await inspect(client, body).catch(() => ({ memory: {}, colo: {} }));
          assert.equal(memory.entry?.committed ?? false, false, "a value computed without a lease is not committed");
          assert.ok(!colo.entry || colo.entry.committed);
          const cold = question();
          const coldBefore = origin.counts().calls;
          const answers = await client.burst(20, cold);
          assert.ok(
            answers.every((it) => it.status === 200 && it.text === answers[0].text),
            answers.map((it) => it.status).join(),
          );
          assert.equal(origin.counts().calls - coldBefore, 1, "one direct call per isolate and key");
          assert.ok(answers.every((it) => it.ms < 8_000));
          const purged = await client.raw("POST", "/_xfetch/purge", {
            headers: { authorization: `Bearer ${client.token}` },
            body: JSON.stringify({ path: PATH, body: JSON.parse(body) }),
          });
          assertProblem(purged, 503, "coordination_unavailable");
          const c = await counters(client);
          assert.ok(c.refresh_lock_errors >= 1);
          assertSums(c);
          await runtime.sabotage("none");
          await eventually("a committed generation takes over", async () => {
            await client.ask(body);
            return (await inspect(client, body)).memory.entry?.committed === true;
          });
          await purge(client, body, true);
        },
      ),
    );
  }

  test(
    "slower than its time-out: a grant that comes late is given back, and the key is not locked",
    inWorld(
      { saboteur: true, route: { ...STALE, origin_timeout: 2 }, origin: { latency: 100 } },
      async ({ client, runtime }) => {
        const { body, first } = await staleEntry(client);
        await runtime.sabotage("slow");
        await servedMeanwhile(client, body, first, 2_300);
        await runtime.sabotage("none");
        await eventually(
          "the late grant is given back",
          async () => (await counters(client)).grants_given_back >= 1,
          8_000,
        );
        await eventually(
          "the next refresh is granted at once",
          async () => {
            await client.ask(body);
            const seen = await inspect(client, body);
            return seen.memory.entry?.committed && seen.memory.entry.verdict === "fresh";
          },
          6_000,
        );
      },
    ),
  );
});

const messages = (runtime) => runtime.logs.filter((it) => it.message.startsWith("message ")).length;
/** Waits until `count` messages have been sent, and checks that no more follow. */
async function sent(runtime, count) {
  await eventually(`${count} messages`, () => messages(runtime) >= count);
  await sleep(300);
  assert.equal(messages(runtime), count);
}

describe("F7: what the platform says of a failed message", () => {
  const failing = (mark) => meddling(`async () => { throw Object.assign(new Error("sabotage"), { ${mark}: true }); }`);

  test(
    "overloaded: the object is not asked again, one direct call answers all requests",
    inWorld({ prelude: failing("overloaded"), origin: { latency: 300 } }, async ({ client, origin, runtime }) => {
      const answers = await client.burst(20, question());
      assert.ok(answers.every((it) => it.status === 200 && it.text === answers[0].text));
      assert.equal(origin.counts().calls, 1);
      assert.ok(messages(runtime) <= answers.length, `${messages(runtime)} messages of ${answers.length} requests`);
      assertSums(await counters(client));
    }),
  );

  test(
    "retryable: the message is repeated once",
    inWorld({ prelude: failing("retryable"), origin: { latency: 100 } }, async ({ client, origin, runtime }) => {
      assert.equal((await client.ask(question())).status, 200);
      assert.equal(origin.counts().calls, 1);
      await sent(runtime, 2);
    }),
  );
});

test(
  "F8: the reply to acquire is lost, and asking again gives the same grant",
  inWorld(
    {
      prelude: meddling(
        'async (send, place) => { const reply = await send(); if (place === 1) throw Object.assign(new Error("sabotage"), { retryable: true }); return reply; }',
      ),
      origin: { latency: 100 },
    },
    async ({ client, origin, runtime }) => {
      const body = question();
      assert.match((await client.ask(body)).cacheStatus, /stored/);
      // Acquire, again, commit.
      await sent(runtime, 3);
      assert.equal(origin.counts().calls, 1);
      assert.deepEqual((await inspect(client, body)).object.holds.lease_token, null);
    },
  ),
);

test(
  "F5: a holder that commits after somebody else has is rejected, and the newer entry stays in every tier",
  inWorld(
    {
      // The second message of the first colo is its commit: it is on its way for longer than the lease lasts.
      prelude: meddling(
        "async (send, place) => { if (place === 2) await new Promise((on) => setTimeout(on, 9_000)); return send(); }",
        'env.LOCATION_HINT === "weur"',
      ),
      colos: [{ LOCATION_HINT: "weur" }, {}],
      route: { ttl: 60, origin_timeout: 1 },
      origin: { latency: 50 },
    },
    async ({ clients: [late, other], origin, runtime }) => {
      const body = question();
      const began = Date.now();
      const own = await late.ask(body);
      assert.equal(own.cacheStatus, "xfetch-edge; fwd=miss", "its own client is answered, and nothing is stored");
      const newer = await eventually(
        "the lease runs out",
        async () => {
          const answer = await other.ask(body);
          return answer.status === 200 && answer;
        },
        9_000,
      );
      assert.match(newer.cacheStatus, /stored/);
      assert.ok(newer.text !== own.text && "another computation");
      const { generation } = (await inspect(other, body)).object.holds;
      assert.ok(!runtime.logs.some((it) => it.message === "answered 2 200"), "it is still on its way");
      await eventually("the late commit is answered", () => runtime.logs.some((it) => it.message === "answered 2 200"));
      const held = await inspect(other, body);
      assert.deepEqual([held.memory.entry.generation, held.object.holds.generation], [generation, generation]);
      assert.equal((await other.ask(body)).text, newer.text);
      assert.equal(origin.counts().calls, 2);
      for (const client of [late, other]) assertSums(await counters(client));
    },
  ),
);

describe("F9 and F10: 500 at once", () => {
  test(
    "for a cold key over two colos: one call, one body",
    inWorld({ colos: [{}, {}], origin: { latency: 800 } }, async ({ clients, origin }) => {
      const body = question();
      const answers = (await Promise.all(clients.map((client) => client.burst(250, body)))).flat();
      assert.ok(answers.every((it) => it.status === 200 && it.text === answers[0].text));
      assert.equal(origin.counts().calls, 1);
    }),
  );

  test(
    "at expiry: nobody waits, one call",
    inWorld({ route: { ...STALE, ttl: 2 }, origin: { latency: 2_000 } }, async ({ client, origin }) => {
      const body = question();
      await client.ask(body);
      await sleep(2_100);
      const answers = await client.burst(500, body);
      assert.ok(
        answers.every((it) => it.status === 200 && it.isHit && it.ms < 1_500),
        `the slowest took ${Math.max(...answers.map((it) => it.ms))} ms`,
      );
      await eventually("the refresh lands", async () => (await client.ask(body)).ttl >= 0);
      assert.equal(origin.counts().calls, 2);
    }),
  );
});

describe("F11 and F14: the colo's cache", () => {
  /** @type {any[][]} */
  const ways = [
    ["match throws", 'Cache.prototype.match = () => Promise.reject(new Error("sabotage"));', "cache_api_errors"],
    ["put fails", 'Cache.prototype.put = () => Promise.reject(new Error("sabotage"));', "cache_api_errors"],
    ["entries vanish", "Cache.prototype.match = () => Promise.resolve(undefined);", undefined],
    [
      "entries are garbage",
      'Cache.prototype.match = () => Promise.resolve(new Response("garbage"));',
      "entries_unreadable",
    ],
  ];
  for (const [name, prelude, counter] of ways) {
    test(
      `${name}: answers are served, other tiers used, counted, no loop`,
      inWorld(
        { prelude, route: { ttl: 1, early_window: 0.01 }, origin: { latency: 50 } },
        async ({ client, origin, runtime }) => {
          const body = question();
          assert.match((await client.ask(body)).cacheStatus, /stored/);
          assert.match((await client.ask(body)).cacheStatus, /hit/);
          await sleep(1_100);
          assert.ok((await client.ask(body)).isHit);
          await eventually("it is refreshed all the same", async () => (await client.ask(body)).ttl >= 0);
          assert.equal(origin.counts().calls, 2);
          const c = await counters(client);
          if (counter) assert.ok(c[counter] >= 1, counter);
          assert.ok(c.total_requests < 100);
          assertSums(c);
          assert.ok(runtime.logs.every((it) => !/panicked/.test(it.message)));
        },
      ),
    );
  }
});

describe("F12: clocks that jump", () => {
  for (const hours of [1, -1]) {
    test(
      `${hours} hour: no panic, nothing is stuck, ages are never negative`,
      inWorld(
        {
          prelude: `const real = Date.now; const began = real(); Date.now = () => real() + (real() - began > 4000 ? ${hours * 3_600_000} : 0);`,
          route: { ttl: 5, early_window: 0.01 },
          origin: { latency: 50 },
        },
        async ({ client, origin, runtime }) => {
          const body = question();
          const began = Date.now();
          await client.ask(body);
          while (Date.now() - began < 7_000) {
            const answer = await client.ask(body);
            assert.ok(answer.status === 200 && answer.age >= 0 && answer.isHit, answer.cacheStatus);
            await sleep(100);
          }
          assert.ok(origin.counts().calls <= 6, `${origin.counts().calls} calls`);
          assert.ok(runtime.logs.every((it) => !/panicked/.test(it.message)));
          assertSums(await counters(client));
        },
      ),
    );
  }
});

test(
  "F13: without entropy nothing is refreshed early, and the failure is counted",
  inWorld(
    {
      prelude: 'crypto.getRandomValues = () => { throw new Error("sabotage"); };',
      route: { ttl: 1, early_window: 1, beta: 100 },
      origin: { latency: 50 },
    },
    async ({ client, origin }) => {
      const body = question();
      await client.ask(body);
      for (let count = 0; count < 10; count += 1) assert.match((await client.ask(body)).cacheStatus, /hit; ttl=0/);
      assert.equal(origin.counts().calls, 1, "no early refresh without a draw");
      await sleep(1_100);
      assert.ok((await client.ask(body)).isStale);
      await eventually("stale is refreshed", async () => (await client.ask(body)).ttl >= 0);
      const c = await counters(client);
      assert.ok(c.entropy_errors >= 1 && c.xfetch_early_triggers === 0);
    },
  ),
);

test(
  "F22: a flood of distinct keys leaves memory bounded and a warm key as fast as before",
  inWorld(
    { vars: { MEMORY_BYTES: 1_000_000 }, route: { max_origin_calls: 1_000 }, origin: { latency: 0 } },
    async ({ client }) => {
      const warm = question();
      await client.ask(warm);
      const times = async () => {
        const all = [];
        for (let count = 0; count < 50; count += 1) all.push((await client.ask(warm)).ms);
        return all.sort((a, b) => a - b)[25];
      };
      const before = await times();
      for (let round = 0; round < 15; round += 1) {
        await Promise.all(Array.from({ length: 100 }, () => client.ask(question())));
        assert.match((await client.ask(warm)).cacheStatus, /hit/, "a used key is not evicted");
      }
      const after = await times();
      const { gauges } = await client.admin("GET", "metrics");
      assert.ok(gauges.memory_bytes <= 1_000_000, `${gauges.memory_bytes} bytes`);
      assert.ok(gauges.memory_entries > 100 && gauges.memory_entries < 1_500, `${gauges.memory_entries} entries`);
      assert.ok(after < 3 * before + 5, `${after} ms after, ${before} ms before`);
    },
  ),
);

/** Cuts background tasks off after 150 ms, from 0.5 s to 4 s after the first task began. */
const CUT_OFF = `
let began;
globalThis.wrapContext = (context) => ({
  waitUntil(task) {
    began ??= Date.now();
    const isOn = Date.now() - began > 500 && Date.now() - began < 4_000;
    context.waitUntil(isOn ? Promise.race([task, new Promise((resolve) => setTimeout(resolve, 150))]) : task);
  },
});
`;

test(
  "F20: background work that is cut off counts as abandoned when its lease ends; stale is served, then refreshed",
  inWorld(
    { prelude: CUT_OFF, route: { ...STALE, origin_timeout: 1 }, origin: { latency: 600 } },
    async ({ client, origin }) => {
      const body = question();
      const first = await client.ask(body);
      await sleep(700);
      await servedMeanwhile(client, body, first, 1_000);
      assert.ok(origin.counts().calls >= 2, "a refresh had begun");
      await eventually(
        "it is counted as abandoned",
        async () => (await counters(client)).compute_abandoned >= 1,
        9_000,
      );
      await eventually("the next refresh completes", async () => (await client.ask(body)).text !== first.text, 9_000);
      const c = await counters(client);
      assertSums(c);
      assert.equal(c.compute_calls, origin.counts().calls);
    },
  ),
);

test(
  "overload of one key: each isolate keeps its limit of waiters, refuses the others at once, calls the origin once, and releases the key",
  inWorld({ colos: [{}, {}], route: { max_waiters: 100 }, origin: { latency: 1_500 } }, async ({ clients, origin }) => {
    const body = question();
    const answers = (await Promise.all(clients.map((client) => client.burst(500, body)))).flat();
    const served = answers.filter((it) => it.status === 200);
    const refused = answers.filter((it) => it.status === 503);
    assert.equal(served.length + refused.length, 1_000);
    assert.ok(served.length >= 200 && served.length <= 202 + clients.length, `${served.length} were served`);
    assert.ok(served.every((it) => it.text === served[0].text));
    for (const answer of refused.slice(0, 20)) {
      assertProblem(answer, 503, "too_many_waiters");
      assert.ok(Number(answer.headers["retry-after"]) >= 1);
    }
    assert.equal(origin.counts().calls, 1);
    for (const client of clients) assert.match((await client.ask(body)).cacheStatus, /hit|collapsed/);
    const seen = await inspect(clients[0], body);
    assert.deepEqual([seen.object.holds.lease_token, seen.object.holds.waiters], [null, 0]);
    for (const client of clients) await counters(client);
    await eventually("the sums of both colos hold", async () => (await counters(clients[0])).total_requests === 1_002);
    assertSums(await counters(clients[0]));
  }),
);

describe("a client that resets its connection releases what its request held", () => {
  for (const [where, folder] of [
    ["", undefined],
    [", in another Worker", EMBEDDING],
  ]) {
    test(
      `places of origin calls, where a key's answers must not be stored${where}`,
      inWorld({ folder, route: { max_origin_calls: 10, origin_timeout: 15 } }, async ({ client, origin, runtime }) => {
        const body = question();
        origin.set({ mode: "private", latency: 800 });
        assert.equal((await client.ask(body)).status, 200);
        await times(10, () => reset(runtime.url, body, { after: 200 }));
        await eventually("their calls have ended", () => origin.counts().in_flight === 0);
        origin.set({ mode: "ok", latency: 50 });
        const answer = await client.ask(question());
        assert.equal(answer.status, 200, answer.text);
        const c = await counters(client);
        assert.equal(c.compute_abandoned, 0);
        assert.equal(c.compute_calls, origin.counts().calls);
        assertSums(c);
      }),
    );
  }

  test(
    "the places of waiters, and the key, whichever waiter disconnects",
    inWorld({ route: { max_waiters: 20 }, origin: { latency: 1_500 } }, async ({ client, origin, runtime }) => {
      const body = question();
      const gone = times(10, (place) => reset(runtime.url, body, { after: 100 + 50 * place }));
      await sleep(50);
      const answers = await client.burst(10, body);
      await gone;
      assert.ok(answers.every((it) => it.status === 200 && it.text === answers[0].text && it.ms < 2_500));
      assert.equal(origin.counts().calls, 1);
      const seen = await inspect(client, body);
      assert.deepEqual([seen.object.holds.lease_token, seen.object.holds.waiters], [null, 0]);
      assertSums(await counters(client));
    }),
  );

  test(
    "the places of bodies that are being read",
    inWorld({}, async ({ client, runtime }) => {
      const body = question();
      await times(80, (place) => reset(runtime.url, body, { sent: 10, after: 100 + place }));
      await sleep(300);
      const patient = beginOf(runtime.url, body, 10);
      // By then the incomplete bodies of the reset requests are no longer read.
      setTimeout(() => patient.write(body.slice(10)), 9_000);
      assert.match(await answered(patient), /^HTTP\/1\.1 200 /, "a body that takes its time is read");
      assertSums(await counters(client));
    }),
  );

  test("memory", async () => {
    const origin = await startOrigin({ settings: { latency: 400, spread: 0 } });
    const vars = {
      ORIGIN_URL: origin.url,
      MEMORY_BYTES: 1 << 20,
      ROUTES: [
        route({ fields: undefined, ttl: 1, stale_while_revalidate: 0, stale_if_error: 0, max_request: 1 << 18 }),
      ],
    };
    // Full garbage collections only, so that memory which is not yet collected does not count as held.
    const worker = await serve([edge({ vars })], { v8Flags: ["--gc-global"] });
    const memory = async () =>
      Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${worker.pid}/status`, "utf8"))[1]) / 1024;
    const round = async (place) => {
      const body = JSON.stringify({ filler: "x".repeat(200_000), place: place % 2 });
      await times(60, () => reset(worker.url, body, { after: 150 }));
      await sleep(500);
    };
    try {
      for (let place = 0; place < 4; place += 1) await round(place);
      const before = await memory();
      for (let place = 0; place < 8; place += 1) await round(place);
      // If their bodies were never freed, these alone would take 92 MiB.
      const grown = (await memory()) - before;
      assert.ok(grown < 60, `${grown.toFixed(0)} MiB more after 480 requests that were reset`);
    } finally {
      await worker.stop();
      await origin.close();
    }
  });
});

test("F4 and F23: killed three times in the middle of a refresh, nothing that was committed is lost", async () => {
  const persist = await mkdtemp(join(tmpdir(), "xfetch-killed-"));
  const origin = await startOrigin({ settings: { latency: 50, spread: 0 } });
  const start = () =>
    startRuntime({ vars: { ORIGIN_URL: origin.url, ROUTES: [route({ ...STALE, origin_timeout: 1 })] }, persist });
  const body = question();
  let runtime = await start();
  let last = 0;
  try {
    for (let round = 0; round < 3; round += 1) {
      let client = new Client(runtime.url, { path: PATH, token: ADMIN_TOKEN });
      const before = await client.ask(body);
      assert.equal(before.status, 200);
      const { generation } = (await inspect(client, body)).object.holds;
      assert.ok(generation > last, "generations go up across runtimes");
      last = generation;
      await sleep(700);
      origin.set({ latency: 800 });
      const calls = origin.counts().calls;
      await client.ask(body);
      await eventually("the refresh computes", () => origin.counts().in_flight === 1);
      await runtime.kill();
      await client.close().catch(() => undefined);
      runtime = await start();
      client = new Client(runtime.url, { path: PATH, token: ADMIN_TOKEN });
      const began = performance.now();
      const after = await client.ask(body);
      assert.equal(after.text, before.text, "what was committed is served");
      assert.ok(
        after.isHit && performance.now() - began < 700,
        `${after.cacheStatus} after ${(performance.now() - began).toFixed(0)} ms`,
      );
      // The lost holder's lease is 6 s; then the next refresh goes through.
      await eventually("it is refreshed", async () => (await client.ask(body)).text !== before.text, 9_000);
      assert.equal(origin.counts().calls - calls, 2, "the lost one, and the one after its lease");
      origin.set({ latency: 50 });
      assertSums(await counters(client));
      await client.close();
    }
  } finally {
    await runtime.stop();
    await origin.close();
    await rm(persist, { recursive: true, force: true });
  }
});

test(
  "F16: a panic fails only its own request; the next one, and one whose body is still arriving, get a new instance",
  inWorld({ prelude: breaksIn(4) }, async ({ client, origin, runtime }) => {
    const body = question();
    const first = await client.ask(body);
    assert.match((await client.ask(body)).cacheStatus, /hit/);
    const sending = beginOf(runtime.url, body, 10);
    await sleep(300);
    const broken = await client.raw("POST", PATH, { body, headers: { "content-type": "application/json" } });
    assert.equal(broken.status, 500);
    assert.doesNotMatch(broken.text, /sabotage|wasm/);
    sending.write(body.slice(10));
    const sent = await answered(sending);
    assert.match(sent, /^HTTP\/1\.1 200 /);
    assert.ok(sent.endsWith(first.text));
    const after = await client.ask(body);
    assert.equal(after.text, first.text, "from the colo or the object");
    assert.equal(origin.counts().calls, 1);
    // The counts of the lost instance are missing on both sides of every sum.
    assertSums(await counters(client));
  }),
);

test(
  "F16: requests that wait for a computation when the wasm panics are answered at once, and no key stays locked",
  inWorld(
    { prelude: breaksIn(14), route: { origin_timeout: 2 }, origin: { latency: 1_000 } },
    async ({ client, origin }) => {
      const [warm, cold, other] = [question(), question(), question()];
      await client.ask(warm);
      const began = performance.now();
      const waiting = times(12, (place) =>
        client.raw("POST", PATH, {
          body: place % 2 === 0 ? cold : other,
          headers: { "content-type": "application/json" },
        }),
      );
      await sleep(400);
      const broken = await client.raw("POST", PATH, { body: warm, headers: { "content-type": "application/json" } });
      assert.equal(broken.status, 500);
      for (const answer of await waiting) {
        assert.equal(answer.status, 500);
        assert.doesNotMatch(answer.text, /wasm/);
      }
      assert.ok(performance.now() - began < 1_500, `${(performance.now() - began).toFixed(0)} ms`);
      assert.equal((await client.ask(warm)).status, 200);
      origin.set({ latency: 50 });
      await eventually("the lost holders' leases end", async () =>
        (await Promise.all([cold, other].map((body) => client.ask(body)))).every((it) => it.status === 200),
      );
      assert.ok(origin.counts().calls <= 5, "one lost and one good call for each");
    },
  ),
);

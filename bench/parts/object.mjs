// `object`: cycles of acquire and commit on one object and on many, by a Worker in the same process; and the number of
// messages to objects per thousand requests, for fresh hits and for a storm.

import { Client, sleep } from "../../scripts/client.mjs";
import { ADMIN_TOKEN } from "../../scripts/runtime.mjs";
import { Chance } from "../chance.mjs";
import { PATH, startBenchOrigin, startDriver, startEdge } from "../peers.mjs";
import { fixed, medians, table } from "../table.mjs";

async function cycles(driver, query) {
  const answer = await fetch(`${driver}/?${new URLSearchParams(query)}`);
  const text = await answer.text();
  if (answer.status !== 200) throw new Error(`the driver said ${answer.status}: ${text}`);
  const { cycles: done, ms } = JSON.parse(text);
  return { done, rate: done / (ms / 1000) };
}

/**
 * Messages to keys' objects, derived from the counters: two for each computation, an acquire and a commit or a fail,
 * and two at most for each contention, an acquire and a wait. The waits of cold requests are not included.
 */
function messages(before, after) {
  const moved = (name) => after[name] - before[name];
  const requests = moved("total_requests");
  const perThousand = (count) => (count / requests) * 1000;
  const [calls, contentions] = [moved("compute_calls"), moved("xfetch_lock_contention_total")];
  return {
    requests,
    started: perThousand(moved("refreshes_started")),
    calls: perThousand(calls),
    triggers: perThousand(moved("xfetch_triggers")),
    least: perThousand(2 * calls),
    most: perThousand(2 * calls + 2 * contentions),
  };
}

export async function run({ isQuick }) {
  const rounds = isQuick ? 1 : 5;
  const origin = await startBenchOrigin({ latency: 50 });
  const world = await startDriver({ origin, ttl: 60 });
  const throughput = {};
  try {
    const shapes = [
      ["one object, one lane", { objects: 1, lanes: 1, cycles: 200 }],
      ["one object, 16 lanes", { objects: 1, lanes: 16, cycles: 50 }],
      ["200 objects, one lane", { objects: 200, lanes: 1, cycles: 400 }],
      ["200 objects, 16 lanes", { objects: 200, lanes: 16, cycles: 50 }],
    ];
    for (const [name, shape] of shapes) {
      const seen = [];
      for (let round = 0; round <= rounds; round += 1) {
        const one = await cycles(world.urls[1], {
          .../** @type {any} */ (shape),
          run: `${Math.floor(Math.random() * 1e9)}`,
        });
        if (round > 0) seen.push(one);
      }
      throughput[name] = medians(seen);
    }
  } finally {
    await world.stop();
  }
  table(
    ["acquire and commit", "cycles/s", "went through"],
    Object.entries(throughput).map(([name, it]) => [name, fixed(it.rate), it.done]),
  );

  const edge = await startEdge({ origin, ttl: 5 });
  const client = new Client(edge.url, { path: PATH, token: ADMIN_TOKEN, connections: 64 });
  const counters = async () => (await client.admin("GET", "metrics")).counters;
  const body = (key) => JSON.stringify({ away: "Chelsea", home: "Arsenal", match: key });
  const costs = {};
  try {
    await client.ask(body("fresh"));
    let before = await counters();
    // All within the first half of the TTL: nothing may be refreshed.
    for (let asked = 0; asked < 1_000; asked += 50) await client.burst(50, body("fresh"));
    costs["fresh hits"] = messages(before, await counters());
    before = await counters();
    const chance = new Chance(7);
    const end = performance.now() + (isQuick ? 8_000 : 30_000);
    while (performance.now() < end) {
      await sleep(chance.exponential(20));
      const key = chance.uniform() < 0.5 ? "hot" : Math.floor(1_000 ** chance.uniform());
      client.ask(body(key)).catch(() => undefined);
    }
    await sleep(2_000);
    costs["a storm, half of it one hot key"] = messages(before, await counters());
  } finally {
    await client.close();
    await edge.stop();
    await origin.stop();
  }
  console.log();
  table(
    [
      "per 1,000 requests",
      "requests",
      "triggers",
      "granted refreshes",
      "origin calls",
      "messages to objects, at least",
      "at most",
    ],
    Object.entries(costs).map(([name, it]) => [
      name,
      it.requests,
      fixed(it.triggers, 1),
      fixed(it.started, 1),
      fixed(it.calls, 1),
      fixed(it.least, 1),
      fixed(it.most, 1),
    ]),
  );
  return { throughput, costs };
}

// `burst`: N requests at the same instant for a key that has just become stale; the origin takes one second.
// `fresh` is the same burst at a fresh entry: what an answer from memory costs at this size.

import { Client, percentile, sleep } from "../../scripts/client.mjs";
import { chosen, PATH, PEERS, startBenchOrigin } from "../peers.mjs";
import { fixed, medians, table } from "../table.mjs";

const NAMES = chosen(["memory", "edge", "swr", "cachified", "nginx", "varnish"]);
const TTL = 4;
const LATENCY = 1_000;
const WARM_UPS = 20;
const BODY = JSON.stringify({ home: "Arsenal", away: "Chelsea", date: "2026-11-22" });

/** One burst, and what it cost the origin. */
export async function burst(client, origin, size, body) {
  await origin.reset();
  const answers = await attempts(client, size, body);
  await sleep(LATENCY * 1.5);
  const times = answers.map((it) => it.ms);
  return {
    p50: percentile(times, 0.5),
    p99: percentile(times, 0.99),
    slowest: Math.max(...times),
    failed: answers.filter((it) => it.status !== 200).length,
    computations: (await origin.counts()).calls,
  };
}

/** Sends `size` requests at the same moment; a request without an answer has status 0. */
export function attempts(client, size, body) {
  const one = async () => {
    const began = performance.now();
    return client.ask(body).catch(() => ({ status: 0, ms: performance.now() - began }));
  };
  return Promise.all(Array.from({ length: size }, one));
}

/** Each peer with an origin and a client of its own. */
export async function withPeers(names, { size, ttl }, use) {
  const peers = {};
  try {
    for (const name of names) {
      const origin = await startBenchOrigin({ latency: LATENCY });
      const peer = await PEERS[name].start({ origin, ttl });
      peers[name] = { peer, origin, client: new Client(peer.url, { path: PATH, connections: size }) };
    }
    return await use(peers);
  } finally {
    for (const { peer, origin, client } of Object.values(peers)) {
      await client.close?.();
      await peer.stop();
      await origin.stop();
    }
  }
}

export async function run({ isQuick }) {
  const rounds = isQuick ? 1 : 3;
  const figures = {};
  for (const size of [100, 500]) {
    const seen = Object.fromEntries(NAMES.map((name) => [name, { fresh: [], stale: [] }]));
    await withPeers(NAMES, { size, ttl: TTL }, async (peers) => {
      for (const { client } of Object.values(peers)) {
        await client.ask(BODY);
        for (let warm = 0; warm < WARM_UPS; warm += 1) await client.burst(size, BODY);
      }
      for (let round = 0; round < rounds; round += 1) {
        // The entries of all peers become fresh together, and stale together.
        await Promise.all(Object.values(peers).map(({ client }) => client.ask(BODY)));
        await sleep(LATENCY * 1.5);
        for (const name of NAMES) seen[name].fresh.push(await freshBurst(peers[name], size));
        await sleep((TTL + 0.5) * 1000);
        for (const name of NAMES)
          seen[name].stale.push(await burst(peers[name].client, peers[name].origin, size, BODY));
      }
    });
    const all = Object.fromEntries(
      NAMES.map((name) => [name, { fresh: medians(seen[name].fresh), stale: medians(seen[name].stale) }]),
    );
    figures[size] = all;
    const base = all.memory.fresh;
    console.log(
      `\n${size} at once at a stale key, medians of ${rounds} rounds, computations and failures as maxima; ratios to the JavaScript memory cache's burst at a fresh key (P50 ${fixed(base.p50, 1)} ms, P99 ${fixed(base.p99, 1)} ms)`,
    );
    table(
      ["", "computations", "p50 ms", "ratio", "p99 ms", "ratio", "failed", "fresh p50", "fresh p99"],
      NAMES.map((name) => {
        const { fresh, stale } = all[name];
        return [
          PEERS[name].label,
          stale.computations,
          fixed(stale.p50, 1),
          fixed(stale.p50 / base.p50, 2),
          fixed(stale.p99, 1),
          fixed(stale.p99 / base.p99, 2),
          stale.failed,
          fixed(fresh.p50, 1),
          fixed(fresh.p99, 1),
        ];
      }),
    );
  }
  return figures;
}

async function freshBurst({ client }, size) {
  const times = (await client.burst(size, BODY)).map((it) => it.ms);
  return { p50: percentile(times, 0.5), p99: percentile(times, 0.99) };
}

// `compare`: hits of this build beside those of the build in `BEFORE`. Two processes of the same build differ by up to
// 20 %, because the engine compiles and collects differently in each, so a pair of new processes is measured many
// times, its two members in turn. Reported is the median of the pairs' ratios, with a 95 % confidence interval.

import { load } from "../load.mjs";
import { CORES, newFolder, PATH, PEERS, processes, startBenchOrigin } from "../peers.mjs";
import { fixed, median, table } from "../table.mjs";

const BODY = JSON.stringify({ home: "Arsenal", away: "Chelsea", date: "2026-11-22" });
const NAMES = ["edge", "edge-before"];
const RESAMPLES = 2_000;

/**
 * The 2.5 and 97.5 percentiles of the median, by resampling.
 *
 * @param {number[]} values
 */
function interval(values) {
  const pick = () => values[Math.floor(Math.random() * values.length)];
  const seen = Array.from({ length: RESAMPLES }, () => median(values.map(pick))).toSorted((a, b) => a - b);
  return [seen[Math.floor(RESAMPLES * 0.025)], seen[Math.floor(RESAMPLES * 0.975)]];
}

/** @param {{ isQuick: boolean }} options */
export async function run({ isQuick }) {
  if (!process.env.BEFORE) throw new Error("Name the folder of the other build: BEFORE=../before/build");
  const [server, client] = CORES;
  const [pairs, rounds] = isQuick ? [3, 2] : [8, 6];
  const origin = await startBenchOrigin({ latency: 5 }, client);
  const folder = await newFolder();
  /** @type {Record<string, { rate: number[], cpu: number[] }>} */
  const ratios = {};
  try {
    for (let pair = 0; pair < pairs; pair += 1) {
      /** @type {Record<string, any>} */
      const peers = {};
      for (const name of NAMES) peers[name] = await PEERS[name].start({ origin, ttl: 3600, prefix: server });
      try {
        for (const connections of [1, 32]) {
          /** @type {Record<string, any[]>} */
          const seen = { edge: [], "edge-before": [] };
          for (let round = -1; round < rounds; round += 1) {
            // The first round warms up, and the order alternates.
            for (const name of (pair + round) % 2 === 0 ? NAMES : NAMES.toReversed()) {
              const ask = { url: peers[name].url + PATH, body: BODY, connections, prefix: client };
              const seconds = round < 0 ? 3 : 1;
              const one = await load({ ...ask, pids: processes(peers[name]), folder, seconds });
              if (round >= 0) seen[name].push(one);
            }
          }
          const ratio = (/** @type {"rate" | "cpu"} */ figure) =>
            median(seen.edge.map((it) => it[figure])) / median(seen["edge-before"].map((it) => it[figure]));
          ratios[connections] ??= { rate: [], cpu: [] };
          ratios[connections].rate.push(ratio("rate"));
          ratios[connections].cpu.push(ratio("cpu"));
        }
      } finally {
        for (const peer of Object.values(peers)) await peer.stop();
      }
    }
  } finally {
    await origin.stop();
  }
  const figures = Object.fromEntries(
    Object.entries(ratios).map(([connections, { rate, cpu }]) => [
      connections,
      { rate: median(rate), rateInterval: interval(rate), cpu: median(cpu), cpuInterval: interval(cpu), pairs: rate },
    ]),
  );
  const range = (/** @type {number[]} */ [low, high]) => `${fixed(low, 2)} to ${fixed(high, 2)}`;
  console.log(`\nThis build of the other, medians of ${pairs} pairs of processes`);
  table(
    ["connections", "requests/s", "95 %", "CPU per request", "95 %"],
    Object.entries(figures).map(([connections, it]) => [
      connections,
      fixed(it.rate, 3),
      range(it.rateInterval),
      fixed(it.cpu, 3),
      range(it.cpuInterval),
    ]),
  );
  return figures;
}

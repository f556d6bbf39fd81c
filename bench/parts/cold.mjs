// `cold`: N requests at the same instant for a key that was never requested; the origin takes one second.

import { percentile } from "../../scripts/client.mjs";
import { chosen, PEERS } from "../peers.mjs";
import { fixed, medians, table } from "../table.mjs";
import { attempts, burst, withPeers } from "./burst.mjs";

const NAMES = chosen(["memory", "edge", "edge-2", "swr", "cachified", "nginx", "varnish"]);
const LATENCY = 1_000;
const WARM_UPS = 20;
const body = (number) => JSON.stringify({ home: "Arsenal", away: "Chelsea", match: number });

export async function run({ isQuick }) {
  const rounds = isQuick ? 1 : 3;
  const figures = {};
  for (const size of [100, 500]) {
    const seen = Object.fromEntries(NAMES.map((name) => [name, []]));
    await withPeers(NAMES, { size, ttl: 3600 }, async (peers) => {
      for (const { client } of Object.values(peers)) {
        await client.ask(body(0));
        for (let warm = 0; warm < WARM_UPS; warm += 1) await attempts(client, size, body(0));
      }
      for (let round = 1; round <= rounds; round += 1) {
        for (const name of NAMES) {
          const { client, origin } = peers[name];
          const warm = (await attempts(client, size, body(0))).map((it) => it.ms);
          const cold = await burst(client, origin, size, body(round));
          seen[name].push({
            ...cold,
            warm: percentile(warm, 1),
            beyond: (cold.slowest - LATENCY) / percentile(warm, 1),
          });
        }
      }
    });
    const all = Object.fromEntries(NAMES.map((name) => [name, medians(seen[name])]));
    figures[size] = all;
    console.log(
      `\n${size} at once at a new key, medians of ${rounds} rounds, computations and failures as maxima; "beyond" is the slowest answer less the origin's second, in units of a warm burst of that size`,
    );
    table(
      ["", "computations", "p50 ms", "p99 ms", "slowest ms", "warm burst ms", "beyond", "failed"],
      NAMES.map((name) => {
        const it = all[name];
        return [
          PEERS[name].label,
          it.computations,
          fixed(it.p50),
          fixed(it.p99),
          fixed(it.slowest),
          fixed(it.warm, 1),
          fixed(it.beyond, 1),
          it.failed,
        ];
      }),
    );
  }
  return figures;
}

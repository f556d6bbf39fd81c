// `hit`: a warm key, POST with a body of some 60 bytes and an answer of 2 KB, in a closed loop. The servers share
// one core, the load has the other. The engine's pauses grow over the first hundred thousand answers, differently in
// each peer, so every process is warmed up before it is measured.

import { given, load } from "../load.mjs";
import { CORES, chosen, newFolder, PATH, PEERS, processes, startBenchOrigin } from "../peers.mjs";
import { fixed, medians, table } from "../table.mjs";

const NAMES = chosen(["hello", "memory", "cache-api", "rust-hello", "rust-raw", "edge", "nginx", "varnish"]);
const BODY = JSON.stringify({ home: "Arsenal", away: "Chelsea", date: "2026-11-22" });

export async function run({ isQuick }) {
  const [server, client] = CORES;
  const [rounds, seconds] = isQuick ? [1, 2] : [3, 3];
  const origin = await startBenchOrigin({ latency: 5 }, client);
  const folder = await newFolder();
  const peers = {};
  for (const name of NAMES) peers[name] = await PEERS[name].start({ origin, ttl: 3600, prefix: server });
  const figures = {};
  try {
    for (const connections of [1, 32, 256]) {
      const warmUp = connections === 32 && !isQuick ? 15 : 2;
      const seen = Object.fromEntries(NAMES.map((name) => [name, []]));
      // The first round warms up, and every round asks all of them in turn.
      for (let round = -1; round < rounds; round += 1) {
        for (const name of NAMES) {
          const peer = peers[name];
          const ask = { url: peer.url + PATH, body: BODY, connections, prefix: client };
          const one = await load({ ...ask, pids: processes(peer), folder, seconds: round < 0 ? warmUp : seconds });
          if (round >= 0) seen[name].push({ ...one, given: await given({ ...ask, seconds: isQuick ? 1 : 2 }) });
        }
      }
      const all = Object.fromEntries(NAMES.map((name) => [name, medians(seen[name])]));
      figures[connections] = all;
      const ratio = (name, other) => fixed(all[name].rate / all[other].rate, 2);
      console.log(`\n${connections} connection${connections === 1 ? "" : "s"}, medians of ${rounds} rounds`);
      table(
        ["", "requests/s", "of memory", "of raw", "p50 ms", "p99 ms", "p99.9 ms", "p99 given ms", "CPU us"],
        NAMES.map((name) => [
          PEERS[name].label,
          fixed(all[name].rate),
          ratio(name, "memory"),
          ratio(name, "rust-raw"),
          fixed(all[name].p50, 2),
          fixed(all[name].p99, 1),
          fixed(all[name].p999, 1),
          fixed(all[name].given, 1),
          fixed(all[name].cpu, 1),
        ]),
      );
    }
  } finally {
    for (const peer of Object.values(peers)) await peer.stop();
    await origin.stop();
  }
  return figures;
}

// `get`: a warm key by GET beside the same Worker's POST and a memory cache in JavaScript that does the same key work, in a
// closed loop, with an answer of 2 KB. The servers share one core, the load has the other.

import { load } from "../load.mjs";
import { CORES, PATH, PEERS, newFolder, processes, startBenchOrigin, startEdge } from "../peers.mjs";
import { fixed, medians, table } from "../table.mjs";

const BODY = JSON.stringify({ home: "Arsenal", away: "Chelsea", date: "2026-11-22" });
const PAGE = "/articles/7?page=2&lang=de";
const get = (/** @type {any} */ change) => ({ path: "/articles/*", methods: ["GET"], ...change });

/** Each with its label, how it is started, and what it is asked. */
const RUNS = {
  memory: ["JavaScript memory cache, GET", (use) => PEERS.memory.start(use), PAGE],
  post: ["xfetch-edge, POST", startEdge, PATH, BODY],
  route: ['xfetch-edge, GET, policy "route"', (use) => startEdge({ ...use, change: get({ policy: "route" }) }), PAGE],
  origin: [
    'xfetch-edge, GET, policy "origin"',
    (use) => startEdge({ ...use, change: get({ policy: "origin" }) }),
    PAGE,
  ],
  all: [
    'the same with forward = "all"',
    (use) => startEdge({ ...use, change: get({ policy: "origin", forward: "all" }) }),
    PAGE,
  ],
};

export async function run({ isQuick }) {
  const [server, client] = CORES;
  const [rounds, seconds] = isQuick ? [1, 2] : [5, 3];
  const origin = await startBenchOrigin({ latency: 5, headers: { "cache-control": "max-age=3600" } }, client);
  const folder = await newFolder();
  const names = Object.keys(RUNS);
  const peers = {};
  const figures = {};
  try {
    for (const name of names) peers[name] = await RUNS[name][1]({ origin, ttl: 3600, prefix: server });
    for (const connections of [1, 32]) {
      const seen = Object.fromEntries(names.map((name) => [name, []]));
      // The first round warms up, and every round asks all of them in turn.
      for (let round = -1; round < rounds; round += 1) {
        for (const name of names) {
          const [, , path, body] = RUNS[name];
          const ask = { url: peers[name].url + path, body, connections, prefix: client };
          const length = round < 0 ? (isQuick ? 2 : 10) : seconds;
          const one = await load({ ...ask, pids: processes(peers[name]), folder, seconds: length });
          if (round >= 0) seen[name].push(one);
        }
      }
      const all = Object.fromEntries(names.map((name) => [name, medians(seen[name])]));
      figures[connections] = all;
      console.log(`\n${connections} connection${connections === 1 ? "" : "s"}, medians of ${rounds} rounds`);
      table(
        ["", "requests/s", "of memory", "of POST", "p50 ms", "p99 ms", "CPU us"],
        names.map((name) => [
          RUNS[name][0],
          fixed(all[name].rate),
          fixed(all[name].rate / all.memory.rate, 2),
          fixed(all[name].rate / all.post.rate, 2),
          fixed(all[name].p50, 2),
          fixed(all[name].p99, 1),
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

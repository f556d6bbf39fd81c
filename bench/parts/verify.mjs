// `verify`: a warm key by clients with a remembered credential beside the same key without one, in a closed loop on one
// Worker. The server has one core, the load the other.

import { createHash } from "node:crypto";

import { SignJWT } from "jose";

import { load } from "../load.mjs";
import { CORES, newFolder, processes, startBenchOrigin, startEdge } from "../peers.mjs";
import { fixed, medians, table } from "../table.mjs";

const BODY = JSON.stringify({ home: "Arsenal", away: "Chelsea", date: "2026-11-22" });
const KEY = "a-key-of-forty-characters-0123456789-abc";
const JWT_SECRET = "a-secret-for-loopback-only-0123456789-abcdef";
const ROUTE = { ttl: 3600, credentials: "verify" };
const ROUTES = [
  { path: "/plain", ttl: 3600 },
  { ...ROUTE, path: "/key", verify: { keys: {} } },
  { ...ROUTE, path: "/tenant", verify: { keys: {} }, scope: "tenant" },
  { ...ROUTE, path: "/token", verify: { jwt: { algorithms: ["HS256"], issuer: "*", audience: "*" } } },
  { ...ROUTE, path: "/asked", verify: { origin: { path: "/asked" } } },
];

export async function run({ isQuick }) {
  const [server, client] = CORES;
  const [rounds, seconds] = isQuick ? [1, 2] : [10, 3];
  const origin = await startBenchOrigin({ latency: 5 }, client);
  const folder = await newFolder();
  const claims = {
    exp: Math.floor(Date.now() / 1000) + 3600,
    sub: "somebody",
    scope: "read write",
    name: "x".repeat(300),
  };
  const token = await new SignJWT(claims)
    .setProtectedHeader({ alg: "HS256" })
    .sign(new TextEncoder().encode(JWT_SECRET));
  /** Each with its label, its path, and the header with its credential. */
  const RUNS = {
    plain: ["no credential", "/plain", ""],
    key: ["an API key", "/key", `x-api-key: ${KEY}`],
    tenant: ["an API key, scope tenant", "/tenant", `x-api-key: ${KEY}`],
    token: [`a token of ${token.length} bytes`, "/token", `authorization: Bearer ${token}`],
    asked: ["a credential that the origin has accepted", "/asked", `authorization: Basic ${KEY}`],
  };
  const vars = {
    ROUTES,
    API_KEYS: JSON.stringify({ acme: createHash("sha256").update(KEY).digest("hex") }),
    JWT_SECRET,
    DIGEST_SECRET: "a-secret-of-the-benchmark-0123456789",
  };
  const peer = await startEdge({ origin, ttl: 3600, vars, prefix: server });
  const names = Object.keys(RUNS);
  const figures = {};
  try {
    for (const connections of [1, 32]) {
      const seen = Object.fromEntries(names.map((name) => [name, []]));
      // The first round warms up. Each round asks all of them, beginning with another one: a server that has just answered
      // many requests collects its garbage in the next one's time.
      for (let round = -1; round < rounds; round += 1) {
        const first = (round + 1) % names.length;
        for (const name of [...names.slice(first), ...names.slice(0, first)]) {
          const [, path, header] = RUNS[name];
          const ask = { url: peer.url + path, body: BODY, header, connections, prefix: client };
          const length = round < 0 ? (isQuick ? 2 : 8) : seconds;
          const one = await load({ ...ask, pids: processes(peer), folder, seconds: length });
          if (round >= 0) seen[name].push(one);
        }
      }
      const all = Object.fromEntries(names.map((name) => [name, medians(seen[name])]));
      figures[connections] = all;
      console.log(`\n${connections} connection${connections === 1 ? "" : "s"}, medians of ${rounds} rounds`);
      table(
        ["", "requests/s", "of no credential", "p50 ms", "p99 ms", "CPU us", "CPU of no credential"],
        names.map((name) => [
          RUNS[name][0],
          fixed(all[name].rate),
          fixed(all[name].rate / all.plain.rate, 2),
          fixed(all[name].p50, 2),
          fixed(all[name].p99, 1),
          fixed(all[name].cpu, 1),
          fixed(all[name].cpu / all.plain.cpu, 2),
        ]),
      );
    }
  } finally {
    await peer.stop();
    await origin.stop();
  }
  return figures;
}

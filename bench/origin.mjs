// The origin of the benchmarks: a fixed 2 KB answer after a seeded log-normal delay, in a process of its own.
// It counts calls and the highest number in flight, over all and per body, and stamps each answer with the
// instant at which it was computed.

import { createServer } from "node:http";

import { Chance } from "./chance.mjs";

const chance = new Chance(1);
let settings = { latency: 0, spread: 0, status: 200, size: 2_048, headers: {} };
let counts;
const zero = () => (counts = { calls: 0, inFlight: 0, highest: 0, keys: {} });
zero();

async function read(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}

const server = createServer(async (request, response) => {
  const body = await read(request);
  if (request.url.startsWith("/control")) {
    if (request.method === "POST") settings = { ...settings, ...JSON.parse(body) };
    if (request.url === "/control/reset") zero();
    response.setHeader("content-type", "application/json");
    return response.end(JSON.stringify(counts));
  }
  const own = (counts.keys[body] ??= { calls: 0, inFlight: 0, highest: 0 });
  for (const count of [counts, own]) {
    count.calls += 1;
    count.inFlight += 1;
    count.highest = Math.max(count.highest, count.inFlight);
  }
  const now = counts;
  response.on("close", () => {
    now.inFlight -= 1;
    own.inFlight -= 1;
  });
  const delay = settings.latency * Math.exp(settings.spread * chance.normal() - settings.spread ** 2 / 2);
  const { status, size, headers } = settings;
  setTimeout(() => {
    const stamp = String(Date.now());
    const text = `{"computed_at":${stamp},"filler":"${"x".repeat(Math.max(0, size - 43))}"}`;
    response.writeHead(status, { "content-type": "application/json", "content-length": text.length, ...headers });
    response.end(text);
  }, delay);
});
server.keepAliveTimeout = 120_000;
server.listen(Number(process.env.PORT ?? 0), "127.0.0.1", () =>
  process.send?.(/** @type {import("node:net").AddressInfo} */ (server.address()).port),
);
process.on("disconnect", () => process.exit(0));

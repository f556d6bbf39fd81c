// `growth`: the cost of a request as one quantity grows. In workerd: keys in the isolate, the size of the answer,
// requests that wait together. In the simulator: colos, and requests. Each has a plot in bench/results, in logarithmic
// scales, where a line of slope one means proportional growth.

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { Client, percentile, sleep } from "../../scripts/client.mjs";
import { ADMIN_TOKEN } from "../../scripts/runtime.mjs";
import { toolEnvironment } from "../../scripts/setup.mjs";
import { load, memory } from "../load.mjs";
import { PATH, newFolder, startBenchOrigin, startEdge } from "../peers.mjs";
import { plot } from "../plot.mjs";
import { fixed, table } from "../table.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const results = join(root, "bench", "results");
const body = (number) => JSON.stringify({ away: "Chelsea", home: "Arsenal", match: number });
const SERVER = ["taskset", "-c", "0"];
const CLIENT = ["taskset", "-c", "1"];

function line(title, values, x, y) {
  const axis = (field) => ({ field, type: "quantitative", title: field, scale: { type: "log" } });
  return {
    title,
    width: 320,
    height: 240,
    mark: { type: "line", point: true },
    data: { values },
    encoding: { x: axis(x), y: axis(y) },
  };
}

/** Time of a hit and memory of the process, by the number of keys that were requested from the isolate. */
async function keys(isQuick) {
  const origin = await startBenchOrigin({ latency: 0 }, CLIENT);
  const edge = await startEdge({ origin, ttl: 86_400, prefix: SERVER, change: { max_origin_calls: 1_000 } });
  const folder = await newFolder();
  const client = new Client(edge.url, { path: PATH, token: ADMIN_TOKEN, connections: 32 });
  const rows = [];
  let filled = 0;
  try {
    for (const count of isQuick ? [1, 100, 1_000] : [1, 10, 100, 1_000, 10_000, 100_000]) {
      while (filled < count) {
        const batch = Math.min(64, count - filled);
        const answers = await Promise.all(
          Array.from({ length: batch }, (_, place) => client.ask(body(filled + place))),
        );
        const failed = answers.find((it) => it.status !== 200);
        if (failed) throw new Error(`filling: ${failed.status} ${failed.text}`);
        filled += batch;
      }
      await client.ask(body(0));
      // The key that was added last, requested repeatedly.
      const one = await load({
        url: edge.url + PATH,
        body: body(filled - 1),
        pids: [edge.pid],
        folder,
        connections: 32,
        seconds: isQuick ? 1 : 3,
        prefix: CLIENT,
      });
      const { gauges } = await client.admin("GET", "metrics");
      rows.push({
        keys: count,
        "CPU us per hit": one.cpu,
        "resident MiB": memory([edge.pid]) / 2 ** 20,
        remembered: gauges.memory_entries,
        "entries MiB": gauges.memory_bytes / 2 ** 20,
      });
    }
  } finally {
    await client.close();
    await edge.stop();
    await origin.stop();
  }
  return rows;
}

/** Time of a hit against the size of the answer. */
async function sizes(isQuick) {
  const rows = [];
  const folder = await newFolder();
  for (const size of isQuick ? [100, 10_000] : [100, 1_000, 10_000, 100_000, 1_000_000]) {
    const origin = await startBenchOrigin({ latency: 0, size }, CLIENT);
    const edge = await startEdge({ origin, ttl: 86_400, prefix: SERVER, change: { max_response: 1_048_576 } });
    const client = new Client(edge.url, { path: PATH });
    try {
      const first = await client.ask(body(0));
      if (first.status !== 200) throw new Error(`${size}: ${first.status} ${first.text.slice(0, 200)}`);
      const one = await load({
        url: edge.url + PATH,
        body: body(0),
        pids: [edge.pid],
        folder,
        connections: 32,
        seconds: isQuick ? 1 : 3,
        prefix: CLIENT,
      });
      rows.push({ bytes: first.text.length, "CPU us per hit": one.cpu, "resident MiB": memory([edge.pid]) / 2 ** 20 });
    } finally {
      await client.close();
      await edge.stop();
      await origin.stop();
    }
  }
  return rows;
}

/** Time of the slowest request, by the number of requests that wait for one cold key. */
async function waiters(isQuick) {
  const rows = [];
  const origin = await startBenchOrigin({ latency: 1_000 });
  const edge = await startEdge({ origin, ttl: 86_400, change: { max_waiters: 10_000 } });
  try {
    for (const [place, count] of (isQuick ? [1, 100] : [1, 10, 100, 500, 1_000, 2_000, 5_000]).entries()) {
      const client = new Client(edge.url, { path: PATH, connections: count });
      // Opens the connections before the measurement.
      await client.burst(count, "{");
      await origin.reset();
      const answers = await client.burst(count, body(`waiters ${place}`));
      const failed = answers.filter((it) => it.status !== 200).length;
      const times = answers.map((it) => it.ms);
      rows.push({
        waiters: count,
        "ms beyond the origin": Math.max(1, percentile(times, 1) - 1_000),
        "resident MiB": memory([edge.pid]) / 2 ** 20,
        failed,
        calls: (await origin.counts()).calls,
      });
      await client.close();
      await sleep(500);
    }
  } finally {
    await edge.stop();
    await origin.stop();
  }
  return rows;
}

/** Origin calls by the number of colos, and time and memory by the number of requests, from the simulator. */
function simulated(isQuick) {
  const run = (...args) => {
    const result = spawnSync(
      "cargo",
      ["run", "--release", "--quiet", "--no-default-features", "--example", "simulate", "--", "growth", ...args],
      { cwd: root, encoding: "utf8", env: toolEnvironment() },
    );
    if (result.status !== 0) throw new Error(result.stderr);
    return JSON.parse(result.stdout);
  };
  const colos = (isQuick ? [1, 10] : [1, 3, 10, 30, 100, 300]).map((count) => run("colos", String(count)));
  const requests = (isQuick ? [1_000, 10_000] : [1_000, 10_000, 100_000, 1_000_000, 10_000_000]).map((count) =>
    run("requests", String(count)),
  );
  return { colos, requests };
}

function show(title, rows) {
  console.log(`\n${title}`);
  const head = Object.keys(rows[0]);
  table(
    head,
    rows.map((row) => head.map((name) => fixed(row[name], Number.isInteger(row[name]) ? 0 : 2))),
  );
}

export async function run({ isQuick }) {
  // Each is shown as soon as it is known: filling an isolate takes minutes.
  const figures = { sizes: await sizes(isQuick) };
  show("Size of the answer", figures.sizes);
  figures.waiters = await waiters(isQuick);
  show("Requests that wait together for one cold key, the origin taking 1,000 ms", figures.waiters);
  Object.assign(figures, simulated(isQuick));
  show("Colos, simulated: one key at the same rate in all, ten minutes", figures.colos);
  show("Requests, simulated", figures.requests);
  figures.keys = await keys(isQuick);
  show("Keys in the isolate", figures.keys);
  await plot(join(results, "growth.svg"), {
    columns: 3,
    concat: [
      line("a hit, by keys in the isolate", figures.keys, "keys", "CPU us per hit"),
      line("memory, by keys in the isolate", figures.keys, "keys", "resident MiB"),
      line("a hit, by size of the answer", figures.sizes, "bytes", "CPU us per hit"),
      line("the slowest waiter", figures.waiters, "waiters", "ms beyond the origin"),
      line("origin calls, by colos", figures.colos, "colos", "origin calls"),
      line("time to simulate", figures.requests, "requests", "ms"),
    ],
  });
  return figures;
}

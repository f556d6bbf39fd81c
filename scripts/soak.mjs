// `npm run soak -- --minutes N`: the Worker in two colos on bare workerd, mixed traffic, faults at random, the
// memory of the runtime sampled. In the first third the runtime is killed repeatedly during refreshes, and new keys
// keep arriving. After that the origin still fails at random, but the runtime stays, and every sum must be exact; cold
// keys are then made by purging known keys. The objects of all keys live in this one process and are freed by garbage
// collection, so an unbounded number of keys, or an unbounded heap, would hide a leak. The heap limit is that of
// production: an isolate that exceeds it ends, and the run fails. Each collection is a full one, because memory that
// an object holds outside of the engine's heap is freed only with its wrapper, and the engine does not know its size.
// Exit code 1: a check failed. A plot and all figures are in target/soak.

import { readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { startOrigin } from "../examples/origin/server.mjs";
import { setUpPackages } from "./bench.mjs";
import { build } from "./build.mjs";
import { Client, brokenSums, percentile, sleep } from "./client.mjs";
import { ADMIN_TOKEN, PATH, route } from "./runtime.mjs";
import { edge, scratch, serve } from "./workerd.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = join(root, "target", "soak");
const KILLS = 20;
const TAIL = 500;
/** Number of keys that are purged and requested again, repeatedly, in the calm part. */
const COLD = 200;
/** The platform's memory limit of an isolate, in MiB. */
const HEAP = 128;
/** Arrivals per second of each kind. */
const RATES = { hot: 20, tail: 15, fresh: 1, conditional: 2, bad: 2, hangUp: 0.5, purge: 0.1, inspect: 0.2 };
const FAULTS = [
  { mode: "status", status: 503 },
  { mode: "status", status: 429, retry_after: 2 },
  { mode: "hang" },
  { mode: "reset" },
  { mode: "truncate" },
  { mode: "garbage" },
  { mode: "html" },
  { mode: "huge" },
  { mode: "latency", latency: 2_500 },
];
const ROUTE = route({ ttl: 5, stale_while_revalidate: 86_400, stale_if_error: 86_400, origin_timeout: 4 });
/** For how long after a fault, in milliseconds, a back-off or the lease of a lost holder may still cause errors. */
const AFTERMATH = 45_000;
const SLOW = 1_000;

const { values } = parseArgs({ options: { minutes: { type: "string", default: "3" } } });
const minutes = Number(values.minutes);
if (!(minutes >= 1 && minutes <= 24 * 60)) {
  console.error(`--minutes is ${values.minutes}, but must be a number from 1 to 1440.`);
  process.exit(2);
}

const body = (name) => JSON.stringify({ away_team: "Chelsea", home_team: "Arsenal", match_date: name });
const tailKey = () => `tail ${Math.floor(TAIL ** Math.random())}`;
const started = performance.now();
const at = () => (performance.now() - started) / 1000;
const violations = [];
const samples = [];
const faults = [];
const windows = new Map();
const tally = { requests: 0, hits: 0, misses: 0, refused: 0, inFault: 0, cutOff: 0, kills: 0, restarts: [] };

function violation(what) {
  violations.push({ at: at(), what });
  if (violations.length <= 20) console.error(`  ${at().toFixed(1)} s: ${what}`);
}

/** A runtime that can be killed and started again on the same stored objects. */
class Runtime {
  constructor(origin, persist) {
    this.persist = persist;
    this.vars = { ORIGIN_URL: origin.url, ROUTES: [ROUTE], FLUSH_INTERVAL: 1 };
    this.isDown = true;
    this.downUntil = 0;
  }

  async start() {
    const began = performance.now();
    const cache = (name) => ({ name, modules: [join(root, "bench", "peers", "cache-service.mjs")], isHidden: true });
    const colos = [0, 1].map((place) =>
      edge({ name: `colo${place}`, vars: this.vars, owner: place === 0 ? undefined : "colo0", cache: `cache${place}` }),
    );
    this.server = await serve([...colos, cache("cache0"), cache("cache1")], {
      persist: this.persist,
      v8Flags: [`--max-heap-size=${HEAP}`, "--gc-global"],
    });
    const agents = this.server.urls.map((url) => new Client(url, { path: PATH, token: ADMIN_TOKEN, connections: 256 }));
    await Promise.all(agents.map((client) => client.raw("GET", "/_xfetch/health")));
    this.clients = agents;
    this.isDown = false;
    this.downUntil = performance.now();
    return performance.now() - began;
  }

  async kill() {
    this.isDown = true;
    await this.server.kill();
    for (const client of this.clients) client.agent.destroy();
  }

  get client() {
    return this.clients[Math.random() < 0.5 ? 0 : 1];
  }

  memory() {
    const status = readFileSync(`/proc/${this.server.pid}/status`, "utf8");
    return Number(/VmRSS:\s+(\d+)/.exec(status)[1]) / 1024;
  }
}

/** Whether an injected fault may have caused the failure of a request that began then and has just been answered. */
const isExcused = (began) => {
  const now = performance.now();
  return faults.some((fault) => began - fault.ended < AFTERMATH && now > fault.began);
};

const known = new Set();
let isCalm = false;

/** A cold key: a new one, or in the calm part one of a fixed set, which is purged first. */
async function coldKey(client, kind) {
  if (!isCalm) return `${kind} ${Math.random()}`;
  const name = `${kind} ${Math.floor(Math.random() * COLD)}`;
  known.delete(name);
  const answer = await admin(client, "purge", { body: JSON.parse(body(name)), hard: true });
  if (answer.status !== 200) violation(`purge got ${answer.status}: ${answer.text.slice(0, 200)}`);
  known.delete(name);
  return name;
}

function admin(client, what, about) {
  const headers = { authorization: `Bearer ${ADMIN_TOKEN}`, "content-type": "application/json" };
  return client.raw("POST", `/_xfetch/${what}`, { headers, body: JSON.stringify({ path: PATH, ...about }) });
}

/** Requests every key of the calm part once in each colo, so that from then on the number of objects is constant. */
async function askForAll(runtime) {
  const cold = ["fresh", "hangUp"].flatMap((kind) => Array.from({ length: COLD }, (_, place) => `${kind} ${place}`));
  const names = ["hot", ...Array.from({ length: TAIL }, (_, place) => `tail ${place}`), ...cold];
  for (const client of runtime.clients) {
    for (let place = 0; place < names.length; place += 20) {
      await Promise.all(names.slice(place, place + 20).map((name) => client.ask(body(name))));
    }
  }
}

/** Sends a request of this kind, and checks its answer. */
async function ask(runtime, kind) {
  const began = performance.now();
  const { client } = runtime;
  const json = { "content-type": "application/json" };
  const send = (text, headers = json) => client.raw("POST", PATH, { body: text, headers });
  const isWarm = (name) => known.has(name);
  try {
    if (kind === "hot" || kind === "tail" || kind === "fresh" || kind === "conditional") {
      const name =
        kind === "hot" || kind === "conditional" ? "hot" : kind === "tail" ? tailKey() : await coldKey(client, kind);
      const wasWarm = isWarm(name);
      const answer = await send(body(name), kind === "conditional" ? { ...json, "if-none-match": '"none"' } : json);
      check(answer, { name, wasWarm, began, runtime });
    } else if (kind === "bad") {
      const [text, headers, status] = [
        ["{", json, 400],
        [body("bad").replace("{", '{"other":1,'), json, 400],
        [body("bad"), { "content-type": "text/plain" }, 415],
        [body("x".repeat(70_000)), json, 413],
      ][Math.floor(Math.random() * 4)];
      const answer = await send(text, /** @type {any} */ (headers));
      tally.refused += 1;
      if (answer.status !== status)
        violation(`a bad request got ${answer.status} instead of ${status}: ${answer.text.slice(0, 200)}`);
    } else if (kind === "hangUp") {
      const controller = new AbortController();
      const name = await coldKey(client, kind);
      const asked = fetch(client.base + PATH, {
        method: "POST",
        body: body(name),
        headers: json,
        signal: controller.signal,
      });
      setTimeout(() => controller.abort(), 100);
      await asked.then((answer) => answer.text()).catch(() => undefined);
      tally.cutOff += 1;
    } else {
      const name = tailKey();
      const isPurge = kind === "purge";
      if (isPurge) known.delete(name);
      const answer = await admin(client, kind, { body: JSON.parse(body(name)), ...(isPurge ? { hard: true } : {}) });
      if (isPurge) known.delete(name);
      if (answer.status !== 200) violation(`${kind} got ${answer.status}: ${answer.text.slice(0, 200)}`);
    }
  } catch (error) {
    // A request may remain without an answer only if the runtime was killed.
    if (!runtime.isDown && began > runtime.downUntil) violation(`${kind}: ${error.message}`);
    else tally.cutOff += 1;
  }
}

function check(answer, { name, wasWarm, began, runtime }) {
  tally.requests += 1;
  const window = Math.floor(at() / 10) * 10;
  if (!windows.has(window)) windows.set(window, []);
  if (wasWarm && /hit/.test(answer.headers["cache-status"] ?? "")) windows.get(window).push(answer.ms);
  if (answer.status === 200) {
    try {
      JSON.parse(answer.text);
    } catch {
      violation(`an answer for ${name} is not JSON: ${answer.text.slice(0, 80)}`);
    }
    known.add(name);
    if (/hit/.test(answer.headers["cache-status"])) tally.hits += 1;
    else tally.misses += 1;
    // A purge may have made another key cold in the meantime; the hot key is never purged.
    if (name === "hot" && wasWarm && answer.ms > SLOW && began - runtime.downUntil > 5_000)
      violation(`a warm answer took ${answer.ms.toFixed(0)} ms`);
    return;
  }
  tally.inFault += 1;
  const isHot = name === "hot" && wasWarm;
  if (isHot || !isExcused(began) || ![502, 503, 504].includes(answer.status))
    violation(`${name}${wasWarm ? ", warm," : ""} got ${answer.status}: ${answer.text.slice(0, 200)}`);
}

/** Poisson traffic of all kinds until the end. */
async function traffic(runtime, end) {
  const kinds = Object.entries(RATES);
  const total = kinds.reduce((sum, [, rate]) => sum + rate, 0);
  const pending = new Set();
  let next = performance.now();
  while (next < end) {
    await sleep(next - performance.now());
    let left = Math.random() * total;
    const [kind] = kinds.find(([, rate]) => (left -= rate) < 0) ?? kinds[0];
    if (!runtime.isDown) {
      const one = ask(runtime, kind).finally(() => pending.delete(one));
      pending.add(one);
    }
    next += (-Math.log(1 - Math.random()) / total) * 1000;
  }
  await Promise.all(pending);
}

/** Lets the origin fail for a few seconds at a time, in a random way. */
async function misbehave(origin, end) {
  while (performance.now() + 20_000 < end) {
    await sleep(4_000 + Math.random() * 8_000);
    const fault = FAULTS[Math.floor(Math.random() * FAULTS.length)];
    const entry = { name: fault.mode, from: at(), began: performance.now(), ended: Number.POSITIVE_INFINITY };
    faults.push(entry);
    origin.set(fault.mode === "latency" ? { latency: fault.latency } : fault);
    await sleep(3_000 + Math.random() * 5_000);
    origin.set({ mode: "ok", latency: LATENCY, status: 500, retry_after: null });
    entry.ended = performance.now();
    entry.to = at();
  }
}

const LATENCY = 300;

async function killAgain(runtime, origin, end) {
  for (let left = KILLS; left > 0; left -= 1) {
    // The remaining time, divided evenly among the remaining kills.
    const pause = Math.max(0, end - performance.now()) / left;
    const until = performance.now() + pause;
    await sleep(pause * 0.7 * Math.random());
    // Kill in the middle of a computation, if one begins within two seconds.
    for (let wait = 0; wait < 200 && origin.counts().in_flight === 0; wait += 1) await sleep(10);
    const entry = { name: "kill", from: at(), began: performance.now(), ended: Number.POSITIVE_INFINITY };
    faults.push(entry);
    await runtime.kill();
    tally.kills += 1;
    tally.restarts.push(await runtime.start());
    entry.ended = performance.now();
    entry.to = at();
    // A committed entry must be served again, from its object.
    const answer = await runtime.client.ask(body("hot"));
    if (known.has("hot") && answer.status !== 200) violation(`after a kill the hot key got ${answer.status}`);
    await sleep(until - performance.now());
  }
}

function checkSums(counters, where) {
  for (const broken of brokenSums(counters)) violation(`${where}: ${broken}`);
}

/** The counts of both colos: each isolate sends its own when its metrics are read, or within the flush interval. */
async function metrics(runtime) {
  for (const client of runtime.clients) await client.admin("GET", "metrics");
  await sleep(1_500);
  return (await runtime.clients[0].admin("GET", "metrics")).counters;
}

/** The median of the memory samples between two times, in MiB. */
function memoryBetween(from, to) {
  return percentile(
    samples.filter((it) => it.at >= from && it.at < to).map((it) => it.memory),
    0.5,
  );
}

async function draw(file) {
  const broken = faults.map(({ name, from, to }) => ({
    from,
    to: to ?? at(),
    fault: name === "kill" ? "runtime killed" : "origin broken",
  }));
  const bands = {
    mark: { type: "rect", opacity: 0.25 },
    data: { values: broken },
    encoding: {
      x: { field: "from", type: "quantitative" },
      x2: { field: "to" },
      color: { field: "fault", type: "nominal", scale: { range: ["#4c78a8", "#e45756"] } },
    },
  };
  const line = (values, title) => ({
    width: 900,
    height: 220,
    layer: [
      bands,
      {
        mark: { type: "line", color: "black", strokeWidth: 1 },
        data: { values },
        encoding: {
          x: { field: "at", type: "quantitative", title: "s" },
          y: { field: "value", type: "quantitative", title },
        },
      },
    ],
  });
  const latencies = [...windows]
    .map(([window, times]) => ({ at: window, value: percentile(times, 0.99) }))
    .filter((it) => Number.isFinite(it.value));
  const memory = samples.map((it) => ({ at: it.at, value: it.memory }));
  const { plot } = await import("../bench/plot.mjs");
  await plot(file, {
    vconcat: [line(memory, "memory of the runtime, MiB"), line(latencies, "P99 of warm answers per 10 s, ms")],
  });
}

setUpPackages();
build();
await mkdir(folder, { recursive: true });
const persist = await mkdtemp(join(scratch, "xfetch-soak-"));
const origin = await startOrigin({ settings: { latency: LATENCY, spread: 0.3 } });
const runtime = new Runtime(origin, persist);
const sampler = setInterval(() => !runtime.isDown && samples.push({ at: at(), memory: runtime.memory() }), 2_000);
try {
  await runtime.start();
  const whole = minutes * 60_000;
  console.log(`rough: ${(minutes / 3).toFixed(1)} minutes, ${KILLS} kills`);
  const roughEnd = performance.now() + whole / 3;
  await Promise.all([traffic(runtime, roughEnd), misbehave(origin, roughEnd), killAgain(runtime, origin, roughEnd)]);
  checkSums(await metrics(runtime), "after the kills");

  console.log(`calm: ${((minutes * 2) / 3).toFixed(1)} minutes, the origin still fails at random`);
  // A new runtime, so that its memory does not depend on the first part. The counters are reset below.
  await runtime.kill();
  await runtime.start();
  await sleep(5_000);
  await askForAll(runtime);
  await metrics(runtime);
  await runtime.clients[0].admin("POST", "metrics/reset");
  // Then each isolate hears of the new epoch, before it counts anything.
  await metrics(runtime);
  const callsBefore = origin.counts().calls;
  const calmBegan = at();
  const calmEnd = performance.now() + (whole * 2) / 3;
  isCalm = true;
  await Promise.all([traffic(runtime, calmEnd), misbehave(origin, calmEnd)]);
  const calmEnded = at();
  // Everything that is under way ends within a lease and its back-off.
  await sleep(12_000);
  const counters = await metrics(runtime);
  checkSums(counters, "at the end");
  const calls = origin.counts().calls - callsBefore;
  if (counters.compute_calls !== calls)
    violation(`compute_calls is ${counters.compute_calls}, the origin has seen ${calls}`);
  const length = calmEnded - calmBegan;
  const [early, late] = [
    memoryBetween(calmBegan + length * 0.5, calmBegan + length * 0.75),
    memoryBetween(calmBegan + length * 0.75, calmEnded),
  ];
  // The engine lets its heap grow before it collects, so the first half is ignored, and some growth is tolerated.
  const growth = late - early;
  const isFlat = growth < 16 + early * 0.1;
  if (!isFlat) violation(`memory grew from ${early.toFixed(0)} to ${late.toFixed(0)} MiB`);
  const times = [...windows.values()].flat();
  const report = {
    minutes,
    tally,
    faults: faults.length - tally.kills,
    memory: { early, late, growth, isFlat },
    warm: { p50: percentile(times, 0.5), p99: percentile(times, 0.99), slowest: percentile(times, 1) },
    counters,
    calls,
    violations,
  };
  await writeFile(join(folder, "soak.json"), `${JSON.stringify({ report, samples, faults }, null, 1)}\n`);
  await draw(join(folder, "soak.svg"));
  console.log(`
requests          ${tally.requests}: ${tally.hits} hits, ${tally.misses} misses, ${tally.inFault} failed inside faults; ${tally.refused} refused, ${tally.cutOff} cut off
faults            ${report.faults} of the origin, ${tally.kills} kills, restarts P50 ${percentile(tally.restarts, 0.5).toFixed(0)} ms
warm answers      P50 ${report.warm.p50.toFixed(1)} ms, P99 ${report.warm.p99.toFixed(1)} ms, slowest ${report.warm.slowest.toFixed(0)} ms
memory            ${early.toFixed(0)} MiB in the third quarter of the calm, ${late.toFixed(0)} MiB in the last: ${isFlat ? "flat" : "GROWING"}
origin calls      ${calls} seen by the origin, ${counters.compute_calls} counted
violations        ${violations.length}
plot and figures  target/soak`);
} catch (error) {
  violation(error.message);
  console.error(error);
} finally {
  clearInterval(sampler);
  await runtime.server?.stop().catch(() => undefined);
  await origin.close();
  await rm(persist, { recursive: true, force: true });
}
console.log(violations.length === 0 ? "\nAll checks passed." : `\n${violations.length} checks failed.`);
process.exit(violations.length === 0 ? 0 : 1);

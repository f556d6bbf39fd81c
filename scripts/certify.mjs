// `npm run certify [-- URL --path P --method M --body JSON --json]`: measures the cache against its targets, and reports each
// target as met or missed. Exit code 1: a target was missed. Exit code 2: the environment is at fault, and no figure
// of this run counts.

import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { startOrigin } from "../examples/origin/server.mjs";
import { build } from "./build.mjs";
import { Client, EnvironmentFault, percentile, sleep } from "./client.mjs";
import { ADMIN_TOKEN, PATH, route } from "./runtime.mjs";
import { edge, scratch, serve } from "./workerd.mjs";

const BURST = 100;
/** Bursts that only warm up the client's and the runtime's compilers, and open the connections. */
const WARM_UPS = 40;
const MAX_TTL = 30;
const RATE = 40;
const CYCLES = 7;
const ORIGIN_LATENCY = 1_000;

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    path: { type: "string", default: PATH },
    method: { type: "string", default: "POST" },
    body: { type: "string" },
    header: { type: "string", multiple: true, default: [] },
    tenant: { type: "string" },
    json: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

const report = { phases: [], counters: {}, environment: {} };
let isMissed = false;

function say(text = "") {
  if (!options.json) console.log(text);
}

/** One phase of the report: a table of targets with verdicts. */
function phase(name) {
  const lines = [];
  report.phases.push({ name, targets: lines });
  say(`\n${name}\n${"-".repeat(name.length)}`);
  const add = (target, wanted, measured, verdict) => {
    lines.push({ target, wanted, measured, verdict });
    if (verdict === "MISSED") isMissed = true;
    say(`  ${target.padEnd(46)} ${String(wanted).padEnd(22)} ${String(measured).padEnd(22)} ${verdict}`);
  };
  return {
    check: (target, wanted, measured, holds) => add(target, wanted, measured, holds ? "met" : "MISSED"),
    skip: (target, why) => add(target, why, "-", "not checked"),
    note: (text) => say(`  ${text}`),
  };
}

const ms = (figure) => `${figure.toFixed(1)} ms`;
const times = (answers) => answers.map((answer) => answer.ms);
const latency = (answers) =>
  [0.5, 0.9, 0.99, 1].map((share) => `P${share * 100} ${ms(percentile(times(answers), share))}`).join("   ");

class Run {
  constructor(client, { origin, lease }) {
    this.client = client;
    this.origin = origin;
    this.lease = lease;
    this.epoch = undefined;
  }

  /** Reads the counters; fails if they were reset since the first reading. */
  async counters() {
    const metrics = await this.client.admin("GET", "metrics");
    if (!metrics) return undefined;
    this.epoch ??= metrics.epoch;
    if (metrics.epoch !== this.epoch) {
      throw new EnvironmentFault("the counters' epoch changed in the middle of the run: somebody reset them");
    }
    return metrics.counters;
  }

  generation(body) {
    return this.client
      .admin("POST", "inspect", this.client.subject(body))
      .then((answer) => answer?.memory.entry ?? answer?.colo.entry ?? undefined);
  }
}

const differences = (before, after) =>
  before && after && Object.fromEntries(Object.keys(after).map((name) => [name, after[name] - (before[name] ?? 0)]));

async function environment(run) {
  const { check, skip } = phase("Phase 0: environment");
  const health = await run.client.raw("GET", "/_xfetch/health");
  if (health.status !== 200 || !/^\{"status":"ok"/.test(health.text)) {
    throw new EnvironmentFault(`/_xfetch/health answers ${health.status}: ${health.text.slice(0, 200)}`);
  }
  check("reachable, and says that it is well", "200", health.status, true);
  const detail = await run.client.admin("GET", "health");
  if (detail) {
    if (detail.service !== "xfetch-edge") throw new EnvironmentFault("this is another service");
    check("the right service", "xfetch-edge", `${detail.service} ${detail.version}`, true);
    const path = run.client.path.split("?")[0];
    // As in the Worker, an exact path wins, and then the longest prefix.
    const own = detail.routes
      .filter((it) => it.path === path || (it.path.endsWith("*") && path.startsWith(it.path.slice(0, -1))))
      .sort((a, b) => Number(b.path === path) - Number(a.path === path) || b.path.length - a.path.length)[0];
    if (!own) throw new EnvironmentFault(`${run.client.path} is not a route of this service`);
    run.route = own;
    if (own.scope === "tenant") {
      if (!options.tenant) throw new EnvironmentFault("the route is by tenant: say whose entries with --tenant");
      run.client.client = { tenant: options.tenant };
    } else if (own.scope === "credential") run.client.client = { credentials: run.client.headers };
    report.environment = detail;
    const failing = Object.entries(detail.checks)
      .filter(([, word]) => word !== "ok")
      .map(([name]) => name);
    if (failing.some((name) => name !== "cache_api")) throw new EnvironmentFault(`failing: ${failing.join(", ")}`);
    await run.counters();
    check("counters' epoch", "one", run.epoch.slice(0, 12), true);
  } else {
    skip("service, configuration and counters", "needs ADMIN_TOKEN");
  }
}

async function learnTtl(run, body) {
  const answer = await run.client.ask(body);
  if (answer.status !== 200)
    throw new EnvironmentFault(`the question is answered with ${answer.status}: ${answer.text.slice(0, 200)}`);
  if (!answer.cacheStatus) throw new EnvironmentFault("answers carry no Cache-Status: this is not an xfetch-edge");
  const ttl = run.route?.ttl ?? (await run.client.ask(body)).ttl + 1;
  if (!(ttl <= MAX_TTL)) {
    throw new EnvironmentFault(
      `the TTL is ${ttl} s; certify a deployment with at most ${MAX_TTL} s, as every cycle is waited for`,
    );
  }
  run.ttl = ttl;
}

async function staleBurst(run, body) {
  const { check, skip, note } = phase("Phase 1: the original's scenario, a burst at a stale entry");
  const { client, origin } = run;
  let fresh = await client.ask(body);
  while (!fresh.isHit || fresh.isStale) {
    await sleep(200);
    fresh = await client.ask(body);
  }
  for (let warmUp = 0; warmUp < WARM_UPS; warmUp += 1) await client.burst(BURST, body);
  const settled = await settle(run, body);
  const age = run.ttl + 1;
  const primed = await run.generation(body);
  const settledAt = settled.began - (primed ? primed.age : settled.age) * 1000;
  await sleep(settledAt + age * 1000 - performance.now() - 900);
  await wake(client);
  await sleep(settledAt + age * 1000 - performance.now());
  const before = await run.counters();
  const callsBefore = origin?.counts().calls;
  const answers = await client.burst(BURST, body);
  await sleep(ORIGIN_LATENCY + 2_000);
  const after = await run.counters();
  const moved = differences(before, after);
  report.counters.stale_burst = { before, after };
  const good = answers.filter((it) => it.status === 200);
  const complete = answers.filter(
    (it) => it.text === answers[0].text && it.text.length > 0 && it.text === settled.text,
  );
  check("requests that succeed", `${BURST} of ${BURST}`, `${good.length} of ${BURST}`, good.length === BURST);
  const stale = answers.filter((it) => it.isStale && it.isHit);
  check("answers stale, from cache", BURST, stale.length, stale.length === BURST);
  check("answers complete and identical", BURST, complete.length, complete.length === BURST);
  if (moved) {
    check("cache_miss", 0, moved.cache_miss, moved.cache_miss === 0);
    check("cache_hit_stale", BURST, moved.cache_hit_stale, moved.cache_hit_stale === BURST);
    check("compute_calls", 1, moved.compute_calls, moved.compute_calls === 1);
    note(`triggers ${moved.xfetch_triggers}, contention ${moved.xfetch_lock_contention_total}`);
  } else skip("counters", "needs ADMIN_TOKEN");
  if (origin) {
    const calls = origin.counts().calls - callsBefore;
    check("the origin's own count", 1, calls, calls === 1);
  } else skip("the origin's own count", "no access to the origin");
  const next = await client.ask(body);
  const renewed = await run.generation(body);
  // The control of this run, also after a warm-up: the same burst at the entry, which is now fresh.
  await wake(client);
  const control = await client.burst(BURST, body);
  const [p50, p99] = [0.5, 0.99].map((share) => percentile(times(answers), share));
  const [c50, c99] = [0.5, 0.99].map((share) => percentile(times(control), share));
  if (origin) {
    check("P50", "below 50 ms", ms(p50), p50 < 50);
    check("P99", "below 100 ms", ms(p99), p99 < 100);
  } else {
    check("P50 against the control burst", "at most 1.3 times", (p50 / c50).toFixed(2), p50 <= 1.3 * c50);
    check("P99 against the control burst", "at most 1.3 times", (p99 / c99).toFixed(2), p99 <= 1.3 * c99);
  }
  note(`burst    ${latency(answers)}`);
  note(`control  ${latency(control)}   (the same burst at a fresh entry)`);
  check("the next request is fresh", "hit, not stale", next.cacheStatus, next.isHit && !next.isStale);
  check("and new", "another ETag", next.etag === settled.etag ? "the same" : "another", next.etag !== settled.etag);
  if (renewed && primed) {
    const rises = renewed.generation > primed.generation;
    check("of a higher generation", `> ${primed.generation}`, renewed.generation, rises);
  } else skip("generation", "needs ADMIN_TOKEN");
  report.phases.at(-1).latency = { burst: { p50, p99 }, control: { p50: c50, p99: c99 } };
}

/**
 * Waits for an entry that is not about to be replaced: any refresh that an earlier request triggered has ended, and the
 * entry is not in its early window.
 */
async function settle(run, body) {
  const window = run.ttl * (run.route?.early_window ?? 0.5);
  for (;;) {
    await sleep(ORIGIN_LATENCY + 1_500);
    const answer = await run.client.ask(body);
    if (answer.isHit && !answer.isStale && answer.ttl >= window) return answer;
  }
}

/**
 * Prepares a measured burst. The runtime has closed idle connections, and the processors have gone to sleep; bursts at
 * `health` reopen and wake them without touching any entry or counter.
 */
async function wake(client) {
  for (let round = 0; round < 12; round += 1) {
    await Promise.all(Array.from({ length: BURST }, () => client.raw("GET", "/_xfetch/health")));
  }
}

async function earlyRefresh(run, body) {
  const { check, skip, note } = phase("Phase 2: early refresh under Poisson traffic");
  const { client, origin, ttl } = run;
  const seconds = CYCLES * ttl;
  await client.ask(body);
  await sleep(ORIGIN_LATENCY + 1_500);
  const before = await run.counters();
  const callsBefore = origin?.counts().calls;
  const betas = [];
  let isRunning = true;
  const watch = (async () => {
    while (isRunning) {
      await sleep(300);
      const entry = await run.generation(body);
      if (entry && entry.remaining <= entry.early_window) betas.push(entry);
    }
  })();
  const answers = await client.poisson(RATE, seconds, body);
  isRunning = false;
  await watch;
  await sleep(ORIGIN_LATENCY + 2_000);
  const after = await run.counters();
  const moved = differences(before, after);
  report.counters.early_refresh = { before, after };
  answers.sort((a, b) => a.began - b.began);
  const waited = answers.filter((it) => !it.isHit);
  check("requests that waited for the origin", 0, waited.length, waited.length === 0);
  const failed = answers.filter((it) => it.status !== 200);
  check("requests that failed", 0, failed.length, failed.length === 0);
  const late = answers.filter((it) => it.isStale);
  const share = late.length / answers.length;
  check(
    "answers older than the TTL",
    "at most 3 %",
    `${(100 * share).toFixed(2)} % of ${answers.length}`,
    share <= 0.03,
  );
  const generations = cycles(answers);
  const early = generations.filter((it) => !it.sawStale).length;
  check("refreshes that began before expiry", "at least 1", early, early >= 1);
  const delta = betas.at(-1)?.delta ?? ORIGIN_LATENCY / 1000;
  const window = run.route?.early_window ?? 0.5;
  const most = seconds / (ttl * (1 - window) + delta) + 1;
  if (moved) {
    check("computations", `at most ${most.toFixed(1)}`, moved.compute_calls, moved.compute_calls <= most);
    const seen = generations.length;
    // The last computation may end after the last request.
    const agrees = moved.compute_calls === seen || moved.compute_calls === seen + 1;
    check("computations for each new generation", `${seen} or ${seen + 1}`, moved.compute_calls, agrees);
    check("early triggers", "at least 1", moved.xfetch_early_triggers, moved.xfetch_early_triggers >= 1);
    laws(moved, betas, { check, skip, note });
  } else skip("counters", "needs ADMIN_TOKEN");
  if (origin) {
    const counts = origin.counts();
    const calls = counts.calls - callsBefore;
    if (moved) check("the origin's own count", moved.compute_calls, calls, calls === moved.compute_calls);
    const highest = Object.values(counts.keys).reduce((most, key) => Math.max(most, key.highest_in_flight), 0);
    check("computations of one key at once", 1, highest, highest === 1);
  } else skip("the origin's own count", "no access to the origin");
  note(`answers  ${latency(answers)}`);
}

/** The cycles that ended within the run, at a change of the ETag, and whether each had a stale answer. */
function cycles(answers) {
  const ended = [];
  let sawStale = false;
  let etag = answers[0]?.etag;
  for (const answer of answers) {
    if (answer.etag !== etag) {
      ended.push({ sawStale });
      etag = answer.etag;
      sawStale = false;
    }
    sawStale ||= answer.isStale;
  }
  return ended;
}

/**
 * Checks the triggers per cycle against their mean, 1 + (exp(1/beta) - 1)(1 + c) with
 * c = n beta delta exp(-W/(beta delta)); the mean contention is one less. The number in one cycle is nearly geometric,
 * so its standard deviation is about its mean. The tolerance is four standard errors of the mean, plus one.
 */
function laws(moved, betas, { check, skip, note }) {
  const count = moved.refreshes_started;
  if (betas.length === 0 || count === 0) return skip("triggers against the formula", "no sample of beta");
  const mean = (pick) => betas.reduce((sum, entry) => sum + pick(entry), 0) / betas.length;
  const [beta, delta, window] = [mean((it) => it.beta), mean((it) => it.delta), mean((it) => it.early_window)];
  const c = RATE * beta * delta * Math.exp(-window / (beta * delta));
  const expected = 1 + (Math.exp(1 / beta) - 1) * (1 + c);
  const tolerance = 4 * (expected / Math.sqrt(count)) + 1;
  const within = (figure, centre) => Math.abs(figure - centre) <= tolerance;
  const triggers = moved.xfetch_early_triggers / count;
  const contention = (moved.xfetch_lock_contention_early + moved.xfetch_recheck_skips_total) / count;
  note(
    `beta ${beta.toFixed(2)}, delta ${delta.toFixed(2)} s, window ${window.toFixed(1)} s, ${RATE} requests a second`,
  );
  check(
    "triggers per computation",
    `${expected.toFixed(1)} ± ${tolerance.toFixed(1)}`,
    triggers.toFixed(2),
    within(triggers, expected),
  );
  check(
    "contention per computation",
    `${(expected - 1).toFixed(1)} ± ${tolerance.toFixed(1)}`,
    contention.toFixed(2),
    within(contention, expected - 1),
  );
}

async function cold(run, body) {
  const { check, skip, note } = phase("Phase 3: a burst at a key that nobody has asked for");
  const { client, origin } = run;
  const before = await run.counters();
  const callsBefore = origin?.counts().calls;
  const answers = await client.burst(BURST, body);
  const after = await run.counters();
  const moved = differences(before, after);
  report.counters.cold = { before, after };
  const good = answers.filter((it) => it.status === 200);
  check("requests that succeed", `${BURST} of ${BURST}`, `${good.length} of ${BURST}`, good.length === BURST);
  const same = answers.filter((it) => it.text === answers[0].text);
  check("identical bodies", BURST, same.length, same.length === BURST);
  if (moved) check("compute_calls", 1, moved.compute_calls, moved.compute_calls === 1);
  else skip("compute_calls", "needs ADMIN_TOKEN");
  if (origin) {
    const calls = origin.counts().calls - callsBefore;
    check("the origin's own count", 1, calls, calls === 1);
  } else skip("the origin's own count", "no access to the origin");
  note(`answers  ${latency(answers)}`);
}

async function holderLost(run, body, restart) {
  const { check, skip, note } = phase("Phase 4: the holder of a cold key's lease is killed");
  if (!restart) return skip("all requests are answered after one lease", "needs a runtime to kill");
  const { origin } = run;
  const callsBefore = origin.counts().calls;
  const lost = run.client.ask(body).then(
    () => "answered",
    () => "cut off",
  );
  while (origin.counts().calls === callsBefore) await sleep(10);
  const killedAt = performance.now();
  await restart();
  note(`killed with one computation under way; its client was ${await lost}`);
  const answers = await run.client.burst(BURST, body);
  const worst = Math.max(...answers.map((it) => it.began + it.ms)) - killedAt;
  const most = run.lease * 1000 + ORIGIN_LATENCY + 1_500;
  const good = answers.filter((it) => it.status === 200);
  check("requests that succeed", `${BURST} of ${BURST}`, `${good.length} of ${BURST}`, good.length === BURST);
  check(
    "time from the kill to the last answer",
    `at most ${(most / 1000).toFixed(1)} s`,
    `${(worst / 1000).toFixed(1)} s`,
    worst <= most,
  );
  const calls = origin.counts().calls - callsBefore;
  check("computations, including the lost one", 2, calls, calls === 2);
  await run.counters();
  return undefined;
}

const question = (date) => JSON.stringify({ home_team: "Arsenal", away_team: "Liverpool", match_date: date });

async function certifyLocal() {
  build();
  const origin = await startOrigin({ settings: { latency: ORIGIN_LATENCY, spread: 0.05 } });
  const persist = await mkdtemp(join(scratch, "xfetch-certify-"));
  const own = route({ ttl: 5, origin_timeout: 3 });
  const start = () => serve([edge({ vars: { ORIGIN_URL: origin.url, ROUTES: [own] } })], { persist });
  let runtime = await start();
  const connect = () => new Client(runtime.url, { path: PATH, token: ADMIN_TOKEN });
  const run = new Run(connect(), { origin, lease: own.origin_timeout + 5 });
  try {
    await environment(run);
    await learnTtl(run, question("2026-11-22"));
    await staleBurst(run, question("2026-11-22"));
    await earlyRefresh(run, question("2026-11-23"));
    await cold(run, question("2026-11-24"));
    await holderLost(run, question("2026-11-25"), async () => {
      await runtime.kill();
      runtime = await start();
      run.client = connect();
    });
  } finally {
    await runtime.stop();
    await origin.close();
    await rm(persist, { recursive: true, force: true });
  }
}

async function certifyUrl(url) {
  const body = options.body ?? question("2026-11-22");
  const { method, path } = options;
  if (!["GET", "QUERY", "POST"].includes(method)) throw new EnvironmentFault("--method is GET, QUERY or POST");
  /** @type {Record<string, string>} */
  const headers = {};
  for (const field of options.header) {
    const [, name, value] = /^([\w-]+): *(.+)$/.exec(field) ?? [];
    if (!name) throw new EnvironmentFault(`--header is 'name: value', not ${JSON.stringify(field.slice(0, 40))}`);
    headers[name.toLowerCase()] = value;
  }
  const client = new Client(url.replace(/\/$/, ""), { path, method, token: process.env.ADMIN_TOKEN, headers });
  try {
    client.subject(body);
  } catch {
    throw new EnvironmentFault(`--body is not JSON: ${body.slice(0, 80)}`);
  }
  const run = new Run(client, /** @type {any} */ ({}));
  await environment(run);
  await learnTtl(run, body);
  await staleBurst(run, body);
  await earlyRefresh(run, body);
  if (client.token) {
    // A hard purge makes a key cold.
    await client.admin("POST", "purge", { ...client.subject(body), hard: true });
    await cold(run, body);
  } else
    phase("Phase 3: a burst at a key that nobody has asked for").skip(
      "one computation",
      "needs ADMIN_TOKEN for the purge",
    );
  await holderLost(run, body, undefined);
  await client.close();
}

if (options.help) {
  console.log(
    "npm run certify [-- URL] [--path PATH] [--method GET|QUERY|POST] [--body JSON] [--header 'name: value'] [--tenant NAME] [--json]   (ADMIN_TOKEN in the environment)",
  );
  process.exit(0);
}
say("xfetch-edge certification");
let code = 0;
try {
  await (positionals[0] ? certifyUrl(positionals[0]) : certifyLocal());
  code = isMissed ? 1 : 0;
  say(isMissed ? "\nNOT CERTIFIED: a target was missed." : "\nCERTIFIED: every target that was checked is met.");
} catch (error) {
  if (!(error instanceof EnvironmentFault)) throw error;
  code = 2;
  report.fault = error.message;
  say(`\nENVIRONMENT FAULT: ${error.message}\nNo figure of this run counts.`);
}
report.verdict = ["certified", "missed", "environment fault"][code];
if (options.json) console.log(JSON.stringify(report, null, 2));
process.exit(code);

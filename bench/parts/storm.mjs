// `storm`: one open-loop trace for all peers: Poisson arrivals, half of them for one hot key, half for a Zipf tail of
// a thousand keys. Each peer has an origin of its own and gets every request at the same instant as the others, in the
// same run, so disturbances of the machine affect all of them alike. The last scene repeats this with an origin that
// fails for twenty seconds in the middle.

import { Agent, request } from "undici";

import { percentile, sleep } from "../../scripts/client.mjs";
import { ADMIN_TOKEN } from "../../scripts/runtime.mjs";
import { Chance } from "../chance.mjs";
import { chosen, PATH, PEERS, startBenchOrigin } from "../peers.mjs";
import { fixed, table } from "../table.mjs";

const NAMES = chosen(["hello", "none", "nginx", "varnish", "cachified", "swr", "edge", "edge-2"]);
const KEYS = 1_000;
const HOT_RATE = 30;
const TAIL_RATE = 30;
const LATENCY = 1_000;
const SPREAD = 0.3;
const SLOW = 100;

/** Arrivals in order: when, in ms, and for which key; 0 is the hot one. */
function trace(seconds, seed) {
  const chance = new Chance(seed);
  const weights = Array.from({ length: KEYS }, (_, rank) => 1 / (rank + 1));
  const total = weights.reduce((sum, it) => sum + it, 0);
  const tailKey = () => {
    let left = chance.uniform() * total;
    let rank = 0;
    while (rank < KEYS - 1 && left > weights[rank]) {
      left -= weights[rank];
      rank += 1;
    }
    return rank + 1;
  };
  const arrivals = [];
  let at = 0;
  while (at < seconds * 1000) {
    at += chance.exponential(1000 / (HOT_RATE + TAIL_RATE));
    arrivals.push({ at, key: chance.uniform() < HOT_RATE / (HOT_RATE + TAIL_RATE) ? 0 : tailKey() });
  }
  return arrivals;
}

// In canonical form: our Worker sends that, and the origins count by the body.
const bodyOf = (key) => JSON.stringify({ away: "Chelsea", home: "Arsenal", match: key });

/** Lower bound on origin calls if no answer may exceed its TTL: one per key at its first request beyond the last. */
function least(arrivals, ttl) {
  const fresh = new Map();
  let calls = 0;
  let hot = 0;
  for (const { at, key } of arrivals) {
    if (at < (fresh.get(key) ?? -1)) continue;
    fresh.set(key, at + ttl * 1000);
    calls += 1;
    if (key === 0) hot += 1;
  }
  return { calls, hot };
}

async function ask(agent, url, key) {
  const began = performance.now();
  try {
    const answer = await request(url + PATH, {
      method: "POST",
      body: bodyOf(key),
      headers: { "content-type": "application/json" },
      dispatcher: agent,
    });
    const text = await answer.body.text();
    const computed = Number(/"computed_at":(\d+)/.exec(text)?.[1] ?? Number.NaN);
    return { key, began, ms: performance.now() - began, ok: answer.statusCode === 200, age: Date.now() - computed };
  } catch {
    return { key, began, ms: performance.now() - began, ok: false, age: Number.NaN };
  }
}

/** The figures of one peer. */
function judge(answers, ttl, counts) {
  // Warm: the key has been answered before this request was sent.
  const first = new Map();
  for (const { key, began, ms, ok } of answers) {
    if (ok) first.set(key, Math.min(first.get(key) ?? Number.POSITIVE_INFINITY, began + ms));
  }
  const warm = answers.filter((it) => it.began > (first.get(it.key) ?? Number.POSITIVE_INFINITY));
  const hot = warm.filter((it) => it.key === 0);
  const ages = hot.filter((it) => it.ok).map((it) => it.age);
  const own = Object.entries(counts.keys);
  return {
    calls: counts.calls,
    hotCalls: counts.keys[bodyOf(0)]?.calls ?? 0,
    highest: Math.max(0, ...own.map(([, it]) => it.highest)),
    failed: answers.filter((it) => !it.ok).length,
    warmFailed: warm.filter((it) => !it.ok).length,
    slow: warm.filter((it) => it.ms > SLOW).length,
    late: ages.filter((age) => age > ttl * 1000).length / Math.max(1, ages.length),
    oldest: Math.max(0, ...ages) / 1000,
    ...Object.fromEntries(
      [
        ["p50", 0.5],
        ["p90", 0.9],
        ["p99", 0.99],
        ["p999", 0.999],
      ].map(([name, share]) => [
        name,
        percentile(
          warm.map((it) => it.ms),
          share,
        ),
      ]),
    ),
  };
}

/** The counters of our Worker, as its metrics report them. */
async function countersOf(peer) {
  const answer = await fetch(`${peer.url}/_xfetch/metrics`, { headers: { authorization: `Bearer ${ADMIN_TOKEN}` } });
  const { counters } = await answer.json();
  return counters;
}

async function scene({ ttl, seconds, fails, seed }) {
  const arrivals = trace(seconds, seed);
  const bound = least(arrivals, ttl);
  const peers = {};
  const results = {};
  try {
    for (const name of NAMES) {
      const origin = await startBenchOrigin({ latency: LATENCY, spread: SPREAD });
      const peer = await PEERS[name].start({ origin, ttl });
      peers[name] = { origin, peer, agent: new Agent({ connections: 256, pipelining: 1 }), answers: [] };
    }
    const connect = async ({ agent, peer }) => {
      for (let warm = 0; warm < 20; warm += 1)
        await Promise.all((peer.urls ?? [peer.url]).map((url) => ask(agent, url, 0)));
    };
    await Promise.all(Object.values(peers).map(connect));
    // The hot key is fresh in all peers when the trace begins, so its earlier state does not affect the figures.
    const refresh = () =>
      Promise.all(
        Object.values(peers).flatMap(({ agent, peer }) => (peer.urls ?? [peer.url]).map((url) => ask(agent, url, 0))),
      );
    await sleep(ttl * 1_000);
    await refresh();
    await sleep(2_500);
    await refresh();
    for (const { origin } of Object.values(peers)) await origin.reset();
    const failing = fails ? [(seconds / 2 - 10) * 1000, (seconds / 2 + 10) * 1000] : undefined;
    const switches = (failing ?? []).map((at, place) =>
      setTimeout(
        () => Object.values(peers).forEach(({ origin }) => origin.set({ status: place === 0 ? 503 : 200 })),
        at,
      ),
    );
    const began = performance.now();
    const pending = [];
    for (const [place, { at, key }] of arrivals.entries()) {
      const wait = began + at - performance.now();
      if (wait > 0) await sleep(wait);
      for (const { peer, agent, answers } of Object.values(peers)) {
        const urls = peer.urls ?? [peer.url];
        pending.push(ask(agent, urls[place % urls.length], key).then((it) => answers.push(it)));
      }
    }
    await Promise.all(pending);
    switches.forEach(clearTimeout);
    await sleep(3_000);
    for (const [name, { origin, answers, peer }] of Object.entries(peers)) {
      results[name] = judge(answers, ttl, await origin.counts());
      if (name === "edge") results[name].counters = await countersOf(peer);
    }
  } finally {
    for (const { origin, peer, agent } of Object.values(peers)) {
      await agent.close();
      await peer.stop();
      await origin.stop();
    }
  }
  return { requests: arrivals.length, bound, results };
}

function show({ requests, bound, results }, ttl, seconds, fails) {
  const title = fails ? `, the origin failing for 20 s in the middle` : "";
  console.log(
    `\nTTL ${ttl} s, ${seconds} s, ${requests} requests to each${title}; lower bound of calls ${bound.calls}, hot key: duration / TTL ${fixed(seconds / ttl, 1)}`,
  );
  table(
    [
      "",
      "calls",
      "of lower bound",
      "hot calls",
      "of duration/TTL",
      "in flight/key",
      "failed",
      "slow warm",
      "hot past TTL",
      "oldest s",
      "p50",
      "p90",
      "p99",
      "p99.9",
    ],
    Object.entries(results).map(([name, it]) => [
      PEERS[name].label,
      it.calls,
      fixed(it.calls / bound.calls, 2),
      it.hotCalls,
      fixed(it.hotCalls / (seconds / ttl), 2),
      it.highest,
      it.failed,
      it.slow,
      `${fixed(it.late * 100, 1)} %`,
      fixed(it.oldest, 1),
      fixed(it.p50, 1),
      fixed(it.p90, 1),
      fixed(it.p99, 1),
      fixed(it.p999, 1),
    ]),
  );
}

export async function run({ isQuick }) {
  const seconds = isQuick ? 30 : 60;
  const scenes = isQuick
    ? [{ ttl: 5 }]
    : [{ ttl: 5 }, { ttl: 10 }, { ttl: 60, seconds: 120 }, { ttl: 10, fails: true }];
  const figures = [];
  for (const [place, { ttl, fails = false, seconds: own = seconds }] of scenes.entries()) {
    const result = await scene({ ttl, fails, seconds: own, seed: place + 1 });
    show(result, ttl, own, fails);
    figures.push({ ttl, fails, seconds: own, ...result });
  }
  return figures;
}

// The strategies in words, and statements computed from figures.

import { milliseconds, nice, percent } from "./dom.js";

export const STRATEGIES = {
  no_protection: { name: "No protection", how: "Whoever finds nothing fresh computes, and waits." },
  plain_lock: { name: "Plain lock", how: "The first computes, the others wait for it." },
  stale_while_revalidate: { name: "Stale while revalidate", how: "Stale is served; everybody who finds it computes behind the answer." },
  fixed_threshold: { name: "Fixed threshold", how: "Everybody computes who comes within a fixed time before expiry." },
  xfetch_alone: { name: "XFetch alone", how: "The paper's rule, without a lock." },
  xfetch_lease_beta_1: { name: "XFetch + lease, beta 1", how: "The paper's rule; one computation in the world." },
  xfetch_lease_auto: { name: "XFetch + lease, auto", how: "What is deployed: beta chosen from rate and cost." },
};

export const OURS = "xfetch_lease_auto";

const times = (count, one, many = `${one}s`) => `${nice(count)} ${count === 1 ? one : many}`;

/** What the pictures show, in sentences made from the figures. */
export function statement(results, settings) {
  const of = Object.fromEntries(results.map((it) => [it.strategy, it]));
  const [ours, none] = [of[OURS], of.no_protection];
  const least = Math.max(ours.least_calls, 1);
  const crowd = none.most_in_flight > 1 ? `, up to ${none.most_in_flight} at once for one key` : "";
  const slowest = [...results].sort((a, b) => b.slow - a.slow)[0];
  const sentences = [
    `In ${nice(settings.duration)} s ${nice(ours.requests)} requests came. The deployed cache called the origin ${times(ours.calls, "time")}, ${nice(ours.calls / least)} times the least that keeps every answer fresh. ` +
      `Without protection it was called ${times(none.calls, "time")}${crowd}.`,
    `${times(ours.slow, "of its answers", "of its answers")} took longer than 100 ms; ${STRATEGIES[slowest.strategy].name.toLowerCase()} was the slowest: ${nice(slowest.slow)} answers, ` +
      `the slowest thousandth of all ${milliseconds(slowest.p999)} or longer.`,
    ours.past_ttl_share === 0
      ? "None of its answers was older than its time to live."
      : `${percent(ours.past_ttl_share)} of its answers were past their time to live, served at once while the next one was computed; ${percent(of.stale_while_revalidate.past_ttl_share)} with stale-while-revalidate alone.`,
  ];
  if (ours.errors + none.errors > 0) sentences.push(`It answered ${times(ours.errors, "request")} with an error, and ${nice(none.errors)} without protection.`);
  return sentences;
}

/** What the laws say of this key, against what was seen. */
export function lawWords({ law, cycles, rate, beta, delta }) {
  const gaps = cycles.map((it) => it.gap);
  const mean = gaps.reduce((sum, it) => sum + it, 0) / Math.max(gaps.length, 1);
  const late = cycles.filter((it) => it.late).length / Math.max(cycles.length, 1);
  return (
    `The most wanted key, ${nice(rate)} requests a second, in one place without a lock, beta ${nice(beta)}: over ${cycles.length} cycles the first refresh began ` +
    `${nice(mean)} s before expiry on average (law ${nice(law.mean_gap)} s, with a computation of ${nice(delta)} s), and ${percent(late)} of the new values landed late (law ${percent(law.late)}).`
  );
}

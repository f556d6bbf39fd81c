// The strategies in words, and statements computed from figures.

import { milliseconds, nice, percent } from "./dom.js";

export const STRATEGIES = {
  no_protection: { name: "No protection", how: "Whoever finds nothing fresh computes, and waits." },
  plain_lock: { name: "Plain lock", how: "The first computes, the others wait for it." },
  stale_while_revalidate: {
    name: "Stale while revalidate",
    how: "Stale is served; everybody who finds it computes behind the answer.",
  },
  fixed_threshold: { name: "Fixed threshold", how: "Everybody computes who comes within a fixed time before expiry." },
  xfetch_alone: { name: "XFetch alone", how: "The paper's rule, without a lock." },
  xfetch_lease_beta_1: { name: "XFetch + lease, beta 1", how: "The paper's rule; one computation in the world." },
  xfetch_lease_auto: { name: "XFetch + lease, auto", how: "What is deployed: beta chosen from rate and cost." },
};

export const OURS = "xfetch_lease_auto";

const times = (count, one, many = `${one}s`) => `${nice(count)} ${count === 1 ? one : many}`;

/** A strategy's name, with the beta that it was given. */
export function nameOf(strategy, settings) {
  const { name } = STRATEGIES[strategy];
  return settings.beta !== 1 && ["xfetch_alone", "xfetch_lease_beta_1"].includes(strategy)
    ? `${name.replace(/, beta 1$/, "")}, beta ${nice(settings.beta)}`
    : name;
}

/** What the pictures show, in sentences made from the figures. */
export function statement(results, settings) {
  const of = Object.fromEntries(results.map((it) => [it.strategy, it]));
  const [ours, none] = [of[OURS], of.no_protection];
  const crowd = none.most_in_flight > 1 ? `, up to ${none.most_in_flight} at once for one key` : "";
  const few =
    ours.calls >= ours.least_calls && ours.answers > 0
      ? `, ${nice(ours.calls / Math.max(ours.least_calls, 1))} times the least that keeps every answer fresh`
      : "";
  const sentences = [
    `In ${nice(settings.duration)} s ${times(ours.requests, "request")} came. The deployed cache called the origin ${times(ours.calls, "time")}${few}. ` +
      `Without protection it was called ${times(none.calls, "time")}${crowd}.`,
  ];
  const slowest = [...results].sort((a, b) => b.slow - a.slow)[0];
  if (slowest.slow > 0) {
    sentences.push(
      `${times(ours.slow, "of its answers", "of its answers")} took longer than 100 ms. The most slow answers, ${nice(slowest.slow)}, came from ${nameOf(slowest.strategy, settings)}; ` +
        `one answer in a thousand took ${milliseconds(slowest.p999)} there.`,
    );
  }
  const stalest = [...results].sort((a, b) => b.past_ttl_share - a.past_ttl_share)[0];
  if (ours.answers > 0) {
    sentences.push(
      ours.past_ttl_share === 0
        ? "None of its answers was older than its time to live."
        : `${percent(ours.past_ttl_share)} of its answers were past their time to live, served at once instead of waiting; the most of all, ${percent(stalest.past_ttl_share)}, from ${nameOf(stalest.strategy, settings)}.`,
    );
  }
  if (settings.outage_for > 0) {
    const end = settings.outage_from + settings.outage_for;
    const last = ours.seconds.findLastIndex((it, second) => it.stale > 0 && second >= settings.outage_from);
    if (last >= end)
      sentences.push(
        `After the outage it backs off before it asks again: the last answer past its time to live came ${nice(last - end + 1)} s after the outage's end.`,
      );
  }
  if (ours.errors + none.errors > 0)
    sentences.push(
      `It answered ${times(ours.errors, "request")} with an error; without protection ${nice(none.errors)} failed.`,
    );
  return sentences;
}

/** What the laws say of this key, against what was seen. */
export function lawWords({ law, cycles, rate, beta, delta }) {
  const mean = cycles.reduce((sum, it) => sum + it.gap, 0) / Math.max(cycles.length, 1);
  const late = cycles.filter((it) => it.late).length / Math.max(cycles.length, 1);
  return (
    `The rule by itself, without a lock, for ${nice(rate)} requests a second to the most wanted key, all at one place, beta ${nice(beta)}: over ${nice(cycles.length)} cycles the first refresh began ` +
    `${nice(mean)} s before expiry on average (law ${nice(law.mean_gap)} s, with a computation of ${nice(delta)} s), and ${percent(late)} of the new values landed late (law ${percent(law.late)}).`
  );
}

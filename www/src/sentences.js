// The names and descriptions of the strategies, and sentences computed from a run's figures.

import { milliseconds, nice, percent } from "./dom.js";

export const STRATEGIES = {
  no_protection: { name: "No protection", how: "Each request that finds no fresh entry computes, and waits." },
  plain_lock: { name: "Plain lock", how: "The first request computes; the others wait for it." },
  stale_while_revalidate: {
    name: "Stale while revalidate",
    how: "A stale entry is served; each request that finds one computes in the background.",
  },
  fixed_threshold: { name: "Fixed threshold", how: "Each request within a fixed time before expiry computes." },
  xfetch_alone: { name: "XFetch alone", how: "The paper's rule, without a lock." },
  xfetch_lease_beta_1: {
    name: "XFetch + lease, beta 1",
    how: "The paper's rule; one computation per cycle in the world.",
  },
  xfetch_lease_auto: {
    name: "XFetch + lease, auto",
    how: "The deployed configuration: beta is chosen from rate and cost.",
  },
};

export const OURS = "xfetch_lease_auto";

const times = (count, one, many = `${one}s`) => `${nice(count)} ${count === 1 ? one : many}`;

/** A strategy's name, with its beta where that was changed. */
export function nameOf(strategy, settings) {
  const { name } = STRATEGIES[strategy];
  return settings.beta !== 1 && ["xfetch_alone", "xfetch_lease_beta_1"].includes(strategy)
    ? `${name.replace(/, beta 1$/, "")}, beta ${nice(settings.beta)}`
    : name;
}

/** Describes the results of a run in sentences, all numbers computed. */
export function statement(results, settings) {
  const of = Object.fromEntries(results.map((it) => [it.strategy, it]));
  const [ours, none] = [of[OURS], of.no_protection];
  const crowd = none.most_in_flight > 1 ? `, up to ${none.most_in_flight} at once for one key` : "";
  const few =
    ours.calls >= ours.least_calls && ours.answers > 0
      ? `, ${nice(ours.calls / Math.max(ours.least_calls, 1))} times the lower bound for fresh answers only`
      : "";
  const sentences = [
    `${times(ours.requests, "request")} arrived in ${nice(settings.duration)} s. The deployed cache called the origin ${times(ours.calls, "time")}${few}. ` +
      `Without protection it was called ${times(none.calls, "time")}${crowd}.`,
  ];
  const slowest = [...results].sort((a, b) => b.slow - a.slow)[0];
  if (slowest.slow > 0) {
    sentences.push(
      `${times(ours.slow, "of its answers", "of its answers")} took longer than 100 ms. ${nameOf(slowest.strategy, settings)} had the most slow answers, ${nice(slowest.slow)}; ` +
        `one of its answers in a thousand took ${milliseconds(slowest.p999)} or longer.`,
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

/** Compares the cycles of one key with the closed forms. */
export function theorySentence({ law, cycles, rate, beta, delta }) {
  const mean = cycles.reduce((sum, it) => sum + it.gap, 0) / Math.max(cycles.length, 1);
  const late = cycles.filter((it) => it.late).length / Math.max(cycles.length, 1);
  return (
    `The rule alone, without a lock, for ${nice(rate)} requests a second to the most requested key, all in one place, beta ${nice(beta)}: over ${nice(cycles.length)} cycles the first refresh began ` +
    `${nice(mean)} s before expiry on average (theory: ${nice(law.mean_gap)} s, with a computation of ${nice(delta)} s), and ${percent(late)} of the new entries arrived after expiry (theory: ${percent(law.late)}).`
  );
}

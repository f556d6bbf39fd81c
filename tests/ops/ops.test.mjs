// The dashboard and the alert rules against the metrics that a running Worker gives. promtool evaluates every query on
// series whose names, labels and final values are those of a real scrape.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { startOrigin } from "../../examples/origin/server.mjs";
import { ADMIN_TOKEN, PATH, startRuntime } from "../../scripts/runtime.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const read = (/** @type {string} */ name) => readFileSync(join(root, name), "utf8");
const ALERTS = "ops/prometheus/alerts.yml";
/** The job of ops/prometheus/scrape.yml. */
const JOB = "xfetch-edge";
/** How many minutes the series last. */
const MINUTES = 60;

const dashboard = JSON.parse(read("ops/grafana/xfetch-edge.json"));
const panels = dashboard.panels.flatMap((panel) =>
  panel.targets.map((target) => ({
    title: panel.title,
    expr: target.expr.replaceAll("$__rate_interval", "5m").replaceAll("$job", JOB),
  })),
);
const alerts = [...read(ALERTS).matchAll(/- alert: (\w+)\n\s+expr: (.+)\n/g)].map(([, title, expr]) => ({
  title,
  expr,
}));

/** The samples of a real scrape after some traffic: a line for each series. @type {[string, number][]} */
let samples = [];
before(async () => {
  const origin = await startOrigin({ settings: { latency: 5, spread: 0 } });
  const runtime = await startRuntime({ vars: { ORIGIN_URL: origin.url } });
  try {
    for (let request = 0; request < 5; request += 1) {
      const body = JSON.stringify({ home_team: "Arsenal", away_team: "Chelsea", match_date: "2026-11-22" });
      const answer = await fetch(runtime.url + PATH, {
        method: "POST",
        body,
        headers: { "content-type": "application/json" },
      });
      assert.equal(answer.status, 200);
      await answer.text();
    }
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}`, accept: "text/plain" };
    const text = await (await fetch(`${runtime.url}/_xfetch/metrics`, { headers })).text();
    samples = text
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("#"))
      .map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ") + 1))]);
  } finally {
    await runtime.stop();
    await origin.close();
  }
});

function promtool(/** @type {string[]} */ words) {
  const result = spawnSync("promtool", words, { cwd: join(root, "ops", "prometheus"), encoding: "utf8" });
  assert.equal(result.status, 0, `promtool ${words.join(" ")}:\n${result.stdout}${result.stderr}`);
}

test("promtool accepts the alert rules, and each alert fires when it should and not otherwise", () => {
  promtool(["check", "rules", "alerts.yml"]);
  promtool(["test", "rules", "alerts.test.yml"]);
});

test("every metric that a query names is one of the Worker's", () => {
  const names = new Set(samples.map(([series]) => series.split("{")[0]));
  const words = /\b(?:rate|increase|histogram_quantile|count|by|and|up|job|le)\b|"[^"]*"|\d[\dmhs.]*/g;
  for (const { title, expr } of [...panels, ...alerts]) {
    const used = expr.replaceAll(words, " ").match(/[a-z_]{3,}/g) ?? [];
    for (const name of used) assert.ok(names.has(name), `${title}: ${name} in ${expr}`);
  }
});

test("every query of the dashboard and of the alerts gives a value on a real scrape's series", () => {
  // Counters rise to the scraped values, so that each rate is one of numbers that the Worker gave.
  const ofJob = (/** @type {string} */ series) => {
    const [name, labels] = series.split(/[{}]/);
    return `${name}{job="${JOB}"${labels ? `,${labels}` : ""}}`;
  };
  const rising = ([series, value]) => ({ series: ofJob(series), values: `0+${value / MINUTES}x${MINUTES}` });
  const queries = [...panels, ...alerts.map(({ title, expr }) => ({ title, expr: expr.replace(/ (>|==) .*$/, "") }))];
  const document = {
    rule_files: [],
    evaluation_interval: "1m",
    tests: [
      {
        interval: "1m",
        input_series: [...samples.map(rising), { series: ofJob("up"), values: `1+0x${MINUTES}` }],
        promql_expr_test: queries.map(({ expr }) => ({
          expr: `clamp_max(count(${expr}), 1)`,
          eval_time: `${MINUTES - 5}m`,
          exp_samples: [{ labels: "{}", value: 1 }],
        })),
      },
    ],
  };
  const file = join(mkdtempSync(join(tmpdir(), "xfetch-ops-")), "queries.json");
  writeFileSync(file, JSON.stringify(document));
  promtool(["test", "rules", file]);
});

test("the documents have a sentence for each panel and each alert", () => {
  const text = read("docs/metrics.md");
  for (const { title } of [...dashboard.panels, ...alerts]) assert.ok(text.includes(`| ${title} |`), title);
});

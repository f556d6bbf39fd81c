// The tables of a conformance run, for the terminal and for docs/conformance.md.

import { QUESTIONS, failures, kindOf, onProxies, score, uncounted } from "./score.mjs";

/**
 * @typedef {import("./suite.mjs").Test} Test
 * @typedef {import("./suite.mjs").Results} Results
 * @typedef {{ label: string, version: string, settings: string, results: Results }} Run
 * @typedef {{ tests: Test[], commit: string, none?: Results, runs: Run[], own: Run, decisions: Record<string, string> }} Report
 */

const KINDS = ["required", "optimal"];
const cell = (text) => String(text).replaceAll("|", "\\|").replaceAll("\n", " ");

/** A table in Markdown, with columns of equal width as the formatter wants them. */
function table(/** @type {any[][]} */ rows) {
  const cells = rows.map((row) => row.map(cell));
  const widths = cells[0].map((_, at) => Math.max(3, ...cells.map((row) => row[at].length)));
  const line = (row) => `| ${row.map((it, at) => it.padEnd(widths[at])).join(" | ")} |`;
  return [line(cells[0]), line(widths.map((it) => "-".repeat(it))), ...cells.slice(1).map(line)].join("\n");
}

/** @param {Report} report */
export function scores({ tests, runs, none }) {
  const counted = runs.map((run) => ({ run, is: score(tests, run.results, none) }));
  const { required, optimal, beyond } = counted[0].is;
  const heads = [
    "system",
    `required raw, of ${required.of}`,
    "with dependencies",
    `beyond null, of ${beyond?.of ?? "?"}`,
    `optimal raw, of ${optimal.of}`,
    "with dependencies",
    ...Object.keys(QUESTIONS),
  ];
  const rows = counted.map(({ run, is }) => [
    run.label,
    is.required.raw,
    is.required.depending,
    is.beyond?.raw ?? "?",
    is.optimal.raw,
    is.optimal.depending,
    ...is.answers.map((it) => (it ? "yes" : "no")),
  ]);
  return table([heads, ...rows]);
}

/** What the client leaves out, as a sentence. */
export function excluded(/** @type {Test[]} */ tests) {
  const count = (kind) => tests.filter((test) => kindOf(test) === kind && test.browser_only).length;
  const run = (kind) => onProxies(tests, kind).length;
  return `Of ${tests.length} tests, ${count("required")} required and ${count("optimal")} optimal ones are for browsers only and are not run; ${run("required")} required, ${run("optimal")} optimal and ${run("check")} checks remain.`;
}

/** The failures of one kind, with their reasons. */
function failed({ tests, own, decisions }, kind) {
  const rows = failures(tests, own.results, kind).map(({ test, outcome, message }) => [
    `\`${test.id}\``,
    test.name,
    `${outcome}: ${message}`,
    decisions[test.id] ?? "not explained",
  ]);
  return rows.length === 0 ? "None." : table([["test", "the suite's name", "message", "reason"], ...rows]);
}

function notCounted({ tests, own }, kind) {
  const rows = uncounted(tests, own.results, kind);
  if (rows.length === 0) return "None.";
  return rows.map(({ test, because }) => `\`${test.id}\` (${because.map((it) => `\`${it}\``).join(", ")})`).join(", ");
}

/** @param {Report} report */
export function failureSections(report, level) {
  return KINDS.flatMap((kind) => [
    `${level} ${kind === "required" ? "Required" : "Optimal"} tests that fail`,
    failed(report, kind),
    `Passes that do not count with dependencies, each with what fails before it: ${notCounted(report, kind)}`,
  ]).join("\n\n");
}

/**
 * The reasons that explain nothing: their test passes, or does not exist.
 *
 * @param {Report} report
 */
export function staleDecisions({ tests, own, decisions }) {
  const failing = new Set(KINDS.flatMap((kind) => failures(tests, own.results, kind)).map(({ test }) => test.id));
  return Object.keys(decisions).filter((id) => !failing.has(id));
}

/** @param {Report} report */
export function document(report) {
  const settings = report.runs.map(({ label, version, settings }) => [label, version, settings]);
  return `# Conformance

\`npm run conformance -- --suite DIR --peers all --write\` made this page on ${new Date().toISOString().slice(0, 10)}. It ran the public test suite [cache-tests](https://github.com/http-tests/cache-tests) at commit ${report.commit} against this project's Worker on bare workerd and against other caches. Every server ran alone, on loopback, with the suite's own origin behind it.

${excluded(report.tests)}

The suite is a way to compare caches, not a certificate. "With dependencies" counts a pass only if all tests that the test depends on pass too. "Beyond null" are the required passes among the tests that a proxy without a cache does not pass. "SWR, its window" is \`stale-while-revalidate\` inside its window and not after it; "SIE" is \`stale-if-error\` when the origin answers 503, or closes the connection.

## Results

${scores(report)}

## Systems

${table([["system", "version", "configuration"], ...settings])}

${failureSections(report, "##").replace(/^## (\w+) tests that fail$/gm, "## $1 tests that this Worker fails")}
`;
}

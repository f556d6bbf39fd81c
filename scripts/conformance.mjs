// `npm run conformance -- --suite DIR`: runs the public suite http-tests/cache-tests against the Worker, and beside it
// against other caches. The suite is not part of this repository; DIR is a copy of it with its packages installed.

import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { apache } from "./conformance/apache.mjs";
import { nginx, plain } from "./conformance/nginx.mjs";
import { stopAll } from "./conformance/programs.mjs";
import { document, excluded, failureSections, scores, staleDecisions } from "./conformance/report.mjs";
import { squid } from "./conformance/squid.mjs";
import { openSuite, runSuite, runTest, startSuiteOrigin } from "./conformance/suite.mjs";
import { trafficserver } from "./conformance/trafficserver.mjs";
import { varnish } from "./conformance/varnish.mjs";
import { worker } from "./conformance/worker.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const PEERS = { nginx, varnish, squid, apache, trafficserver };
// Where Debian installs servers; the path of a user may lack it.
process.env.PATH = `${process.env.PATH}:/usr/sbin`;
const usage = `npm run conformance -- --suite DIR [--peers NAMES] [--id TEST] [--forward-only] [--build DIR] [--results DIR] [--write]
  --suite DIR      a copy of http-tests/cache-tests after its npm install
  --peers NAMES    all, or some of ${Object.keys(PEERS).join(",")}
  --id TEST        runs one test, and prints its requests and responses
  --forward-only   runs the Worker as a plain proxy, without a cached route
  --build DIR      runs this build of the Worker instead of making one
  --results DIR    keeps each system's results there as the suite's JSON
  --write          writes docs/conformance.md`;

function output(command, args) {
  const done = spawnSync(command, args, { cwd: root, encoding: "utf8" });
  return done.status === 0 ? done.stdout.trim() : undefined;
}

/** The systems to run, without the peers that are not installed. The Worker comes first: its settings may be wrong. */
function systems({ peers, build, "forward-only": isForwardOnly }) {
  const names = peers === "all" ? Object.keys(PEERS) : (peers?.split(",") ?? []);
  const unknown = names.find((name) => !Object.hasOwn(PEERS, name));
  if (unknown !== undefined) throw new Error(`There is no peer ${unknown}.\n\n${usage}`);
  const isInstalled = (peer) => {
    if (output("which", [peer.program])) return true;
    console.error(`${peer.label} is left out, because it is not installed:\n  apt-get install ${peer.package}`);
    return false;
  };
  const own = worker({ isForwardOnly, folder: build });
  return { own, all: [own, plain, ...names.map((name) => PEERS[name])].filter((it) => it === own || isInstalled(it)) };
}

/** The package's version; for the Worker its commit and workerd's version. */
function versionOf(system) {
  if (system.package) return output("dpkg-query", ["-W", "-f=${Version}", system.package]) ?? "unknown";
  const workerd = JSON.parse(readFileSync(join(root, "node_modules", "workerd", "package.json"), "utf8")).version;
  return `${output("git", ["rev-parse", "--short", "HEAD"]) ?? "unknown"} on workerd ${workerd}`;
}

/** Runs `use` with an origin and this system in front of it; both end with it. */
async function inFrontOfOrigin(suite, system, use, options) {
  const origin = await startSuiteOrigin(suite, options);
  try {
    const running = await system.start(origin);
    return await use(running.url).finally(running.stop);
  } finally {
    await origin.stop();
  }
}

async function main() {
  const { values } = parseArgs({
    options: {
      suite: { type: "string" },
      peers: { type: "string" },
      id: { type: "string" },
      build: { type: "string" },
      results: { type: "string" },
      "forward-only": { type: "boolean", default: false },
      write: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return console.log(usage);
  if (!values.suite) throw new Error(`--suite is missing.\n\n${usage}`);
  if (values.write && (values.id || values["forward-only"]))
    throw new Error("--write is for a whole run with the cache: it excludes --id and --forward-only.");
  const suite = await openSuite(values.suite);
  const { id } = values;
  if (id && !suite.tests.some((test) => test.id === id && !test.browser_only))
    throw new Error(`The suite has no test ${id} for proxies.`);
  const { own, all } = systems(values);

  if (id) {
    for (const system of all) {
      console.log(`\n== ${system.label}`);
      await inFrontOfOrigin(suite, system, (url) => runTest(suite, url, id), { isVerbose: true });
    }
    return;
  }

  const runs = [];
  for (const system of all) {
    console.error(`[conformance] ${system.label}`);
    const results = await inFrontOfOrigin(suite, system, (url) => runSuite(suite, url));
    if (values.results) {
      mkdirSync(values.results, { recursive: true });
      writeFileSync(join(values.results, `${system.id}.json`), `${JSON.stringify(results, null, 2)}\n`);
    }
    runs.push({ label: system.label, version: versionOf(system), settings: system.settings, results });
  }
  const decisions = JSON.parse(readFileSync(join(root, "scripts", "conformance", "decisions.json"), "utf8"));
  const none = runs.find((run) => run.label === plain.label)?.results;
  const report = { ...suite, runs, none, decisions, own: runs.find((run) => run.label === own.label) };
  console.log(`\n${excluded(suite.tests)}\n\n${scores(report)}\n\n${failureSections(report, "#")}`);
  const stale = staleDecisions(report);
  if (stale.length > 0) console.log(`\ndecisions.json names tests that do not fail: ${stale.join(", ")}`);
  if (values.write) {
    writeFileSync(join(root, "docs", "conformance.md"), document(report));
    console.log("\nwritten: docs/conformance.md");
  }
}

for (const signal of /** @type {NodeJS.Signals[]} */ (["SIGINT", "SIGTERM", "SIGHUP"]))
  process.on(signal, () => stopAll().finally(() => process.exit(1)));
try {
  await main();
} catch (error) {
  console.error(/** @type {Error} */ (error).message);
  process.exitCode = 1;
} finally {
  await stopAll();
}

// `npm start`: builds, starts the example origin and the Worker under `wrangler dev`. The screen shows one line per step
// and then what is needed to try the Worker; everything else is in target/start.log.
//
// PORT sets the Worker's port (the origin takes the next one), and ORIGIN_URL replaces the origin. Flags after `--` are
// passed to `wrangler dev` and replace this script's own flags of the same name.

import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { FORECAST } from "../examples/origin/routes.mjs";
import { startOrigin } from "../examples/origin/server.mjs";
import { givesVar, hasOwnOrigin, parseFlags, workerPort } from "./ports.mjs";
import { toolEnvironment } from "./setup.mjs";
import { startLog } from "./steps.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const vars = join(root, ".dev.vars");
/** @typedef {import("./ports.mjs").Flag} Flag */

/** How long wrangler may take to answer, in ms. */
const START_LIMIT = 60_000;

/** The development token in `.dev.vars`, which git ignores; it is created on first use. */
/** The routes of wrangler.toml and of the example origin. */
async function exampleRoutes() {
  const { unstable_readConfig: readConfig } = await import("wrangler");
  const { vars } = readConfig({ config: join(root, "wrangler.toml") });
  return JSON.stringify([.../** @type {any} */ (vars).ROUTES, FORECAST]);
}

function developmentToken() {
  const known = existsSync(vars) ? readFileSync(vars, "utf8") : "";
  const found = known.match(/^ADMIN_TOKEN\s*=\s*"?([^"\s]+)"?/m);
  if (found) return found[1];
  const token = randomBytes(24).toString("base64url");
  const glue = known === "" || known.endsWith("\n") ? "" : "\n";
  const mode = known.includes("DEVELOPMENT") ? "" : "DEVELOPMENT=true\n";
  writeFileSync(vars, `${known}${glue}ADMIN_TOKEN=${token}\n${mode}`, { mode: 0o600 });
  return token;
}

/** Our flags without those that the caller replaces, then the caller's; each `--var` variable counts as a flag. */
function merge(own, given) {
  const identity = ([name, value]) => (name === "--var" ? `--var ${value?.split(":")[0]}` : name);
  const replaced = new Set(given.map(identity));
  const kept = own.filter((flag) => !replaced.has(identity(flag)));
  return [...kept, ...given].flatMap(([name, value]) => [name, value].filter((it) => it !== undefined));
}

/** Waits for the Worker's first answer; false if wrangler ends or takes too long. */
async function answers(url, child) {
  const end = Date.now() + START_LIMIT;
  while (Date.now() < end && child.exitCode === null) {
    const answer = await fetch(`${url}/_xfetch/health`, { signal: AbortSignal.timeout(2_000) }).catch(() => undefined);
    if (answer) return true;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return false;
}

async function main() {
  const given = parseFlags(process.argv.slice(2));
  const port = workerPort(given);
  const url = `http://127.0.0.1:${port}`;
  const steps = startLog(root);
  for (const [title, script] of [
    ["the Worker", "build.mjs"],
    ["the page", "build-www.mjs"],
  ]) {
    await steps.step(title, async () => {
      const words = [join("scripts", script)];
      if (!(await steps.run(process.execPath, words, { cwd: root }))) {
        steps.fail(`The build of ${title} failed.`, `npm run ${script === "build.mjs" ? "build" : "build:www"}`);
      }
    });
  }
  const token = developmentToken();
  const origin = hasOwnOrigin(given) ? await startOrigin({ port: port + 1 }) : undefined;
  const originUrl = origin?.url ?? process.env.ORIGIN_URL;
  /** @type {Flag[]} */
  const own = [
    ["--ip", "127.0.0.1"],
    ["--port", String(port)],
    ["--inspector-port", "0"],
    ["--show-interactive-dev-session", "false"],
    ["--var", "DEVELOPMENT:true"],
    ["--var", "PAGE:true"],
    ["--var", "FLUSH_INTERVAL:1"],
    ...(originUrl ? [/** @type {Flag} */ (["--var", `ORIGIN_URL:${originUrl}`])] : []),
    // The page's controls for the example origin.
    ...(origin ? [/** @type {Flag} */ (["--var", 'FORWARD:["/control"]'])] : []),
    ...(origin ? [/** @type {Flag} */ (["--var", `ROUTES:${await exampleRoutes()}`])] : []),
    // With a secret that changes at each start, what credentials have been found to be is asked anew.
    ["--var", `DIGEST_SECRET:${randomBytes(24).toString("base64url")}`],
  ];
  const wrangler = join(root, "node_modules", "wrangler", "bin", "wrangler.js");
  const child = spawn(process.execPath, [wrangler, "dev", ...merge(own, given)], {
    cwd: root,
    env: { ...toolEnvironment(), CI: "true", NO_COLOR: "1", CLOUDFLARE_CF_FETCH_ENABLED: "false" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  child.stdout.on("data", steps.output);
  child.stderr.on("data", steps.output);
  let stopping = false;
  const stop = () => {
    if (stopping) return;
    stopping = true;
    child.kill("SIGTERM");
    // wrangler also ends its runtime. If wrangler hangs, it is killed.
    setTimeout(() => child.kill("SIGKILL"), 7_000).unref();
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, stop);
  child.on("exit", async (code) => {
    await origin?.close();
    if (!stopping) {
      console.error(`\nwrangler dev has ended (exit code ${code}):\n${steps.tail()}  Everything is in ${steps.file}`);
    }
    process.exit(stopping ? 0 : code || 1);
  });
  await steps.step("wrangler dev", async () => {
    if (!(await answers(url, child)) && child.exitCode === null && !stopping) {
      stop();
      steps.fail(`wrangler dev did not answer within ${START_LIMIT / 1e3} s.`, `npx wrangler dev`);
    }
  });
  if (stopping) return;
  const hasOwnRoutes = givesVar(given, "ROUTES") || originUrl !== origin?.url;
  const example = hasOwnRoutes
    ? "Send a request to one of your routes twice; the second answer is a hit: Cache-Status says so."
    : `Send this twice; the second answer is a hit:

    curl -i ${url}/api/v1/brain/calculate -H 'content-type: application/json' \\
      -d '{"home_team":"Arsenal","away_team":"Chelsea","match_date":"2026-11-22"}'`;
  console.log(`
  Worker       ${url}/   the page, with a laboratory and a live view
  Origin       ${originUrl ?? "as given"}${origin ? "   an analysis that takes a second" : ""}
  Admin token  ${givesVar(given, "ADMIN_TOKEN") ? "as given" : `${token}   (in .dev.vars)`}
  Log          ${steps.file}

  ${example}

  Ctrl-C stops both.`);
}

main().catch((error) => {
  console.error(`\n${error.message}\n`);
  process.exit(1);
});

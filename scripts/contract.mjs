// `npm run contract`: schemathesis sends the running Worker requests that the OpenAPI document allows or forbids, and
// compares every response with the document. Run by hand: it creates a Python virtual environment on first use.

import { spawnSync, spawn } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { startOrigin } from "../examples/origin/server.mjs";
import { build } from "./build.mjs";
import { ADMIN_TOKEN, startRuntime } from "./runtime.mjs";
import { toolCache } from "./setup.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const VERSION = "4.32.5";
const { values } = parseArgs({
  options: { examples: { type: "string", default: "100" }, seed: { type: "string", default: "1" } },
});

function schemathesis() {
  const folder = join(toolCache, `schemathesis-${VERSION}`);
  const program = join(folder, "bin", "schemathesis");
  if (existsSync(program)) return program;
  console.error(`installing schemathesis ${VERSION}`);
  mkdirSync(folder, { recursive: true });
  const run = (command, args) => spawnSync(command, args, { stdio: ["ignore", 2, 2] }).status === 0;
  if (
    !run("python3", ["-m", "venv", folder]) ||
    !run(join(folder, "bin", "pip"), ["install", "--quiet", `schemathesis==${VERSION}`])
  ) {
    throw new Error(
      `schemathesis could not be installed. Install it yourself, then start again:\n  python3 -m venv ${folder} && ${join(folder, "bin", "pip")} install schemathesis==${VERSION}`,
    );
  }
  return program;
}

try {
  const program = schemathesis();
  build();
  const origin = await startOrigin({ settings: { latency: 5, spread: 0 } });
  const runtime = await startRuntime({ vars: { ORIGIN_URL: origin.url } });
  const common = [
    "run",
    join("www", "_xfetch", "openapi.json"),
    `--url=${runtime.url}`,
    "--checks=all",
    `--max-examples=${values.examples}`,
    `--seed=${values.seed}`,
  ];
  const run = async (...more) => {
    const child = spawn(program, [...common, ...more], { cwd: root, stdio: "inherit" });
    return new Promise((resolve) => child.once("exit", resolve));
  };
  // Only the admin paths get the token: on a cached route, credentials would bypass the cache.
  const own = await run("--include-path-regex=^/_xfetch/", `--header=Authorization: Bearer ${ADMIN_TOKEN}`);
  const cached = await run("--exclude-path-regex=^/_xfetch/");
  await runtime.stop();
  await origin.close();
  process.exit(own || cached ? 1 : 0);
} catch (error) {
  console.error(error.message);
  process.exit(1);
}

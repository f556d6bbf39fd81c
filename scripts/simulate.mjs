// `npm run simulate`: runs many hostile worlds, in which every promise is checked after every event, and then compares
// the strategies on the same arrivals.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { toolEnvironment } from "./setup.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const usage = `npm run simulate -- [--seeds N] [--from SEED] [--seed SEED] [--strategies] [--seconds N] [--storms N] [--tenants N]
  --seeds N      runs N hostile worlds (default 10000), and shows the first broken promise, shrunk
  --from SEED    the first seed (default 1)
  --seed SEED    runs one hostile world
  --strategies   only compares the strategies
  --seconds N    how long each strategy runs, in virtual time (default 600)
  --tenants N    only runs hostile worlds with tenants, until there were N requests
  --storms N     only runs the benchmark's storm with N seeds, and shows how the results vary`;

function whole(options, name, least) {
  const number = Number(options[name]);
  if (!Number.isSafeInteger(number) || number < least) {
    throw new Error(`--${name} is ${options[name]}, but must be a whole number of at least ${least}.`);
  }
  return String(number);
}

function program(...args) {
  const command = ["run", "--release", "--quiet", "--example", "simulate", "--", ...args];
  const { status } = spawnSync("cargo", command, { cwd: root, stdio: "inherit", env: toolEnvironment() });
  return status ?? 1;
}

try {
  const { values } = parseArgs({
    options: {
      seeds: { type: "string", default: "10000" },
      from: { type: "string", default: "1" },
      seed: { type: "string" },
      strategies: { type: "boolean", default: false },
      seconds: { type: "string", default: "600" },
      storms: { type: "string" },
      tenants: { type: "string" },
    },
  });
  if (values.seed !== undefined) {
    process.exitCode = program("seed", whole(values, "seed", 0));
  } else if (values.tenants !== undefined) {
    process.exitCode = program("tenants", whole(values, "tenants", 1));
  } else if (values.storms !== undefined) {
    process.exitCode = program("storms", whole(values, "storms", 1));
  } else {
    const worlds = values.strategies ? 0 : program("seeds", whole(values, "from", 0), whole(values, "seeds", 1));
    process.exitCode = worlds || program("strategies", whole(values, "seconds", 30));
  }
} catch (error) {
  console.error(`${error.message}\n\n${usage}`);
  process.exitCode = 2;
}

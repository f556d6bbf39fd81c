// `npm run deploy`: parses the configuration natively, refuses a bad setting or a loopback origin before
// anything is uploaded, then hands over to `wrangler deploy` with the same arguments.

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { unstable_readConfig } from "wrangler";

import { buildPage } from "./build-www.mjs";
import { build } from "./build.mjs";
import { toolEnvironment } from "./setup.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const words = process.argv.slice(2);
const { values } = parseArgs({
  args: words,
  strict: false,
  options: {
    config: { type: "string", short: "c" },
    env: { type: "string", short: "e" },
    var: { type: "string", multiple: true },
  },
});

/** The settings as they will be deployed: those of the chosen environment, changed by `--var`. */
function settings() {
  const config = unstable_readConfig(
    { config: values.config ?? join(root, "wrangler.toml"), env: values.env },
    { hideWarnings: true },
  );
  const vars = { ...config.vars };
  for (const given of [values.var ?? []].flat()) {
    const [name, ...rest] = String(given).split(":");
    vars[name] = rest.join(":");
  }
  const services = config.services ?? [];
  return { vars, has_origin_binding: services.some((service) => service.binding === "ORIGIN"), config };
}

function refuse(sentence) {
  console.error(`Not deployed. ${sentence}`);
  process.exit(1);
}

let checked;
try {
  checked = settings();
} catch (error) {
  refuse(error.message);
}
const { vars, has_origin_binding, config } = checked;
for (const name of ["REFRESH_LEASE", "METRICS"]) {
  const bindings = config.durable_objects?.bindings ?? [];
  if (!bindings.some((binding) => binding.name === name)) {
    refuse(`The Durable Object binding ${name} is missing; named environments do not inherit bindings.`);
  }
}
if (String(vars.DEVELOPMENT ?? false) !== "false") {
  refuse("The setting DEVELOPMENT is for development servers only.");
}
const env = toolEnvironment();
const input = JSON.stringify({ vars, has_origin_binding });
const check = spawnSync("cargo", ["run", "--quiet", "--no-default-features", "--example", "check-config"], {
  cwd: root,
  env,
  input,
  encoding: "utf8",
});
if (check.status !== 0) refuse(check.stderr.trim() || "The settings could not be checked.");
console.log(check.stdout.trim());
build();
buildPage();
const wrangler = join(root, "node_modules", "wrangler", "bin", "wrangler.js");
const deployed = spawnSync(process.execPath, [wrangler, "deploy", ...words], {
  cwd: root,
  env,
  stdio: ["ignore", "inherit", "inherit"],
});
process.exit(deployed.status ?? 1);

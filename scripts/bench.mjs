// `npm run bench [-- PART…]`: measures the Worker beside its peers, all on loopback. Every part prints tables
// with ratios and writes its figures to bench/results. `npm run bench -- --help` lists the parts.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { installDebian } from "./setup.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const bench = join(root, "bench");
const parts = readdirSync(join(bench, "parts"))
  .map((name) => name.replace(/\.mjs$/, ""))
  .sort();
/** The Debian packages that the parts need, each with a file that exists if the package is installed. */
const PACKAGES = [
  ["wrk", "/usr/bin/wrk"],
  ["hey", "/usr/bin/hey"],
  ["nginx-light", "/usr/sbin/nginx"],
  ["varnish", "/usr/sbin/varnishd"],
  ["varnish-modules", "/usr/share/doc/varnish-modules"],
  ["valgrind", "/usr/bin/valgrind"],
];

/** The npm packages of the benchmarks and the soak. */
export function setUpPackages() {
  const stamp = createHash("sha256")
    .update(readFileSync(join(bench, "package-lock.json")))
    .digest("hex");
  const file = join(bench, "node_modules", ".xfetch-stamp");
  if (existsSync(file) && readFileSync(file, "utf8") === stamp) return;
  console.error("[bench] installing npm packages");
  const done = spawnSync("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: bench,
    stdio: ["ignore", 2, 2],
  });
  if (done.status !== 0)
    throw new Error(
      "The npm packages could not be installed. Install them yourself, then start again:\n  cd bench && npm ci",
    );
  writeFileSync(file, stamp);
}

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { help: { type: "boolean", default: false }, quick: { type: "boolean", default: false } },
  });
  const unknown = positionals.find((name) => !parts.includes(name));
  if (values.help || unknown) {
    console.log(`npm run bench [-- PART… --quick]\nParts: ${parts.join(", ")}. --quick: shorter, for a first look.`);
    if (unknown) throw new Error(`There is no part ${unknown}.`);
    return;
  }
  setUpPackages();
  const missing = PACKAGES.filter(([, file]) => !existsSync(file)).map(([name]) => name);
  if (missing.length > 0) await installDebian(missing);
  const machine = {
    processor: cpus()[0].model,
    cores: cpus().length,
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
    node: process.version,
  };
  for (const folder of ["results", "build"]) mkdirSync(join(bench, folder), { recursive: true });
  for (const name of positionals.length > 0 ? positionals : parts) {
    console.log(`\n== ${name}`);
    const part = await import(join(bench, "parts", `${name}.mjs`));
    const figures = await part.run({ isQuick: values.quick });
    // The figures of a quick run do not replace the committed results.
    const file = join(bench, values.quick ? "build" : "results", `${name}.json`);
    writeFileSync(
      file,
      `${JSON.stringify({ part: name, at: new Date().toISOString(), isQuick: values.quick, machine, figures }, null, 1)}\n`,
    );
    console.log(`\nfigures: ${file.slice(root.length)}`);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    await main();
    process.exit(0);
  } catch (error) {
    console.error(error.message);
    process.exit(1);
  }
}

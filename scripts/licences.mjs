// `npm run licences`: checks the licences and sources of all dependencies offline, with cargo-deny and npm's lock
// files. Also checks advisories if their databases can be reached, and reports if they cannot. Run by hand.

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { installTool } from "./setup.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
/** The licences allowed for npm packages: tools that are not shipped, and uPlot, which the page contains. */
const NPM_ALLOWED = new Set([
  "MIT",
  "Apache-2.0",
  "MIT OR Apache-2.0",
  "(MIT OR Apache-2.0)",
  "ISC",
  "0BSD",
  "BSD-2-Clause",
  "BSD-3-Clause",
  "BlueOak-1.0.0",
  "CC0-1.0",
  "MPL-2.0",
  "LGPL-3.0-or-later",
  "Apache-2.0 AND LGPL-3.0-or-later",
  "Apache-2.0 AND LGPL-3.0-or-later AND MIT",
]);

let failed = 0;

function verdict(name, holds, words = "") {
  console.log(`${name.padEnd(44)} ${holds ? "ok" : "FAILED"}${words ? `  ${words}` : ""}`);
  if (!holds) failed += 1;
}

const deny = await installTool({ crate: "cargo-deny", bin: "cargo-deny", version: "0.20.2" });
const run = (...args) => spawnSync(deny, args, { cwd: root, encoding: "utf8" });

for (const check of ["licenses", "bans", "sources"]) {
  const result = run("--offline", "check", check);
  verdict(`Rust: ${check}`, result.status === 0);
  if (result.status !== 0) console.log(result.stderr);
}
for (const folder of ["", "bench"]) {
  const lock = JSON.parse(readFileSync(join(root, folder, "package-lock.json"), "utf8"));
  const all = Object.entries(lock.packages).filter(([path]) => path !== "");
  const strange = all.filter(([, it]) => !NPM_ALLOWED.has(it.license ?? "none"));
  verdict(
    `npm: licences of ${all.length} packages${folder && ` in ${folder}`}`,
    strange.length === 0,
    strange.map(([path, it]) => `${path}: ${it.license}`).join(", "),
  );
}
const fetched = run("fetch", "db").status === 0;
if (fetched) {
  const result = run("check", "advisories");
  verdict("Rust: advisories", result.status === 0);
  if (result.status !== 0) console.log(result.stderr);
} else {
  console.log("Rust: advisories                             not checked: their database cannot be reached from here");
}
for (const folder of ["", "bench"]) {
  const audit = spawnSync("npm", ["audit", "--json"], { cwd: join(root, folder), encoding: "utf8" });
  const report = JSON.parse(audit.stdout || "{}");
  if (report.metadata?.vulnerabilities) {
    const { high, critical } = report.metadata.vulnerabilities;
    verdict(
      `npm: advisories${folder && ` in ${folder}`}`,
      high + critical === 0,
      JSON.stringify(report.metadata.vulnerabilities),
    );
  } else {
    console.log(
      `npm: advisories${folder && ` in ${folder}`}`.padEnd(45) + "not checked: this registry does not answer audits",
    );
  }
}
process.exit(failed === 0 ? 0 : 1);

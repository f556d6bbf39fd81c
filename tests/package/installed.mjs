// The package as a stranger gets it: made as a tarball, and installed into a fresh folder.

import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { makePackage } from "../../scripts/package.mjs";

export const root = fileURLToPath(new URL("../..", import.meta.url));
export const bin = (/** @type {string} */ name) => join(root, "node_modules", ".bin", name);

let made = "";
/** The tarball's path; it is made once per process. */
export const tarball = () => (made ||= makePackage());

/** Runs a program to its end; throws with its output if it fails. */
export function run(/** @type {string} */ command, /** @type {string[]} */ args, options = {}) {
  const result = spawnSync(command, args, { encoding: "utf8", ...options });
  if (result.status !== 0) throw new Error(`${command} ${args.join(" ")} failed:\n${result.stdout}${result.stderr}`);
  return result.stdout;
}

/** Copies a folder and installs the tarball and its other dependencies there, without those for development. */
export function install(/** @type {string} */ source) {
  const folder = mkdtempSync(join(tmpdir(), "xfetch-package-"));
  cpSync(source, folder, { recursive: true, filter: (path) => !path.includes("node_modules") });
  const file = join(folder, "package.json");
  let manifest = { private: true, type: "module", dependencies: {} };
  try {
    manifest = JSON.parse(readFileSync(file, "utf8"));
  } catch {
    mkdirSync(folder, { recursive: true });
  }
  manifest.dependencies = { ...manifest.dependencies, "xfetch-edge": `file:${tarball()}` };
  writeFileSync(file, JSON.stringify(manifest));
  run("npm", ["install", "--omit=dev", "--no-audit", "--no-fund", "--loglevel=error"], { cwd: folder });
  return folder;
}

// Builds the Worker with worker-build, unless nothing has changed since the last build.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { toolEnvironment } from "./setup.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));

/** A digest of everything that a build depends on. */
function inputs(folder) {
  const hash = createHash("sha256");
  const sources = new Set([join(root, "src"), join(folder, "src")]);
  const files = [...sources]
    .flatMap((source) => readdirSync(source, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  const shared = ["Cargo.toml", "Cargo.lock", "rust-toolchain.toml", "package-lock.json"];
  const others = [join(folder, "Cargo.toml"), ...shared.map((name) => join(root, name))];
  for (const file of [...files, ...others].sort()) {
    hash.update(file.slice(root.length)).update("\0").update(readFileSync(file)).update("\0");
  }
  return hash.update(readFileSync(fileURLToPath(import.meta.url))).digest("hex");
}

/** Builds the Worker in `folder` into `folder/build`. */
export function build(folder = root) {
  const stamp = join(folder, "build", ".stamp");
  const outputs = ["index.js", "index_bg.wasm"].map((name) => join(folder, "build", name));
  const digest = inputs(folder);
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === digest && outputs.every(existsSync)) return;
  rmSync(stamp, { force: true });
  const { paths, env } = toolEnvironment();
  const result = spawnSync(paths["worker-build"], ["--release"], { cwd: folder, env, stdio: ["ignore", 2, 2] });
  if (result.status !== 0) throw new Error(`worker-build failed (${result.error ?? `exit ${result.status}`})`);
  strip(outputs[1], env);
  writeFileSync(stamp, digest);
}

/** worker-build keeps the names section, which is a quarter of the file and of no use at the edge. */
function strip(wasm, env) {
  const args = ["--all-features", "--strip-debug", "--strip-producers", wasm, "-o", wasm];
  const result = spawnSync(env.WASM_OPT_BIN, args, { stdio: ["ignore", 2, 2] });
  if (result.status !== 0) throw new Error("wasm-opt could not strip the names");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    build();
  } catch (error) {
    console.error(error.message);
    process.exit(1);
  }
}

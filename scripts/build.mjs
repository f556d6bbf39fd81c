// Builds the Worker with worker-build, unless nothing has changed since the last build.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

import { toolEnvironment } from "./setup.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
/** The Durable Object classes, which are the Worker's only exports besides its handler. */
const OBJECTS = ["RefreshLease", "Metrics"];

/** A digest of everything that a build depends on: these folders and files, and what all builds share. */
function digest(folders, files) {
  const hash = createHash("sha256");
  const found = folders
    .flatMap((source) => readdirSync(source, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  const shared = ["Cargo.toml", "Cargo.lock", "rust-toolchain.toml", "package-lock.json", ".cargo/config.toml"];
  const all = new Set([...found, ...files, ...shared.map((name) => join(root, name)), fileURLToPath(import.meta.url)]);
  for (const file of [...all].sort()) {
    hash.update(file.slice(root.length)).update("\0").update(readFileSync(file)).update("\0");
  }
  return hash.digest("hex");
}

/** Runs a build unless its outputs are there and nothing that they depend on has changed. */
export function unlessUnchanged({ stamp, outputs, folders, files }, make) {
  const now = digest(folders, files);
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === now && outputs.every(existsSync)) return;
  rmSync(stamp, { force: true });
  make();
  writeFileSync(stamp, now);
}

/** Runs a program of the tools, with its output on stderr. */
export function runTool(program, args, { cwd = root, env }) {
  const result = spawnSync(program, args, { cwd, env, stdio: ["ignore", 2, 2] });
  if (result.status !== 0) throw new Error(`${basename(program)} failed (${result.error ?? `exit ${result.status}`})`);
}

const cargoHome = () => process.env.CARGO_HOME || join(homedir(), ".cargo");

/** Builds the Worker in `folder` into `folder/build`. */
export function build(folder = root) {
  const stamp = join(folder, "build", ".stamp");
  const outputs = ["index.js", "index_bg.wasm"].map((name) => join(folder, "build", name));
  const folders = [...new Set([join(root, "src"), join(folder, "src")])];
  unlessUnchanged({ stamp, outputs, folders, files: [join(folder, "Cargo.toml")] }, () => {
    const { paths, env } = toolEnvironment();
    // Paths of this machine do not belong in the module, and take one kilobyte. Crates lie in one folder per registry.
    runTool("cargo", ["fetch", "--locked", "--quiet", "--target", "wasm32-unknown-unknown"], { env });
    const registries = join(cargoHome(), "registry", "src");
    const crates = readdirSync(registries).map((name) => join(registries, name));
    const remap = [...crates, root].map((path) => `--remap-path-prefix=${path}=`);
    const flags = { CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS: remap.join(" ") };
    runTool(paths["worker-build"], ["--release"], { cwd: folder, env: { ...env, ...flags } });
    trim(outputs[0], outputs[1], env);
  });
}

/** The wasm features that wasm-bindgen's code needs, and no others, which the platform may not support yet. */
const FEATURES = [
  "bulk-memory",
  "exception-handling",
  "multivalue",
  "mutable-globals",
  "nontrapping-float-to-int",
  "reference-types",
  "sign-ext",
].map((name) => `--enable-${name}`);

/**
 * Removes what worker-build leaves in the module: its slow path to the handler, the classes that the `worker` crate
 * exports for other Workers (each would be an export of this Worker too), function names, and code that a second
 * optimiser pass can remove.
 */
function trim(script, wasm, env) {
  const names = WebAssembly.Module.exports(new WebAssembly.Module(readFileSync(wasm))).map((it) => it.name);
  const classes = names.map((name) => /^__wbg_([a-z0-9]+)_free$/.exec(name)?.[1]).filter(Boolean);
  const strange = classes.filter((name) => !OBJECTS.map((it) => it.toLowerCase()).includes(name));
  const isStrange = (name) =>
    strange.some((it) => name === `__wbg_${it}_free` || new RegExp(`^(__wbg_[gs]et_)?${it}_`).test(name));
  const graph = names.filter((name) => !isStrange(name)).map((name) => ({ name, export: name, root: true }));
  const file = `${wasm}.graph.json`;
  writeFileSync(file, JSON.stringify(graph));
  // Inline a function with one caller only if it is small: the wasm is larger before gzip, but smaller after it.
  const small = ["-Oz", "--one-caller-inline-max-function-size=20"];
  binaryen("wasm-opt", [...small, "--debuginfo", wasm, "-o", wasm], env);
  binaryen("wasm-metadce", [wasm, "--graph-file", file, "-o", wasm], env);
  // The lowest kilobyte of memory is the end of the stack, so wasm-opt may assume that no address lies in it.
  const passes = [
    "--low-memory-unused",
    "--gufa-optimizing",
    "-Oz",
    ...small,
    "--reorder-functions",
    "--reorder-locals",
  ];
  const strip = ["--strip-debug", "--strip-producers", "--strip-target-features"];
  binaryen("wasm-opt", [...passes, ...strip, wasm, "-o", wasm], env);
  rmSync(file);
  const folder = dirname(script);
  renameSync(script, join(folder, "worker.js"));
  const modules = ["entry.js", "panic_fence.js", "slow_bodies.js"];
  for (const name of modules) copyFileSync(join(root, "src", "worker", name), join(folder, name));
  const externals = ["./index_bg.wasm", "cloudflare:*"].map((it) => `--external:${it}`);
  runTool(
    env.ESBUILD_BIN,
    [
      "entry.js",
      "--bundle",
      "--minify",
      "--format=esm",
      ...externals,
      "--outfile=index.js",
      "--log-level=warning",
      "--log-override:duplicate-object-key=silent",
    ],
    { cwd: folder, env },
  );
  for (const name of ["worker.js", ...modules]) rmSync(join(folder, name));
}

/** Runs one of binaryen's programs. */
export function binaryen(tool, args, env) {
  const program = join(dirname(env.WASM_OPT_BIN), tool);
  const result = spawnSync(program, [...FEATURES, ...args], { stdio: ["ignore", "ignore", 2] });
  if (result.status !== 0) throw new Error(`${tool} failed (${result.error ?? `exit ${result.status}`})`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    build(process.argv[2] ? resolve(process.argv[2]) : root);
  } catch (error) {
    console.error(error.message);
    process.exit(1);
  }
}

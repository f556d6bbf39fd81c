// Builds the Worker, unless nothing has changed since the last build.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

import { MODULE_NAME } from "../src/worker/panic_fence.js";
import { TOOLS, findTool, toolEnvironment } from "./setup.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
/** The Durable Object classes, which are the Worker's only exports besides its handler. */
const OBJECTS = ["RefreshLease", "Metrics"];
/** The Worker's own JavaScript, of which entry.js imports the others; wasm-bindgen takes helpers.js itself. */
const MODULES = ["entry.js", "microtasks.js", "objects.js", "panic_fence.js", "slow_bodies.js"];

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
const targetFolder = () => process.env.CARGO_TARGET_DIR || join(root, "target");

/**
 * Compiles the library of a crate, and runs wasm-bindgen on it.
 *
 * @param {{ folder: string, target: "module" | "web", into: string, name: string, features?: string[] }} options
 *   `folder` is the crate's. `NAME.js` and `NAME_bg.wasm` are written to `into`.
 * @param {NodeJS.ProcessEnv} env
 */
export function compile({ folder, target, into, name, features = [] }, env) {
  const wasmTarget = ["--target", "wasm32-unknown-unknown"];
  // Paths of this machine do not belong in the module, and take one kilobyte. Crates lie in one folder per registry.
  runTool("cargo", ["fetch", "--locked", "--quiet", ...wasmTarget], { env });
  const registries = join(cargoHome(), "registry", "src");
  const crates = readdirSync(registries).map((name) => join(registries, name));
  const remap = [...crates, root].map((path) => `--remap-path-prefix=${path}=`);
  const flags = { CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS: remap.join(" ") };
  const words = ["build", "--locked", "--release", "--lib", ...wasmTarget, ...features];
  runTool("cargo", words, { cwd: folder, env: { ...env, ...flags } });
  const crate = /^name = "([^"]+)"/m.exec(readFileSync(join(folder, "Cargo.toml"), "utf8"))[1];
  const compiled = join(targetFolder(), "wasm32-unknown-unknown", "release", `${crate.replaceAll("-", "_")}.wasm`);
  rmSync(into, { recursive: true, force: true });
  mkdirSync(into, { recursive: true });
  const bindgen = findTool(TOOLS.bindgen());
  if (!bindgen) throw new Error("wasm-bindgen is not installed: npm run build installs it.");
  runTool(bindgen, [target, compiled, into, name], { env });
}

/** Builds the Worker in `folder` into `folder/build`. */
export function build(folder = root) {
  const built = join(folder, "build");
  const outputs = ["index.js", "index_bg.wasm"].map((name) => join(built, name));
  const folders = [...new Set([join(root, "src"), join(folder, "src")])];
  unlessUnchanged({ stamp: join(built, ".stamp"), outputs, folders, files: [join(folder, "Cargo.toml")] }, () => {
    const env = toolEnvironment();
    const staging = join(root, "target", `build-${basename(folder)}`);
    compile({ folder, target: "module", into: staging, name: "index" }, env);
    trim(join(staging, "index_bg.wasm"), env);
    bundle(staging, env);
    mkdirSync(built, { recursive: true });
    for (const file of outputs) copyFileSync(join(staging, basename(file)), file);
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
 * Removes what the deployed module does not need: the classes that the `worker` crate exports for other Workers, function
 * names, and code that the optimiser can remove.
 */
function trim(wasm, env) {
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
  appendFileSync(wasm, nameSection(MODULE_NAME));
}

/** A custom section that names a wasm module, as V8 then does in the stack of a trap. */
function nameSection(name) {
  const text = (/** @type {string} */ it) => [it.length, ...Buffer.from(it)];
  const MODULE_SUBSECTION = 0;
  const subsection = [MODULE_SUBSECTION, 1 + name.length, ...text(name)];
  const content = [...text("name"), ...subsection];
  const CUSTOM = 0;
  return Buffer.from([CUSTOM, content.length, ...content]);
}

/** Bundles wasm-bindgen's module with the Worker's own JavaScript. */
function bundle(folder, env) {
  renameSync(join(folder, "index.js"), join(folder, "wasm.js"));
  for (const name of MODULES) copyFileSync(join(root, "src", "worker", name), join(folder, name));
  const externals = ["./index_bg.wasm", "cloudflare:*"].map((it) => `--external:${it}`);
  runTool(
    env.ESBUILD_BIN,
    [
      "entry.js",
      "--bundle",
      "--minify",
      "--format=esm",
      ...externals,
      "--inject:./microtasks.js",
      "--outfile=index.js",
      "--log-level=warning",
      "--log-override:duplicate-object-key=silent",
    ],
    { cwd: folder, env },
  );
  // The platform gives a compiled module to a plain import, and does not know the source phase.
  const file = join(folder, "index.js");
  writeFileSync(file, readFileSync(file, "utf8").replaceAll(/\bimport source\b/g, "import"));
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

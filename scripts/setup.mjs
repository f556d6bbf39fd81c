// Installs what is missing, and nothing else: npm packages, the wasm target, the three Rust tools, and
// for the tests Chromium and its driver. Runs on any Node from 20 on, before anything is installed.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const started = Date.now();

/** Where the Rust tools live: one folder per version, shared by all checkouts of this user. */
export const toolCache = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "xfetch-edge");
const isWindows = process.platform === "win32";

export function say(text) {
  const seconds = String(Math.round((Date.now() - started) / 1000)).padStart(4);
  console.error(`[setup ${seconds}s] ${text}`);
}

class Missing extends Error {}

function fail(what, command) {
  throw new Missing(`${what}\n  Install it yourself, then start again:\n    ${command}`);
}

function run(command, args, options = {}) {
  return spawnSync(command, args, { cwd: root, encoding: "utf8", shell: isWindows, ...options });
}

function output(command, args) {
  const result = run(command, args);
  return result.status === 0 ? result.stdout.trim() : undefined;
}

function loud(command, args, options = {}) {
  return run(command, args, { stdio: ["ignore", 2, 2], ...options }).status === 0;
}

function version(lock, name) {
  const found = lock.match(new RegExp(`name = "${name}"\\nversion = "([^"]+)"`));
  if (!found) fail(`Cargo.lock names no ${name}.`, "git checkout Cargo.lock");
  return found[1];
}

/** The Rust tools. wasm-bindgen and worker-build must have the versions that the lock file gives for their crates. */
function wanted() {
  const lock = readFileSync(join(root, "Cargo.lock"), "utf8");
  return [
    { crate: "wasm-bindgen-cli", bin: "wasm-bindgen", version: version(lock, "wasm-bindgen") },
    { crate: "worker-build", bin: "worker-build", version: version(lock, "worker") },
    { crate: "wasm-pack", bin: "wasm-pack", version: "0.15.1" },
  ];
}

const suffix = isWindows ? ".exe" : "";
const ownPath = (tool) => join(toolCache, `${tool.crate}-${tool.version}`, "bin", tool.bin + suffix);

/** The path of a tool of exactly the wanted version, or undefined. */
function find(tool) {
  if (existsSync(ownPath(tool))) return ownPath(tool);
  return output(tool.bin, ["--version"])?.includes(tool.version) ? tool.bin : undefined;
}

/** The environment in which worker-build, wasm-pack and cargo find their helpers. */
export function toolEnvironment() {
  const bin = (name) => join(root, "node_modules", ".bin", name);
  const paths = Object.fromEntries(wanted().map((tool) => [tool.bin, find(tool) ?? tool.bin]));
  return {
    paths,
    env: {
      ...process.env,
      WASM_BINDGEN_BIN: paths["wasm-bindgen"],
      WASM_OPT_BIN: bin("wasm-opt"),
      ESBUILD_BIN: bin("esbuild"),
      PATH: `${join(toolCache, `wasm-bindgen-cli-${wanted()[0].version}`, "bin")}:${bin("")}:${process.env.PATH}`,
      WRANGLER_SEND_METRICS: "false",
    },
  };
}

/** Finds a browser's program by its usual names. */
export function findBrowser() {
  const first = (names) => names.find((name) => name && output(name, ["--version"]));
  return {
    chromium: first([process.env.CHROMIUM, "chromium", "chromium-browser", "google-chrome"]),
    chromedriver: first([process.env.CHROMEDRIVER, "chromedriver"]),
  };
}

function setUpNode() {
  const lock = readFileSync(join(root, "package-lock.json"));
  const stamp = createHash("sha256").update(lock).update(process.platform).digest("hex");
  const file = join(root, "node_modules", ".xfetch-stamp");
  if (existsSync(file) && readFileSync(file, "utf8") === stamp) return;
  say("installing npm packages");
  if (!loud("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"])) {
    fail("The npm packages could not be installed.", "npm ci");
  }
  const node = output(join(root, "node_modules", ".bin", "node"), ["--version"]);
  if (!node || Number(node.slice(1).split(".")[0]) < 22) {
    const own = Number(process.versions.node.split(".")[0]);
    if (own < 22) fail("Node 22 or later is needed.", "npm install --global n && n 24");
  }
  writeFileSync(file, stamp);
}

function setUpRust() {
  if (!output("rustup", ["--version"]) || !existsSync(join(root, "rust-toolchain.toml"))) {
    fail("rustup is missing.", "see https://rustup.rs");
  }
  const channel = readFileSync(join(root, "rust-toolchain.toml"), "utf8").match(/channel = "([^"]+)"/)[1];
  if (!output("rustup", ["run", channel, "rustc", "--version"])) {
    say(`installing Rust ${channel}`);
    if (!loud("rustup", ["toolchain", "install", channel, "--profile", "minimal", "-c", "rustfmt", "-c", "clippy"])) {
      fail(`Rust ${channel} could not be installed.`, `rustup toolchain install ${channel}`);
    }
  }
  const target = "wasm32-unknown-unknown";
  if (!output("rustup", ["target", "list", "--installed", "--toolchain", channel])?.includes(target)) {
    say(`adding the target ${target}`);
    if (!loud("rustup", ["target", "add", target, "--toolchain", channel])) {
      fail(`The target ${target} could not be added.`, `rustup target add ${target} --toolchain ${channel}`);
    }
  }
}

/** The path of a Rust tool of exactly this version, built now if it is missing. */
export function installTool(tool, place = "") {
  const found = find(tool);
  if (found) return found;
  say(`building ${tool.crate} ${tool.version} (${place}some minutes, once)`);
  const folder = join(toolCache, `${tool.crate}-${tool.version}`);
  mkdirSync(folder, { recursive: true });
  const args = ["install", `${tool.crate}@${tool.version}`, "--root", folder, "--no-track"];
  const env = { ...process.env, CARGO_TARGET_DIR: join(toolCache, "target") };
  // Try the tool's own lock file first; if the registry lacks one of its versions, try again without it.
  const install = (more) => loud("cargo", [...args, ...more], { env });
  // A set-up that ran at the same time may have built the tool.
  if (!install(["--locked"]) && !existsSync(ownPath(tool)) && !install([])) {
    fail(`${tool.crate} could not be built.`, `cargo install ${tool.crate}@${tool.version}`);
  }
  return ownPath(tool);
}

function setUpTools() {
  const missing = wanted().filter((tool) => !find(tool));
  missing.forEach((tool, index) => installTool(tool, `${index + 1} of ${missing.length}, `));
}

/** Installs packages of Debian. */
export function installDebian(packages) {
  const names = packages.join(" ");
  const command = `sudo sh -c 'apt-get update && apt-get install -y ${names}'`;
  const isRoot = process.getuid?.() === 0;
  const prefix = isRoot ? [] : ["sudo", "-n"];
  if (!output("apt-get", ["--version"]) || (!isRoot && output("sudo", ["-n", "true"]) === undefined)) {
    fail(`Missing: ${names}.`, command);
  }
  say(`installing ${names}`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const apt = (...args) => {
    const [first, ...rest] = [...prefix, "apt-get", "-qq", ...args];
    return loud(first, rest, { env });
  };
  if (!apt("update") || !apt("install", "-y", ...packages)) fail(`Could not be installed: ${names}.`, command);
}

function setUpBrowser() {
  const { chromium, chromedriver } = findBrowser();
  if (!chromium || !chromedriver) installDebian(["chromium", "chromium-driver"]);
}

/** Installs everything that a task needs; false, after a message, if something cannot be installed. */
export function setUp({ browser }) {
  try {
    setUpNode();
    setUpRust();
    setUpTools();
    if (browser) setUpBrowser();
    return true;
  } catch (error) {
    if (!(error instanceof Missing)) throw error;
    console.error(`\n${error.message}\n`);
    return false;
  }
}

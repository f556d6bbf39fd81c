// Installs what a task needs and this machine lacks: npm packages, the wasm target, tools from crates, Debian packages,
// and for the tests Chromium and its driver. Runs on any Node from 20 on, before anything is installed.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { createPlain } from "./steps.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));

/** Where the tools are: one folder per version, shared by all checkouts of this user. */
export const toolCache = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "xfetch-edge");
const isWindows = process.platform === "win32";

/** What a program prints, or undefined if it fails. */
function output(command, args) {
  const result = spawnSync(command, args, { cwd: root, encoding: "utf8", shell: isWindows });
  return result.status === 0 ? result.stdout.trim() : undefined;
}

function version(lock, name) {
  const found = lock.match(new RegExp(`name = "${name}"\\nversion = "([^"]+)"`));
  if (!found) throw new Error(`Cargo.lock names no ${name}: git checkout Cargo.lock`);
  return found[1];
}

/** Tools from crates, which are built when a task needs them. They have the versions of the lock file's crates. */
export const TOOLS = {
  "wasm-bindgen": () => ({ crate: "wasm-bindgen-cli", bin: "wasm-bindgen", version: locked("wasm-bindgen") }),
  "worker-build": () => ({ crate: "worker-build", bin: "worker-build", version: locked("worker") }),
  "wasm-pack": () => ({ crate: "wasm-pack", bin: "wasm-pack", version: "0.15.1" }),
  // The project's own: its version is a digest of its files.
  bindgen: () => ({ crate: "bindgen", bin: "bindgen", version: digest(BINDGEN), path: BINDGEN }),
};
const BINDGEN = join(root, "tools", "bindgen");

function digest(folder) {
  const hash = createHash("sha256");
  for (const name of ["Cargo.toml", "Cargo.lock", join("src", "main.rs")])
    hash.update(readFileSync(join(folder, name)));
  return hash.digest("hex").slice(0, 16);
}

/** The version of a crate in the lock file. */
const locked = (name) => version(readFileSync(join(root, "Cargo.lock"), "utf8"), name);

const suffix = isWindows ? ".exe" : "";
const ownPath = (tool) => join(toolCache, `${tool.crate}-${tool.version}`, "bin", tool.bin + suffix);

/** The path of a tool of exactly this version, or undefined if it is not installed. */
export function findTool(tool) {
  if (existsSync(ownPath(tool))) return ownPath(tool);
  if (tool.path) return undefined;
  return output(tool.bin, ["--version"])?.includes(tool.version) ? tool.bin : undefined;
}

/** The environment in which the tools and cargo find their helpers. */
export function toolEnvironment() {
  const bin = (name) => join(root, "node_modules", ".bin", name);
  return {
    ...process.env,
    WASM_OPT_BIN: bin("wasm-opt"),
    ESBUILD_BIN: bin("esbuild"),
    PATH: `${bin("")}:${process.env.PATH}`,
    WRANGLER_SEND_METRICS: "false",
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

/** @param {import("./steps.mjs").Steps} steps */
async function setUpNode(steps) {
  const lock = readFileSync(join(root, "package-lock.json"));
  const stamp = createHash("sha256").update(lock).update(process.platform).digest("hex");
  const file = join(root, "node_modules", ".xfetch-stamp");
  if (existsSync(file) && readFileSync(file, "utf8") === stamp) return;
  await steps.step("npm packages", async () => {
    const done = await steps.run("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], { cwd: root });
    if (!done) steps.fail("The npm packages could not be installed.", "npm ci");
  });
  const node = output(join(root, "node_modules", ".bin", "node"), ["--version"]);
  if (!node || Number(node.slice(1).split(".")[0]) < 22) {
    const own = Number(process.versions.node.split(".")[0]);
    if (own < 22) steps.fail("Node 22 or later is needed.", "npm install --global n && n 24");
  }
  writeFileSync(file, stamp);
}

/** @param {import("./steps.mjs").Steps} steps */
async function setUpRust(steps) {
  if (!output("rustup", ["--version"])) steps.fail("rustup is missing.", "see https://rustup.rs");
  if (!output("cc", ["--version"])) {
    steps.fail("A C compiler is missing: Rust links its build scripts with it.", "sudo apt-get install gcc libc6-dev");
  }
  const channel = readFileSync(join(root, "rust-toolchain.toml"), "utf8").match(/channel = "([^"]+)"/)[1];
  if (!output("rustup", ["run", channel, "rustc", "--version"])) {
    await steps.step(`Rust ${channel}`, async () => {
      const words = ["toolchain", "install", channel, "--profile", "minimal", "-c", "rustfmt", "-c", "clippy"];
      if (!(await steps.run("rustup", words))) {
        steps.fail(`Rust ${channel} could not be installed.`, `rustup toolchain install ${channel}`);
      }
    });
  }
  const target = "wasm32-unknown-unknown";
  if (!output("rustup", ["target", "list", "--installed", "--toolchain", channel])?.includes(target)) {
    await steps.step(`Rust's target ${target}`, async () => {
      const words = ["target", "add", target, "--toolchain", channel];
      if (!(await steps.run("rustup", words))) {
        steps.fail(`The target ${target} could not be added.`, `rustup ${words.join(" ")}`);
      }
    });
  }
}

/** The path of a tool of exactly this version, which is built now if it is missing. */
export async function installTool(tool, steps = createPlain()) {
  const found = findTool(tool);
  if (found) return found;
  const folder = join(toolCache, `${tool.crate}-${tool.version}`);
  mkdirSync(folder, { recursive: true });
  const source = tool.path ? ["--path", tool.path] : [`${tool.crate}@${tool.version}`];
  // Without optimisation: it halves the time, and each tool runs for seconds.
  const args = ["install", ...source, "--debug", "--root", folder, "--no-track"];
  const env = { ...process.env, CARGO_TARGET_DIR: join(toolCache, "target") };
  // Try the tool's own lock file first; if the registry lacks one of its versions, try again without it.
  const install = (...more) => steps.run("cargo", [...args, ...more], { cwd: root, env });
  await steps.step(`${tool.path ? "wasm-bindgen" : tool.crate}, built once`, async () => {
    // A set-up that ran at the same time may have built the tool.
    if (!(await install("--locked")) && !existsSync(ownPath(tool)) && !(await install())) {
      steps.fail(`${tool.crate} could not be built.`, `cargo install ${source.join(" ")}`);
    }
  });
  return ownPath(tool);
}

/** Installs packages of Debian. */
export async function installDebian(packages, steps = createPlain()) {
  const names = packages.join(" ");
  const command = `sudo sh -c 'apt-get update && apt-get install -y ${names}'`;
  const isRoot = process.getuid?.() === 0;
  const prefix = isRoot ? [] : ["sudo", "-n"];
  if (!output("apt-get", ["--version"]) || (!isRoot && output("sudo", ["-n", "true"]) === undefined)) {
    steps.fail(`Missing: ${names}.`, command);
  }
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const apt = (...args) => {
    const [first, ...rest] = [...prefix, "apt-get", "-qq", ...args];
    return steps.run(first, rest, { env });
  };
  await steps.step(`Debian's ${names}`, async () => {
    if (!(await apt("update")) || !(await apt("install", "-y", ...packages))) {
      steps.fail(`Could not be installed: ${names}.`, command);
    }
  });
}

/** Chromium and its driver. */
export async function setUpBrowser(steps = createPlain()) {
  const { chromium, chromedriver } = findBrowser();
  if (!chromium || !chromedriver) await installDebian(["chromium", "chromium-driver"], steps);
}

/**
 * Installs what every task needs. A task that needs more installs it itself.
 *
 * @param {import("./steps.mjs").Steps} steps
 */
export async function setUp(steps) {
  const rust = async () => {
    await setUpRust(steps);
    await installTool(TOOLS.bindgen(), steps);
  };
  await Promise.all([setUpNode(steps), rust()]);
}

// The public test suite, which is read from a folder: its tests, its origin and its client.

import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

import { freePort } from "../ports.mjs";
import { newFolder, startProgram, tracked } from "./programs.mjs";

/**
 * A test as the suite defines it, with the fields that are read here. Without a `kind` it is required.
 *
 * @typedef {object} Test
 * @property {string} id
 * @property {string} name Markdown
 * @property {"required" | "optimal" | "check"} [kind]
 * @property {boolean} [browser_only]
 * @property {string[]} [depends_on]
 */

/**
 * The results by test: true, or the kind of the failure and its message.
 *
 * @typedef {Record<string, true | [kind: string, message: string]>} Results
 */

const LOOPBACK = new URL("loopback.mjs", import.meta.url).href;
/** The client gives up on a request after 10 s; the whole suite takes two to four minutes. */
const CLIENT_TIMEOUT = 900_000;

/** @param {string} path */
export async function openSuite(path) {
  const folder = resolve(path);
  const index = join(folder, "tests", "index.mjs");
  if (!existsSync(index)) throw new Error(`${folder} holds no tests/index.mjs: --suite names a copy of cache-tests.`);
  if (!existsSync(join(folder, "node_modules", "undici")))
    throw new Error(`The suite's packages are missing:\n  npm install --prefix ${folder}`);
  const groups = (await import(pathToFileURL(index).href)).default;
  const git = spawnSync("git", ["-C", folder, "rev-parse", "--short", "HEAD"], { encoding: "utf8" });
  return {
    folder,
    /** @type {Test[]} */
    tests: groups.flatMap((group) => group.tests),
    commit: git.status === 0 ? git.stdout.trim() : "unknown",
  };
}

/** The suite reads what npm passes on from its command line and its package; both must be set, or npm's own leak in. */
function environment(settings) {
  const all = { protocol: "http", base: "", id: "", ...settings };
  const variables = Object.entries(all).flatMap(([name, value]) => [
    [`npm_config_${name}`, String(value)],
    [`npm_package_config_${name}`, String(value)],
  ]);
  return { ...process.env, NO_COLOR: "1", ...Object.fromEntries(variables) };
}

/** Starts the suite's origin. `isVerbose`: prints what it says. */
export async function startSuiteOrigin(suite, { isVerbose = false } = {}) {
  const port = await freePort();
  const folder = await newFolder();
  const script = join(suite.folder, "test-engine", "server", "server.mjs");
  return startProgram([process.execPath, "--import", LOOPBACK, script], {
    url: `http://127.0.0.1:${port}`,
    folder,
    options: {
      cwd: suite.folder,
      env: environment({ port, pidfile: join(folder, "pid") }),
      stdio: ["ignore", isVerbose ? "inherit" : "ignore", "pipe"],
    },
  });
}

/**
 * Runs the suite's client against a server, and returns what it prints.
 *
 * @param {{ folder: string }} suite
 * @param {string} base
 * @param {string} [id] one test, whose requests and responses are shown as they come
 * @returns {Promise<string>}
 */
async function runClient(suite, base, id) {
  const script = join(suite.folder, "test-engine", "cli.mjs");
  const child = spawn(process.execPath, ["--no-warnings", script], {
    cwd: suite.folder,
    env: environment({ base, id: id ?? "" }),
    stdio: ["ignore", id ? "inherit" : "pipe", "ignore"],
  });
  /** @type {Buffer[]} */
  const parts = [];
  child.stdout?.on("data", (data) => parts.push(data));
  const ended = new Promise((done) => child.once("close", (code, signal) => done(code ?? signal)));
  const stop = tracked(async () => {
    child.kill("SIGTERM");
    await ended;
  });
  const timer = setTimeout(stop, CLIENT_TIMEOUT);
  const code = await ended;
  clearTimeout(timer);
  await stop();
  if (code !== 0) throw new Error(`The suite's client ended with ${code}.`);
  return Buffer.concat(parts).toString();
}

/**
 * Runs all tests against a server.
 *
 * @returns {Promise<Results>}
 */
export async function runSuite(suite, base) {
  const text = await runClient(suite, base);
  return JSON.parse(text.slice(text.search(/^\{/m)));
}

/** Runs one test, and shows its requests and responses. */
export async function runTest(suite, base, id) {
  await runClient(suite, base, id);
}

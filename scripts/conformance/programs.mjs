// Child processes of the conformance run: started in the foreground, ended with the run also on a signal.

import { spawn } from "node:child_process";
import { chmodSync, mkdirSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * A system under test.
 *
 * @typedef {{ url: string, stop: () => Promise<void> }} Running
 */

/** What still runs. */
/** @type {Set<() => Promise<void>>} */
const open = new Set();

/** Wraps the function that stops something, so that `stopAll` calls it and nothing is stopped twice. */
export function tracked(/** @type {() => Promise<unknown>} */ end) {
  const stop = async () => {
    if (open.delete(stop)) await end();
  };
  open.add(stop);
  return stop;
}

/** Stops what still runs, the newest first. */
export async function stopAll() {
  for (const stop of [...open].reverse()) await stop();
}

/**
 * Creates a temporary folder with these folders in it. Everyone may write to them, because some servers that are
 * started as root continue as another user.
 *
 * @param {string[]} names
 */
export async function newFolder(...names) {
  const folder = await mkdtemp(join(tmpdir(), "xfetch-conformance-"));
  for (const name of names) mkdirSync(join(folder, name), { recursive: true });
  for (const name of ["", ...names]) chmodSync(join(folder, name), 0o777);
  return folder;
}

async function untilReachable(url, child) {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error(`${child.spawnfile} ended`);
    const answer = await fetch(url).catch(() => undefined);
    await answer?.arrayBuffer();
    if (answer && answer.status < 500) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`${child.spawnfile} does not answer at ${url}`);
}

/**
 * Starts a program that stays in the foreground, and waits until it answers. Its `folder` is removed when it stops.
 *
 * @param {string[]} words
 * @param {{ url: string, folder?: string, options?: import("node:child_process").SpawnOptions }} use
 * @returns {Promise<Running>}
 */
export async function startProgram(words, { url, folder, options = {} }) {
  const child = spawn(words[0], words.slice(1), { stdio: ["ignore", "pipe", "pipe"], ...options });
  /** @type {string[]} */
  const said = [];
  for (const stream of [child.stdout, child.stderr])
    stream?.on("data", (data) => {
      said.push(String(data));
      if (said.length > 100) said.shift();
    });
  const ended = new Promise((resolve) => child.once("close", resolve));
  child.once("error", (error) => said.push(error.message));
  const stop = tracked(async () => {
    child.kill("SIGTERM");
    const patience = setTimeout(() => child.kill("SIGKILL"), 10_000);
    await ended;
    clearTimeout(patience);
    if (folder) await rm(folder, { recursive: true, force: true });
  });
  try {
    await untilReachable(url, child);
  } catch (error) {
    await stop();
    throw new Error(`${/** @type {Error} */ (error).message}: ${said.join("").slice(-2_000)}`);
  }
  return { url, stop };
}

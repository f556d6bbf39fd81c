// Counts the instructions of the pure decisions by callgrind. A program has the same count whatever the load of the
// machine. The counts are compared with bench/instructions.json; `--accept` overwrites that file.

import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { toolEnvironment } from "../scripts/setup.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const FILE = join(root, "bench", "instructions.json");
/** Libraries of the C compiler and the system differ a little between machines. */
const TOLERANCE = 0.05;
const ROUNDS = [200, 1_200];

function output(command, args, env = {}) {
  const result = spawnSync(command, args, {
    cwd: root,
    encoding: "utf8",
    env: { ...toolEnvironment(), ...env },
    maxBuffer: 1 << 26,
  });
  if (result.status !== 0) throw new Error(`${command} failed: ${result.error ?? result.stderr.slice(-2_000)}`);
  return result;
}

/** Builds the benchmark's program, and returns its path. */
export function program() {
  const { stdout } = output("cargo", [
    "bench",
    "--bench",
    "core",
    "--no-default-features",
    "--no-run",
    "--message-format=json",
  ]);
  const messages = stdout
    .split("\n")
    .filter((it) => it.startsWith("{"))
    .map((it) => JSON.parse(it));
  return messages.findLast((it) => it.executable && it.target.name === "core").executable;
}

/** Instructions per decision of each case: the difference of two runs, which excludes the program's start. */
export function count(core) {
  const cases = output(core, ["--cases"]).stdout.trim().split("\n");
  const total = (name, rounds) => {
    const { stderr } = output("valgrind", [
      "--tool=callgrind",
      "--callgrind-out-file=/dev/null",
      core,
      "--rounds",
      name,
      String(rounds),
    ]);
    return Number(/Collected : (\d+)/.exec(stderr)[1]);
  };
  return Object.fromEntries(
    cases.map((name) => [
      name,
      Math.round((total(name, ROUNDS[1]) - total(name, ROUNDS[0])) / (ROUNDS[1] - ROUNDS[0])),
    ]),
  );
}

/** Compares counts with the accepted ones; `worse` has those above the tolerance. */
export function compare(counted) {
  const accepted = JSON.parse(readFileSync(FILE, "utf8"));
  const lines = Object.entries(counted).map(([name, now]) => ({
    name,
    now,
    accepted: accepted[name],
    ratio: now / accepted[name],
  }));
  return { lines, worse: lines.filter((it) => !(it.ratio <= 1 + TOLERANCE && it.ratio >= 1 - 4 * TOLERANCE)) };
}

export const accept = (counted) => writeFileSync(FILE, `${JSON.stringify(counted, null, 1)}\n`);

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const counted = count(program());
  if (process.argv.includes("--accept")) accept(counted);
  const { lines, worse } = compare(counted);
  for (const { name, now, accepted, ratio } of lines)
    console.log(
      `${name.padEnd(10)} ${String(now).padStart(8)} instructions, accepted ${String(accepted).padStart(8)}, ratio ${ratio.toFixed(2)}`,
    );
  if (worse.length > 0) {
    console.error(
      `More than accepted: ${worse.map((it) => it.name).join(", ")}. If it is meant: node bench/instructions.mjs --accept`,
    );
    process.exit(1);
  }
}

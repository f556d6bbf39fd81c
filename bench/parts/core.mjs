// `core`: the pure decisions natively, in nanoseconds by divan and in instructions by callgrind.

import { spawnSync } from "node:child_process";

import { compare, count, program } from "../instructions.mjs";
import { fixed, table } from "../table.mjs";

export async function run() {
  const core = program();
  const timed = spawnSync(core, [], { encoding: "utf8" });
  console.log(timed.stdout);
  const { lines } = compare(count(core));
  table(
    ["", "instructions", "accepted", "ratio"],
    lines.map((it) => [it.name, it.now, it.accepted, fixed(it.ratio, 2)]),
  );
  return { divan: timed.stdout, instructions: lines };
}

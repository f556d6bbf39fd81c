// `npm run fuzz -- [TARGET…] --minutes N`: runs the targets of `cargo test --test fuzz` with coverage guidance, by
// bolero's libFuzzer on the stable compiler. New inputs stay in target/fuzz; with `--keep` the corpus, reduced to the
// inputs that add coverage, replaces the committed one. Exit code 1: a target crashed. Add the file with the crashing
// input to the committed corpus.

import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { toolEnvironment } from "./setup.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const TARGETS = ["key", "entry", "settings", "fields", "message"];
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { minutes: { type: "string", default: "1" }, keep: { type: "boolean", default: false } },
});
const minutes = Number(values.minutes);
const unknown = positionals.find((name) => !TARGETS.includes(name));
if (unknown || !(minutes > 0 && minutes <= 24 * 60)) {
  console.error(`npm run fuzz -- [${TARGETS.join(" | ")}] --minutes N (above 0, at most 1440) [--keep]`);
  process.exit(2);
}
const coverage = ["inline-8bit-counters", "level=4", "pc-table", "trace-compares"].map(
  (it) => `-Cllvm-args=-sanitizer-coverage-${it}`,
);
const env = {
  ...toolEnvironment(),
  // Every release of the compiler contains the coverage pass, but accepts its name only with this variable.
  RUSTC_BOOTSTRAP: "1",
  RUSTFLAGS: [
    "--cfg fuzzing --cfg fuzzing_libfuzzer -Cpasses=sancov-module -Ccodegen-units=1 -Cdebug-assertions",
    ...coverage,
  ].join(" "),
  CARGO_TARGET_DIR: join(root, "target", "fuzz"),
  BOLERO_FUZZER: "libfuzzer",
};
// With `--target`, RUSTFLAGS do not apply to build scripts and macros, which are then compiled without coverage.
const host = /host: (\S+)/.exec(spawnSync("rustc", ["-vV"], { encoding: "utf8", env }).stdout)[1];
const built = spawnSync(
  "cargo",
  ["test", "--target", host, "--test", "fuzz", "--no-default-features", "--no-run", "--message-format=json"],
  { cwd: root, env, encoding: "utf8", stdio: ["ignore", "pipe", 2], maxBuffer: 1 << 26 },
);
if (built.status !== 0) process.exit(1);
const program = built.stdout
  .split("\n")
  .filter((it) => it.startsWith("{"))
  .map((it) => JSON.parse(it))
  .findLast((it) => it.executable && it.target.name === "fuzz").executable;

let crashed = 0;
for (const name of positionals.length > 0 ? positionals : TARGETS) {
  const committed = join(root, "tests", "__fuzz__", name, "corpus");
  const [corpus, crashes, reduced] = ["corpus", "crashes", "reduced"].map((it) =>
    join(root, "target", "fuzz", name, it),
  );
  for (const folder of [corpus, crashes]) mkdirSync(folder, { recursive: true });
  if (existsSync(committed)) cpSync(committed, corpus, { recursive: true });
  const run = (...args) =>
    spawnSync(program, [name, "--exact", "--nocapture", "--quiet", "--test-threads", "1"], {
      cwd: root,
      env: {
        ...env,
        BOLERO_TEST_NAME: name,
        BOLERO_LIBFUZZER_ARGS: [...args, `-artifact_prefix=${crashes}/`].join(" "),
      },
      encoding: "utf8",
      maxBuffer: 1 << 28,
    });
  const fuzzed = run(
    corpus,
    "-max_len=512",
    `-max_total_time=${Math.round(minutes * 60)}`,
    "-timeout=10",
    "-print_final_stats=1",
  );
  const executed = /number_of_executed_units:\s*(\d+)/.exec(fuzzed.stderr)?.[1] ?? "?";
  const covered = [...fuzzed.stderr.matchAll(/cov: (\d+) ft: (\d+)/g)].at(-1)?.slice(1) ?? ["?", "?"];
  const found = readdirSync(crashes);
  console.log(
    `${name.padEnd(9)} ${executed} inputs in ${minutes} min, ${covered[0]} edges, ${covered[1]} features, ${readdirSync(corpus).length} in the corpus${found.length > 0 ? `, CRASHES: ${found.join(", ")}` : ""}`,
  );
  if (found.length > 0 || fuzzed.status !== 0) {
    crashed += 1;
    console.error(fuzzed.stderr.slice(-3_000));
  }
  if (values.keep && found.length === 0) {
    rmSync(reduced, { recursive: true, force: true });
    mkdirSync(reduced, { recursive: true });
    run("-merge=1", reduced, corpus);
    rmSync(committed, { recursive: true, force: true });
    mkdirSync(committed, { recursive: true });
    cpSync(reduced, committed, { recursive: true });
    console.log(`${" ".repeat(9)} ${readdirSync(committed).length} kept`);
  }
}
process.exit(crashed === 0 ? 0 : 1);

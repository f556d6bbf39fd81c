// `npm run mutate`: makes each known mistake, one at a time, in a copy of the project, and reports which native
// tests notice it. With `--each [WORD…]` it takes the mistakes whose names contain a word, and reports separately
// whether the simulator, the search and the other tests notice them. With `--worker [WORD…]` it builds the Worker with
// each of them, and reports which tests against real workerd notice it. With `--generated [FILE…]` it makes the mistakes
// that cargo-mutants finds in the pure files: first against the quick tests, and the survivors against all. Run by hand;
// exit code 1 if a mistake survives.

import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { installTool, toolEnvironment } from "./setup.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));

/** The test modules that take seconds; the statistics of the theory and the search take longer. */
const QUICK = [
  "access",
  "traces",
  "exchanges",
  "promises",
  "structure",
  "properties",
  "key_memo",
  "formats",
  "config",
  "http",
  "json",
  "state",
  "tasks",
  "metrics",
  "units",
  "simulation",
];

/** Each mistake: its name, the file, the correct code, and the code that replaces it. */
const MISTAKES = [
  [
    "delta = TTL",
    "src/core/freshness.rs",
    "xfetch::clamp_delta(entry.delta, entry.lifetime.ttl)",
    "xfetch::clamp_delta(entry.lifetime.ttl, entry.lifetime.ttl)",
  ],
  [
    "delta in whole seconds",
    "src/core/freshness.rs",
    "xfetch::clamp_delta(entry.delta, entry.lifetime.ttl)",
    "xfetch::clamp_delta(Span(entry.delta.0 / 1_000 * 1_000), entry.lifetime.ttl)",
  ],
  ["beta ignored", "src/core/xfetch.rs", "-(rule.delta.0 as f64) * rule.beta * draw", "-(rule.delta.0 as f64) * draw"],
  [
    "a key without its partition",
    "src/core/key.rs",
    "let elements = partition.into_iter().chain([",
    "let elements = partition.filter(|_| false).into_iter().chain([",
  ],
  [
    "a client without a tenant in the partition of all",
    "src/core/access/partition.rs",
    "Self::Tenant => Kind::Tenant(Arc::clone(identity.tenant.as_ref()?)),",
    "Self::Tenant => identity.tenant.clone().map_or(Kind::Shared, Kind::Tenant),",
  ],
  [
    "a token that never expires",
    "src/core/access/jwt.rs",
    "if now >= expiry {",
    "if now >= expiry && rules.leeway > Span::DAY {",
  ],
  [
    "a token of any algorithm",
    "src/core/access/jwt.rs",
    "let algorithm = allowed.iter().copied().find(|it| it.as_str() == algorithm);",
    "let algorithm = Algorithm::parse(algorithm).filter(|_| !allowed.is_empty());",
  ],
  [
    "a key of any name verifies",
    "src/core/access/key_set.rs",
    "(Some(own), Some(asked)) => own == asked,",
    "(Some(own), Some(asked)) => own == asked || !asked.is_empty(),",
  ],
  [
    "a digest without the secret",
    "src/core/access/digest.rs",
    "Hmac::<Sha256>::new_from_slice(self.0.as_bytes())",
    "Hmac::<Sha256>::new_from_slice(&self.0.as_bytes()[..0])",
  ],
  [
    "a client that is known for ever",
    "src/isolate/identities.rs",
    "(known.client == client && now < known.until)",
    "(known.client == client && now.0 > 0)",
  ],
  [
    "an entry answers every variant",
    "src/isolate/request.rs",
    "found.filter(|entry| !context.subject.is_answered_by(entry))?;",
    "found.filter(|_| false)?;",
  ],
  [
    "the fallback of another variant",
    "src/isolate/request.rs",
    "MissOutcome::Collapsed(entry) | MissOutcome::Hit(entry) | MissOutcome::Fallback(entry) =",
    "MissOutcome::Collapsed(entry) | MissOutcome::Hit(entry) =",
  ],
  [
    "a validation costs as little as it takes",
    "src/isolate/refresh.rs",
    "Some(known) if computed.is_renewal => known,",
    "Some(known) if computed.is_renewal && known == Span::ZERO => known,",
  ],
  [
    "the age of an answer is forgotten",
    "src/isolate/refresh.rs",
    "stored_at: computed.at.minus(computed.age),",
    "stored_at: computed.at,",
  ],
  [
    "a variant below its key's floor",
    "src/isolate/state.rs",
    "if may_cache && floor.highest() > 0 {",
    "if may_cache && floor.highest() > u64::MAX - 1 {",
  ],
  [
    "the probability inverted",
    "src/core/xfetch.rs",
    "draw.value().ln() >= remaining.0 as f64",
    "draw.value().ln() < remaining.0 as f64",
  ],
  [
    "ln(0)",
    "src/core/xfetch.rs",
    "Self(((bits >> 11) + 1) as f64 * STEP)",
    "Self(if bits >> 11 == 0 { 0.0 } else { ((bits >> 11) + 1) as f64 * STEP })",
  ],
  ["a draw in [0, 1)", "src/core/xfetch.rs", "((bits >> 11) + 1) as f64 * STEP", "(bits >> 11) as f64 * STEP"],
  [
    "the re-check by freshness",
    "src/protocol/lease.rs",
    "it.generation > seen && !it.is_gone(now)",
    "now < it.stored_at.plus(it.lifetime.ttl)",
  ],
  [
    "the check before the lock by freshness",
    "src/isolate/refresh.rs",
    "found.filter(|entry| entry.generation > self.subject.seen)",
    "found.filter(|entry| entry.expiry() > entry.stored_at)",
  ],
  [
    "no re-check inside the lock",
    "src/protocol/lease.rs",
    "if let Some(newer) = self.newer(seen, now) {\n            return newer;\n        }\n        if let Some(grant)",
    "if let Some(grant)",
  ],
  [
    "a commit accepted with an old token",
    "src/protocol/lease.rs",
    "self.grant.as_ref().map(|grant| grant.token) != Some(token) || token <= self.floor.highest()",
    "self.grant.is_none() || token <= self.floor.highest()",
  ],
  [
    "a commit accepted below the floor, its grant open",
    "src/protocol/lease.rs",
    "let floor = self.next_token(0, now);\n        self.grant = None;",
    "let floor = self.next_token(0, now);",
  ],
  [
    "release without checking the holder",
    "src/protocol/lease.rs",
    "if self.grant.as_ref().map(|grant| grant.token) != Some(token) {\n            return",
    "if self.grant.is_none() {\n            return",
  ],
  [
    "physical lifetime = TTL",
    "src/core/entry.rs",
    "self.ttl.plus(self.stale_while_revalidate.max(self.stale_if_error))",
    "self.ttl",
  ],
  [
    "an outer tier stores a stale answer as fresh",
    "src/core/entry.rs",
    "self.stored_at = now.minus(age);",
    "self.stored_at = now;",
  ],
  [
    "a clock read inside a pure file",
    "src/core/freshness.rs",
    "let expiry = entry.expiry();",
    "let expiry = entry.expiry();\n    let _ = std::time::SystemTime::now();",
  ],
  [
    "a purge that does not wake",
    "src/protocol/lease.rs",
    "(Answer::Purged, Wake::With(Answer::Again))",
    "(Answer::Purged, Wake::Nobody)",
  ],
  ["a mark without an end", "src/isolate/refresh_gate.rs", "self.since.covers(self.length, now)", "self.since <= now"],
  ["a cold request that always sends 0", "src/isolate/miss.rs", "self.seen = self.seen.max(entry.generation);", ""],
  [
    "an older entry overwrites a newer one",
    "src/core/entry.rs",
    "std::cmp::Ordering::Less => false",
    "std::cmp::Ordering::Less => true",
  ],
  ["a waiting request that ignores a purge", "src/isolate/miss.rs", "self.floor = self.floor.raised(floor);", ""],
  [
    "an entry in hand ignored after the colo lookup",
    "src/isolate/state.rs",
    "in_hand.filter(is_servable).or(newest)",
    "newest",
  ],
  ["a purge floor that leaves the refresh mark", "src/isolate/state.rs", "self.gate.forget(&hash);", ""],
  [
    "the global rate ignored",
    "src/core/freshness.rs",
    "own.max(f64::from(told) / 1e3)",
    "own.max(f64::from(told) * 0.0)",
  ],
  ["a rate share that never expires", "src/core/global_rate.rs", "record[SHARE_BYTES] -= 1;", "let _ = &record;"],
  [
    "a sleep measured by instants",
    "src/isolate/holder_wait.rs",
    "self.retry_in.minus(self.waited(now))",
    "self.since.plus(self.retry_in).since(now)",
  ],
  ["reports without a rate always counted", "src/core/global_rate.rs", " && rate_of(it) == 0", ""],
  [
    "the window of auto not narrowed",
    "src/core/xfetch.rs",
    "const AUTO_WINDOW: f64 = 2.5;",
    "const AUTO_WINDOW: f64 = 2_500.0;",
  ],
  [
    "a group of waiters that never expires",
    "src/isolate/coalesce.rs",
    "self.since.covers(self.length, now)",
    "self.since <= now",
  ],
  [
    "waiters woken by the result of earlier work",
    "src/isolate/coalesce.rs",
    "group.owner != owner",
    "group.owner < owner",
  ],
  ["a purged entry served from a shared lookup", "src/isolate/state.rs", "in_colo.and_then(left)", "in_colo"],
  [
    "a clock hand that stops before two full rounds",
    "src/isolate/memory.rs",
    "0..2 * (self.slots.len() + 1)",
    "0..=2 * self.slots.len()",
  ],
  [
    "a rejected entry stored all the same",
    "src/isolate/refresh.rs",
    "Some(RefreshOutcome::Stored(entry)) => RefreshAction::End(RefreshOutcome::Rejected(entry)),",
    "Some(RefreshOutcome::Stored(entry)) => self.store(Arc::clone(&entry), RefreshOutcome::Rejected(entry)),",
  ],
  [
    "a commit that ignores the age of its entry",
    "src/protocol/lease.rs",
    "stored_at: now.minus(age), lifetime",
    "stored_at: now, lifetime",
  ],
  ["a lease longer than the maximum", "src/protocol/lease.rs", "request.lease.min(MAX_LEASE)", "request.lease"],
  [
    "a soft purge that leaves the object its TTL",
    "src/protocol/lease.rs",
    "committed.lifetime.ttl = committed.lifetime.ttl.min(age);",
    "let _ = age;",
  ],
  [
    "an overloaded object asked again",
    "src/isolate/miss.rs",
    "MissEvent::WaitBroken { is_overloaded: true } => self.led(RefreshOutcome::ObjectLost, now),",
    "MissEvent::WaitBroken { is_overloaded: true } => MissAction::LookAround,",
  ],
  [
    "a refresh mark of another owner replaced",
    "src/isolate/refresh_gate.rs",
    "self.marks.get(&key).is_none_or(|held| held.owner == mark.owner)",
    "!self.marks.is_empty() || mark.owner > 0",
  ],
  [
    "stored bytes of another key",
    "src/protocol/entry_format.rs",
    "if head.key != key {",
    "if head.key.len() != key.len() {",
  ],
  [
    "a Cache-Control read past a broken quote",
    "src/core/http/storing.rs",
    "without_arguments(field).is_none_or(",
    "without_arguments(field).is_some_and(",
  ],
  [
    "a lease that survives a clock stepping back",
    "src/core/time.rs",
    "self <= now && now < self.plus(length)",
    "now < self.plus(length)",
  ],
  [
    "a refused wait uses up the call without a lease",
    "src/isolate/refresh_task.rs",
    "let may_compute = is_acquire\n                    && self.refresh",
    "let may_compute = self.refresh",
  ],
  [
    "a late grant kept",
    "src/isolate/background.rs",
    "Answer::Granted { token } => {",
    "Answer::Granted { token } if token == 0 => {",
  ],
  [
    "no second try after a restart of the object",
    "src/isolate/exchange.rs",
    "error == ObjectError::Retryable && may_repeat",
    "error == ObjectError::Overloaded && may_repeat",
  ],
  [
    "a purge floor not written into the colo",
    "src/isolate/exchange.rs",
    "        if is_news || matches!(reply.answer, Answer::Purged) {\n            self.reply",
    "        if matches!(reply.answer, Answer::Purged) {\n            self.reply",
  ],
  [
    "a write into the colo without a look",
    "src/isolate/colo_store.rs",
    "let held = context.record(bytes.as_deref());",
    "let held = crate::protocol::colo_record::ColoRecord::default();\n        let _ = bytes;",
  ],
  ["a waiter never woken", "src/isolate/share.rs", "waiters.into_iter().map", "waiters.into_iter().skip(1).map"],
  [
    "a purge that leaves the marks",
    "src/isolate/background.rs",
    "context.isolate.gate.forget(&context.subject.key.hash);",
    "",
  ],
  ["patience that never shrinks", "src/isolate/miss_task.rs", "self.patience = self.patience.minus(waited);", ""],
  [
    "the limit of origin calls ignored",
    "src/isolate/refresh_task.rs",
    "if !context.isolate.has_room(route) {",
    "if false && !context.isolate.has_room(route) {",
  ],
  [
    "a fallback past its window",
    "src/isolate/request.rs",
    "left.filter(|entry| entry.is_usable_on_error(now))",
    "left",
  ],
  [
    "sleepers that a commit does not wake",
    "src/protocol/object.rs",
    "if let Wake::With(answer) = wake {",
    "if let Wake::With(answer @ Answer::Failed { .. }) = wake {",
  ],
  ["an alarm for each message", "src/protocol/object.rs", "stored.alarm_at.is_none_or(|at| at <= now)", "true"],
  [
    "corruption of a head not noticed",
    "src/protocol/codec.rs",
    "is_whole.then_some((head, body))",
    "(is_whole || true).then_some((head, body))",
  ],
];

const [mode, ...names] = process.argv.slice(2);
if (mode === "--generated") process.exit(await generated(names));
if (mode !== undefined && mode !== "--each" && mode !== "--worker") {
  console.error("npm run mutate [-- --each [WORD…] | -- --worker [WORD…] | -- --generated [FILE…]]");
  process.exit(2);
}

/** Two passes of cargo-mutants: the mistakes that survive the quick tests are tried again with all native tests. */
async function generated(files) {
  const tool = await installTool({ crate: "cargo-mutants", bin: "cargo-mutants", version: "27.1.0" });
  const output = join(root, "target");
  // By name: `--file` would only add to the globs of .cargo/mutants.toml.
  const chosen = files.flatMap((file) => ["--re", `^${file.replaceAll(".", "\\.")}:`]);
  const pass = (...more) => {
    const env = { ...toolEnvironment(), CARGO_PROFILE_TEST_OPT_LEVEL: "1" };
    return spawnSync(tool, ["mutants", "--output", output, "--timeout", "300", ...chosen, ...more], {
      cwd: root,
      env,
      stdio: "inherit",
    }).status;
  };
  const quick = pass("--", "--", ...QUICK);
  return quick === 0 ? 0 : pass("--iterate");
}

const copy = mkdtempSync(join(tmpdir(), "xfetch-mutate-"));
const skipped = new Set(["target", "build", "node_modules", ".git", ".wrangler"]);
cpSync(root, copy, { recursive: true, filter: (source) => !skipped.has(source.slice(root.length).split("/").at(0)) });
symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
const env = { ...toolEnvironment(), CARGO_TARGET_DIR: join(root, "target", "mutate") };

/** Runs the native tests of these modules; a hanging one ends after five minutes. */
const run = (...filters) =>
  spawnSync("cargo", ["test", "--test", "native", "--", ...filters], {
    cwd: copy,
    env,
    encoding: "utf8",
    timeout: 300_000,
  });

/** The tests against real workerd that follow entries through the protocol. */
const WORKER_TESTS = ["decisions", "protocol", "faults"].map((name) => join("tests", "worker", `${name}.test.mjs`));

/** Builds the Worker in the copy, and runs these tests. */
function testWorker() {
  const options = { cwd: copy, env, encoding: /** @type {const} */ ("utf8"), timeout: 900_000 };
  const built = spawnSync(process.execPath, ["scripts/build.mjs"], options);
  if (built.status !== 0) return { ...built, failed: [] };
  // The copy has no build of the template, which is another Worker.
  const words = ["--test", "--test-skip-pattern=in another Worker", ...WORKER_TESTS];
  const result = spawnSync(process.execPath, words, options);
  const failed = [...result.stdout.matchAll(/^test at (\S+):\d+:\d+\n✖ (.+) \([\d.]+ms\)$/gm)].map(
    ([, , name]) => name,
  );
  return { ...result, failed };
}

/** Runs the quick tests, and the slow ones only if the quick ones pass. */
function test() {
  const quick = run(...QUICK);
  return quick.status === 0 ? run("theory", "search") : quick;
}

const failures = (result) => [...result.stdout.matchAll(/^test (\S+) \.\.\. FAILED$/gm)].map(([, name]) => name);

/** Describes which tests notice the mistake in the copy, and tells whether any test does. */
function noticed() {
  if (mode === "--worker") {
    const { failed } = testWorker();
    return failed.length > 0 ? [`noticed by ${failed.length}: ${failed[0]}`, true] : ["SURVIVES", false];
  }
  if (mode === "--each") {
    const parts = { simulator: ["simulation"], search: ["search"], others: QUICK.filter((it) => it !== "simulation") };
    const counts = Object.entries(parts).map(([part, filters]) => {
      const result = run(...filters);
      return { part, count: failures(result).length, isEndless: result.error !== undefined };
    });
    const words = counts.map(({ part, count, isEndless }) => `${part} ${isEndless ? "without an end" : count}`);
    return [words.join(", "), counts.some(({ count }) => count > 0)];
  }
  const result = test();
  const names = failures(result);
  if (names.length > 0) return [`noticed by ${names.length}: ${names.slice(0, 3).join(", ")}`, true];
  return [result.status === 0 ? "SURVIVES" : "does not compile or hangs", false];
}

const chosen = MISTAKES.filter(([name]) => names.length === 0 || names.some((word) => name.includes(word)));
let survivors = 0;
try {
  const modules = readFileSync(join(root, "tests/native/main.rs"), "utf8");
  const unknown = [...QUICK, "theory", "search"].filter((name) => !modules.includes(`mod ${name};`));
  if (unknown.length > 0) throw new Error(`No module of the native tests has this name: ${unknown.join(", ")}`);
  const sound = mode === "--worker" ? testWorker() : test();
  if (sound.status !== 0)
    throw new Error(`The tests fail without a mistake:\n${sound.stdout.slice(-2_000)}${sound.stderr.slice(-2_000)}`);
  for (const [name, file, right, wrong] of chosen) {
    const path = join(copy, file);
    const text = readFileSync(path, "utf8");
    if (!text.includes(right)) throw new Error(`${name}: ${file} no longer contains ${JSON.stringify(right)}`);
    writeFileSync(path, text.replace(right, wrong));
    const [verdict, isNoticed] = noticed();
    writeFileSync(path, text);
    if (!isNoticed) survivors += 1;
    console.log(`${name.padEnd(50)} ${verdict}`);
  }
} finally {
  rmSync(copy, { recursive: true, force: true });
}
console.log(
  survivors === 0
    ? `\nAll ${chosen.length} mistakes are noticed.`
    : `\n${survivors} of ${chosen.length} are not noticed by a failing test.`,
);
process.exit(survivors === 0 ? 0 : 1);

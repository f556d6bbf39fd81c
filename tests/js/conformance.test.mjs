import assert from "node:assert/strict";
import { test } from "node:test";

import { failures, passedWithDependencies, score, uncounted } from "../../scripts/conformance/score.mjs";

/** @type {import("../../scripts/conformance/suite.mjs").Test[]} */
const TESTS = [
  { id: "base", name: "a check that others depend on", kind: "check" },
  { id: "middle", name: "required by default", depends_on: ["base"] },
  { id: "leaf", name: "depends on the check through another", kind: "optimal", depends_on: ["middle"] },
  { id: "alone", name: "depends on nothing", kind: "required" },
  { id: "browser", name: "never runs on a proxy", kind: "required", browser_only: true },
];
/** @type {import("../../scripts/conformance/suite.mjs").Results} */
const RESULTS = { base: ["Assertion", "no"], middle: true, leaf: true, alone: true };

test("a pass counts only if all tests that it depends on pass, transitively", () => {
  assert.deepEqual([...passedWithDependencies(TESTS, RESULTS)], ["alone"]);
  assert.equal(passedWithDependencies(TESTS, { ...RESULTS, base: true }).size, 4);
  assert.deepEqual(uncounted(TESTS, RESULTS, "optimal"), [{ test: TESTS[2], because: ["middle"] }]);
});

test("browser-only tests are not counted, and passes of a null cache are not beyond it", () => {
  const { required, optimal, beyond } = score(TESTS, RESULTS, { alone: true });
  assert.deepEqual(required, { of: 2, raw: 2, depending: 1 });
  assert.deepEqual(optimal, { of: 1, raw: 1, depending: 0 });
  assert.deepEqual(beyond, { of: 1, raw: 1 });
  assert.equal(score(TESTS, RESULTS).beyond, undefined);
});

test("each result that is not a pass has the suite's name for it", () => {
  const outcome = (result) => failures(TESTS, { ...RESULTS, alone: result }, "required")[0].outcome;
  assert.equal(outcome(undefined), "untested");
  assert.equal(outcome(["Setup", "retry"]), "retried");
  assert.equal(outcome(["Setup", "Response 1 status is 501, not 200"]), "setup failure");
  assert.equal(outcome(["Assertion", "Response 2 comes from cache"]), "failed");
  assert.equal(outcome(["TypeError", "fetch failed"]), "harness failure");
});

// Counts the suite's results, as the suite defines them. Pure functions.

/**
 * @typedef {import("./suite.mjs").Test} Test
 * @typedef {import("./suite.mjs").Results} Results
 * @typedef {{ of: number, raw: number, depending: number }} Count
 * @typedef {{ test: Test, outcome: string, message: string }} Failure
 */

/** Questions that are answered by tests: yes, if all of them pass. */
export const QUESTIONS = {
  "SWR, its window": ["stale-while-revalidate", "stale-while-revalidate-window"],
  "SIE on 503": ["stale-sie-503"],
  "SIE on close": ["stale-sie-close"],
  "CDN-Cache-Control": ["cdn-max-age"],
};

export const kindOf = (/** @type {Test} */ test) => test.kind ?? "required";

/** The tests of one kind that the client runs against a proxy. */
export const onProxies = (/** @type {Test[]} */ tests, kind) =>
  tests.filter((test) => !test.browser_only && kindOf(test) === kind);

/**
 * The tests that pass together with all tests that they depend on.
 *
 * @param {Test[]} tests
 * @param {Results} results
 * @returns {Set<string>}
 */
export function passedWithDependencies(tests, results) {
  const byId = new Map(tests.map((test) => [test.id, test]));
  /** @type {Map<string, boolean>} */
  const known = new Map();
  const passes = (id) => {
    if (!known.has(id)) {
      known.set(id, false);
      known.set(id, results[id] === true && (byId.get(id)?.depends_on ?? []).every(passes));
    }
    return known.get(id);
  };
  return new Set(tests.map((test) => test.id).filter(passes));
}

/**
 * @param {Test[]} tests
 * @param {Results} results
 * @param {Results} [none] the results of a proxy without a cache
 */
export function score(tests, results, none) {
  const whole = passedWithDependencies(tests, results);
  const passes = (test) => results[test.id] === true;
  /** @returns {Count} */
  const count = (kind) => {
    const chosen = onProxies(tests, kind);
    return {
      of: chosen.length,
      raw: chosen.filter(passes).length,
      depending: chosen.filter((test) => whole.has(test.id)).length,
    };
  };
  const beyond = none && onProxies(tests, "required").filter((test) => none[test.id] !== true);
  return {
    required: count("required"),
    optimal: count("optimal"),
    beyond: beyond && { of: beyond.length, raw: beyond.filter(passes).length },
    answers: Object.values(QUESTIONS).map((ids) => ids.every((id) => results[id] === true)),
  };
}

/** What the suite calls a result that is not a pass. */
function outcome(result) {
  if (result === undefined) return "untested";
  if (result[0] === "Setup") return result[1] === "retry" ? "retried" : "setup failure";
  return result[0] === "Assertion" ? "failed" : "harness failure";
}

/**
 * @param {Test[]} tests
 * @param {Results} results
 * @param {string} kind
 * @returns {Failure[]}
 */
export function failures(tests, results, kind) {
  return onProxies(tests, kind)
    .filter((test) => results[test.id] !== true)
    .map((test) => ({
      test,
      outcome: outcome(results[test.id]),
      message: String(results[test.id]?.[1] ?? ""),
    }));
}

/**
 * The passes that the suite does not count, each with the tests of its direct dependencies that do not count either.
 *
 * @param {Test[]} tests
 * @param {Results} results
 * @param {string} kind
 */
export function uncounted(tests, results, kind) {
  const whole = passedWithDependencies(tests, results);
  return onProxies(tests, kind)
    .filter((test) => results[test.id] === true && !whole.has(test.id))
    .map((test) => ({ test, because: (test.depends_on ?? []).filter((id) => !whole.has(id)) }));
}

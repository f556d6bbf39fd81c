// The Web Worker that runs simulations: in pieces, so that it can report progress, and stop when the page cancels the
// run.

import init, { Run, auto_beta, auto_window, cycles, fields, laws, probability, strategies } from "demo";

const ready = init({ module_or_path: new URL("./demo_bg.wasm", import.meta.url) });
/** Number of simulated events in one piece. */
const PIECE = 20_000;
let current = 0;

const breath = () => new Promise((resolve) => setTimeout(resolve));

/** Runs all jobs in their order; undefined if a later run or a cancellation has replaced this run. */
async function run(id, jobs) {
  const results = [];
  for (const [index, settings] of jobs.entries()) {
    const job = new Run(settings);
    try {
      let share = 0;
      let told = performance.now();
      while (share < 1) {
        share = job.advance(PIECE);
        if (performance.now() - told > 40 || share === 1) {
          told = performance.now();
          postMessage({ id, progress: (index + share) / jobs.length });
          await breath();
          if (current !== id) return undefined;
        }
      }
      results.push(job.figures());
    } finally {
      job.free();
    }
  }
  return results;
}

const calls = {
  about: () => ({ fields: fields(), strategies: strategies() }),
  laws: ({ rate, delta, beta, window }) => laws(rate, delta, beta, window),
  sweep: (list) =>
    list.map(({ rate, delta, beta, window, count, seed }) => ({
      beta,
      law: laws(rate, delta, beta, window),
      cycles: cycles(rate, delta, beta, window, count, seed),
    })),
  auto: ({ rate, delta, window: widest, late_share, max_beta }) => {
    const window = auto_window(rate, delta, widest, late_share, max_beta);
    return { beta: auto_beta(rate, delta, window, late_share, max_beta), window };
  },
  probability: ({ remaining, delta, beta, window }) => probability(remaining, delta, beta, window),
};

onmessage = async ({ data: { id, kind, input } }) => {
  try {
    await ready;
    if (kind === "cancel") {
      current = id;
      return;
    }
    if (kind !== "run") {
      postMessage({ id, result: calls[kind](input) });
      return;
    }
    current = id;
    const result = await run(id, input);
    postMessage(result ? { id, result } : { id, cancelled: true });
  } catch (error) {
    postMessage({ id, error: error instanceof Error ? error.message : String(error) });
  }
};

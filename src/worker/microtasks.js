// The `queueMicrotask` of wasm-bindgen's module: scripts/build.mjs has esbuild put it in place of the global function. Other
// code in the isolate keeps the runtime's own.

const settled = Promise.resolve();

/** @type {(error: unknown) => unknown} */
let notePanic = (error) => error;

const failed = (/** @type {unknown} */ error) => {
  throw notePanic(error);
};

/**
 * Runs a task of the wasm after the current one. It uses a promise, because the runtime's own function creates an object
 * outside the JavaScript heap for each task, which only a full garbage collection frees.
 *
 * @param {() => void} task
 */
export const queueMicrotask = (task) => settled.then(task).catch(failed);

/**
 * Sets what is called with the error of a task that throws, which is always a panic. It returns the error to throw.
 *
 * @param {(error: unknown) => unknown} note
 */
export function noteFailedTasks(note) {
  notePanic = note;
}

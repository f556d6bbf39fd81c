// The page's side of the Web Worker: each call is a promise.

const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
const waiting = new Map();
let last = 0;

export class Cancelled extends Error {}

worker.onmessage = ({ data }) => {
  const call = waiting.get(data.id);
  if (!call) return;
  if (data.progress !== undefined) {
    call.onProgress?.(data.progress);
    return;
  }
  waiting.delete(data.id);
  if (data.cancelled) call.reject(new Cancelled("cancelled"));
  else if (data.error) call.reject(new Error(data.error));
  else call.resolve(data.result);
};
worker.onerror = () => {
  for (const call of waiting.values()) call.reject(new Error("The laboratory's code could not be loaded."));
  waiting.clear();
};

export function ask(kind, input, onProgress) {
  last += 1;
  const id = last;
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject, onProgress });
    worker.postMessage({ id, kind, input });
  });
}

/** Stops the run that is under way. */
export function cancel() {
  last += 1;
  worker.postMessage({ id: last, kind: "cancel" });
}

// What JavaScript of this project uses and no installed package declares.

/** The demo page's wasm, as wasm-bindgen makes it in www/built. */
declare module "demo" {
  const init: (source?: unknown) => Promise<unknown>;
  export default init;
  export const Run: any;
  export const auto_beta: any;
  export const auto_window: any;
  export const cycles: any;
  export const fields: any;
  export const laws: any;
  export const probability: any;
  export const strategies: any;
}

declare module "*.css";

// Packages of the benchmarks, which are installed in bench/node_modules when a benchmark runs.
declare module "@epic-web/cachified";
declare module "pure-rand/*";
declare module "vega";
declare module "vega-lite";

interface Uint8Array<TArrayBuffer extends ArrayBufferLike = ArrayBufferLike> {
  toHex(): string;
}

interface CacheStorage {
  readonly default: Cache;
}

interface PerformanceEntry {
  readonly value: number;
  readonly requestStart: number;
  readonly responseStart: number;
  readonly responseEnd: number;
}

/** Hooks of the tests' preludes. */
declare var wrapContext: any;
declare var wrapEnv: any;
/** The version in package.json, which scripts/build-www.mjs puts into the page. */
declare const XFETCH_VERSION: string;

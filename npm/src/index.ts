// The package's root: the whole Worker as the default export, and the same cache around a handler, a function, or for
// other Workers.

export { default } from "./whole.js";
export { Metrics, RefreshLease } from "./worker.js";
export { cached, type CachedOptions } from "./cached.js";
export { entrypoint, type CacheEntrypoint, type EntrypointOptions } from "./entrypoint.js";
export { withXFetch, type WithXFetchOptions } from "./with_xfetch.js";
export type { Context, Env, FetchHandler, Stored } from "./platform.js";
export type { CacheSettings, RouteSettings, WorkerSettings } from "./settings.js";

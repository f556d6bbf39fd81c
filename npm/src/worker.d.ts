// The built Worker, which `npm run package` puts beside the compiled modules.

import type { Context, Env } from "./platform.js";

declare const worker: { fetch(request: Request, env: Env, context: Context): Response | Promise<Response> };
export default worker;

/** A Durable Object, which the platform constructs. */
declare class PlatformObject {
  constructor(state: any, env: any);
  fetch(request: Request): Promise<Response>;
  /** Marks the class as one that `DurableObjectNamespace` of the runtime's types accepts. */
  __DURABLE_OBJECT_BRAND: never;
}
/** The Durable Object that grants one lease per key and stores the key's entry. Binding `REFRESH_LEASE`. */
export declare class RefreshLease extends PlatformObject {
  alarm(): Promise<void>;
}
/** The Durable Object that adds up the counters of all isolates. Binding `METRICS`. */
export declare class Metrics extends PlatformObject {}

// The built Worker, which `npm run package` puts beside the compiled modules.

import type { Context, Env } from "./platform.js";

declare const worker: { fetch(request: Request, env: Env, context: Context): Response | Promise<Response> };
export default worker;

/** A Durable Object class; the platform constructs it. */
export interface DurableObjectClass {
  new (state: any, env: any): { fetch(request: Request): Promise<Response> };
}
/** The Durable Object that grants one lease per key and stores the key's entry. Binding `REFRESH_LEASE`. */
export declare const RefreshLease: DurableObjectClass;
/** The Durable Object that adds up the counters of all isolates. Binding `METRICS`. */
export declare const Metrics: DurableObjectClass;

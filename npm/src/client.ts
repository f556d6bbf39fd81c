// `getOrCompute` for Workers that use the cache of another Worker. This module contains no WebAssembly.

import { waitUntil } from "cloudflare:workers";

import type { Stored } from "./platform.js";

/** A service binding to a class made by `entrypoint`. */
export interface CacheService {
  getOrCompute(...values: any[]): any;
}

/** The same binding as `wrangler types` declares it where it does not know the other Worker's class. */
export interface AnyService {
  fetch(...values: any[]): any;
}

/**
 * The value of a key, cached or computed by `compute` in this Worker. A stale value arrives at once, and this request is
 * kept alive until the refresh behind it has called `compute`.
 *
 * @example
 * ```ts
 * const value = await getOrCompute(env.CACHE, { city }, () => slowModel(city));
 * ```
 */
export function getOrCompute<T>(
  service: CacheService | AnyService,
  key: unknown,
  compute: () => T | Promise<T>,
): Promise<Stored<T>> {
  return new Promise((resolve, reject) => {
    const call = (service as CacheService).getOrCompute(key, compute, (value: Stored<T>) => resolve(value));
    waitUntil(call.then(resolve, reject));
  });
}

// `getOrCompute` for Workers that use the cache of another Worker. This module contains no WebAssembly.

import { waitUntil } from "cloudflare:workers";

import type { Json } from "./platform.js";

/** A service binding to a class made by `entrypoint`. */
export interface CacheService {
  getOrCompute(key: any, compute: any, answered?: any): Promise<any>;
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
export function getOrCompute<T extends Json>(
  service: CacheService,
  key: Json,
  compute: () => T | Promise<T>,
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const call = service.getOrCompute(key, compute, (value: T) => resolve(value));
    waitUntil(call.then(resolve, reject));
  });
}

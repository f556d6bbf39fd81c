// `entrypoint`: the cache as a service for other Workers.

import { WorkerEntrypoint } from "cloudflare:workers";

import { register } from "./cache.js";
import { keyText, lookUp, pathOf } from "./cached.js";
import type { CacheSettings } from "./settings.js";
import whole from "./whole.js";

export interface EntrypointOptions extends CacheSettings {
  /** The name under which values are stored; needed if there are several entrypoints. Default `"default"`. */
  name?: string;
  /** Another version begins with an empty cache. */
  version?: string;
}

/** A value that JSON can hold. */
type Value = null | boolean | number | string | object;

/** The service of {@link entrypoint}. */
export interface CacheEntrypoint {
  /** The runtime's types of a service cannot carry a type parameter; `getOrCompute` of `xfetch-edge/client` has one. */
  getOrCompute(key: unknown, compute: () => unknown, answered?: (value: any) => unknown): Promise<Value>;
  fetch(request: Request): Promise<Response>;
  /** Marks the class as one that `Service` and `ctx.exports` of the runtime's types accept. */
  __WORKER_ENTRYPOINT_BRAND: never;
}

/** What the Worker keeps alive; it marks what no answer depends on, such as the sending of counters. */
type Waits = (promise: Promise<unknown>, isHousekeeping?: boolean) => void;

/**
 * A class to export from the caching Worker, for service bindings of other Workers.
 *
 * @example
 * ```ts
 * export class Cache extends entrypoint({ ttl: 60 }) {}
 * // In another Worker, with the binding CACHE:
 * import { getOrCompute } from "xfetch-edge/client";
 * const value = await getOrCompute(env.CACHE, { city }, () => slowModel(city));
 * ```
 */
export function entrypoint({ name = "default", version, ...settings }: EntrypointOptions = {}): new (
  context: any,
  env: any,
) => CacheEntrypoint {
  const path = pathOf("entrypoint", name, version);
  register({ max_request: 262_144, ...settings, path });
  return class extends WorkerEntrypoint {
    /**
     * The value of a key, cached or computed by the caller's function.
     *
     * The function lives in the caller's request, which ends soon after its answer. So this call stays open until a
     * refresh behind the answer has ended: a caller that passes `answered` gets the value before, and keeps its request
     * alive with `waitUntil`, as `getOrCompute` of `xfetch-edge/client` does; without `answered`, the one call that
     * starts a refresh waits for it, and gets the new value.
     */
    async getOrCompute(key: unknown, compute: () => unknown, answered?: (value: unknown) => unknown): Promise<Value> {
      const value = await this.#lookUp(key, compute);
      if (answered) await answered(value);
      // What belongs to the answer itself has settled; what has not is a refresh.
      if (!(await this.#isRefreshing())) return value;
      let settled = 0;
      while (settled < this.#background.length) {
        settled = this.#background.length;
        await Promise.allSettled(this.#background);
      }
      return answered ? value : this.#lookUp(key, compute);
    }

    /** Refreshes under way for the caller. */
    #background: Promise<unknown>[] = [];

    async #isRefreshing(): Promise<boolean> {
      const pending = Symbol("pending");
      const states = this.#background.map((promise) =>
        Promise.race([promise.catch(() => undefined), Promise.resolve(pending)]),
      );
      return (await Promise.all(states)).includes(pending);
    }

    async #lookUp(key: unknown, compute: () => unknown): Promise<Value> {
      const waitUntil: Waits = (promise, isHousekeeping) => {
        if (!isHousekeeping) this.#background.push(promise);
        this.ctx.waitUntil(promise);
      };
      const body = keyText("getOrCompute", "key", key);
      const lookup = { path, what: `the key ${JSON.stringify(key)}`, body, compute, settings };
      return (await lookUp(lookup, { env: this.env, context: { waitUntil } })) as Value;
    }

    declare __WORKER_ENTRYPOINT_BRAND: never;

    /** A request to a route: of `withXFetch`, of the Hono middleware, or of the settings in wrangler.toml. */
    async fetch(request: Request): Promise<Response> {
      return whole.fetch(request, this.env, this.ctx);
    }
  };
}

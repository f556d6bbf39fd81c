// `cached`: a function of JSON values whose results are cached.

import { env, waitUntil } from "cloudflare:workers";

import { PRIVATE, register, throughCache } from "./cache.js";
import type { Context, Env, Json } from "./platform.js";
import type { CacheSettings } from "./settings.js";

/** A host that no client can reach; it is part of the tiers' URLs only. */
const HOST = "https://xfetch-edge.internal";

export interface CachedOptions<A extends readonly unknown[]> extends CacheSettings {
  /** The name under which results are stored. Default: the function's name. */
  name?: string;
  /** Another version begins with an empty cache: change it when the function returns other results. */
  version?: string;
  /** What a result depends on, if not on all arguments. */
  key?: (...args: A) => Json;
}

/** The result of a function as a response; what it throws is a failed computation. */
async function computed(compute: () => unknown, thrown: (error: unknown) => void): Promise<Response> {
  try {
    const text = JSON.stringify(await compute());
    if (text === undefined)
      throw new TypeError("xfetch-edge: a cached function must return a JSON value, not undefined");
    return new Response(text, { headers: { "content-type": "application/json" } });
  } catch (error) {
    // Behind an answer there is no caller left to see it.
    console.error(error);
    thrown(error);
    return new Response(null, { status: 500 });
  }
}

/** A key as JSON; what JSON cannot hold would be the same key for different values, so it is an error. */
export function keyText(what: string, key: unknown): string {
  return JSON.stringify(key, (name, value: unknown) => {
    if (value === undefined || typeof value === "function" || (typeof value === "number" && !Number.isFinite(value))) {
      throw new TypeError(
        `xfetch-edge: the key of ${what} has ${String(value)} at ${JSON.stringify(name)}, which JSON cannot hold`,
      );
    }
    return value;
  });
}

/** The value in a response of the cache; throws the computation's own error, or says what has failed. */
async function valueOf(response: Response, what: string, error: unknown): Promise<Json> {
  if (response.ok) return (await response.json()) as Json;
  if (error !== undefined) throw error;
  const { code, detail } = (await response.json().catch(() => ({}))) as { code?: string; detail?: string };
  throw new Error(`xfetch-edge: ${what} has no value: ${detail ?? code ?? `status ${response.status}`}`);
}

/**
 * The value of a key on a private route, cached or computed. `body` is the key as JSON, and `what` names it in errors.
 */
export async function lookUp(
  path: string,
  what: string,
  body: string,
  compute: () => unknown,
  { env, context }: { env: Env; context: Context },
): Promise<Json> {
  let error: unknown;
  const headers = { "content-type": "application/json" };
  const request = new Request(HOST + path, { method: "POST", body, headers });
  const response = await throughCache(request, env, context, () => computed(compute, (thrown) => (error = thrown)));
  return valueOf(response, what, error);
}

/** A path for a name, or an error that says what a name may be. */
export function pathOf(kind: string, name: string, version = "1"): string {
  for (const part of [name, version]) {
    if (!/^[A-Za-z0-9_.-]{1,64}$/.test(part)) {
      throw new Error(
        `xfetch-edge: ${JSON.stringify(part)} cannot be a name or version: 1 to 64 letters, digits, "_", "." or "-"`,
      );
    }
  }
  return `${PRIVATE}${kind}/${name}/${version}`;
}

/**
 * Caches a function. Call it when the module is loaded; the returned function can be called in any request.
 *
 * @example
 * ```ts
 * const forecast = cached(async (city: string) => slowModel(city), { name: "forecast", ttl: 60 });
 * ```
 */
export function cached<A extends readonly Json[], R extends Json>(
  compute: (...args: A) => R | Promise<R>,
  { name = compute.name, version, key, ...settings }: CachedOptions<A> = {},
): (...args: A) => Promise<R> {
  const path = pathOf("function", name, version);
  register({ max_request: 262_144, ...settings, path });
  return async (...args) => {
    const body = keyText(name, key ? { key: key(...args) } : { args });
    const world = { env, context: { waitUntil } };
    return (await lookUp(path, `the function ${name}`, body, () => compute(...args), world)) as R;
  };
}

// `cached`: a function of JSON values whose results are cached.

import { env, waitUntil } from "cloudflare:workers";

import { PRIVATE, register, throughCache } from "./cache.js";
import type { Context, Env, Stored } from "./platform.js";
import type { CacheSettings } from "./settings.js";

/** A host that no client can reach; it is part of the tiers' URLs only. */
const HOST = "https://xfetch-edge.internal";

export interface CachedOptions<A extends readonly unknown[]> extends CacheSettings {
  /** The name under which results are stored. Default: the function's name. */
  name?: string;
  /** Another version begins with an empty cache: change it when the function returns other results. */
  version?: string;
  /** What a result depends on, if not on all arguments: a value that JSON can hold. */
  key?: (...args: A) => unknown;
}

/** The default of `max_response`, in bytes. */
const MAX_RESPONSE = 1_048_576;

/** How the computation of one call has ended. */
interface Outcome {
  error?: unknown;
  /** The result as JSON, if it is too large to be stored. */
  large?: string;
}

/**
 * The result of a function as a response; what it throws is a failed computation. A result above `most` bytes is not
 * stored: the response says so to the cache, and `outcome` holds the result for this call.
 */
async function computed({ what, compute, settings }: Lookup, outcome: Outcome): Promise<Response> {
  const type = { "content-type": "application/json" };
  const most = settings.max_response ?? MAX_RESPONSE;
  try {
    const text = jsonText(await compute(), `the result of ${what}`, "result", isHeld);
    const bytes = new TextEncoder().encode(text);
    if (bytes.byteLength <= most) return new Response(bytes, { headers: type });
    outcome.large = text;
    return new Response("null", { headers: { ...type, "cache-control": "no-store" } });
  } catch (error) {
    // Behind an answer there is no caller left to see it.
    console.error(error);
    outcome.error = error;
    return new Response(null, { status: 500 });
  }
}

/** Whether JSON holds a value as it is. A `Map` would be an empty object, the same for all of them. */
function isJson(value: unknown): boolean {
  if (typeof value === "number") return Number.isFinite(value);
  if (typeof value !== "object" || value === null) return ["string", "boolean", "object"].includes(typeof value);
  const prototype: unknown = Object.getPrototypeOf(value);
  return Array.isArray(value) || prototype === Object.prototype || prototype === null;
}

/** Whether JSON holds what a value is about: also an object of a class, if its content is in its properties. */
const isHeld = (value: unknown): boolean =>
  isJson(value) ||
  (typeof value === "object" && value !== null && !ArrayBuffer.isView(value) && Object.keys(value).length > 0);

/**
 * A value as JSON text. A property that is undefined, or a function, is the same as one that is missing. Throws for any
 * other value that `accepts` does not take, because it would be lost without a word.
 */
function jsonText(value: unknown, what: string, root: string, accepts: (value: unknown) => boolean): string {
  return JSON.stringify(value, function (this: unknown, name: string, value: unknown) {
    const isProperty = name !== "" && !Array.isArray(this);
    if (accepts(value) || (isProperty && (value === undefined || typeof value === "function"))) return value;
    const shown = typeof value === "object" ? `a ${value?.constructor?.name}` : String(value);
    throw new TypeError(`xfetch-edge: ${what} has ${shown} at ${JSON.stringify(name || root)}, which JSON cannot hold`);
  });
}

/** The body of a key's request. What JSON cannot hold would be the same key for different values, so it is an error. */
export function keyText(what: string, kind: "args" | "key", key: unknown): string {
  return `{"${kind}":${jsonText(key, `the key of ${what}`, kind, isJson)}}`;
}

/** The value in a response of the cache; throws the computation's own error, or says what has failed. */
async function valueOf(response: Response, what: string, { error, large }: Outcome): Promise<unknown> {
  if (large !== undefined) return JSON.parse(large);
  if (response.ok) return response.json();
  if (error !== undefined) throw error;
  const { code, detail } = (await response.json().catch(() => ({}))) as { code?: string; detail?: string };
  throw new Error(`xfetch-edge: ${what} has no value: ${detail ?? code ?? `status ${response.status}`}`);
}

/** A key whose value is looked up. */
interface Lookup {
  path: string;
  /** What names the key in errors. */
  what: string;
  /** The key as JSON. */
  body: string;
  compute: () => unknown;
  settings: CacheSettings;
}

/** The value of a key on a private route, cached or computed. */
export async function lookUp(lookup: Lookup, { env, context }: { env: Env; context: Context }): Promise<unknown> {
  const outcome: Outcome = {};
  const headers = { "content-type": "application/json" };
  const request = new Request(HOST + lookup.path, { method: "POST", body: lookup.body, headers });
  const response = await throughCache(request, env, context, () => computed(lookup, outcome));
  return valueOf(response, lookup.what, outcome);
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
export function cached<F extends (...args: any[]) => unknown>(
  compute: F,
  { name = compute.name, version, key, ...settings }: CachedOptions<Parameters<F>> = {},
): (...args: Parameters<F>) => Promise<Stored<Awaited<ReturnType<F>>>> {
  const path = pathOf("function", name, version);
  register({ max_request: 262_144, ...settings, path });
  return async (...args) => {
    // An argument that is undefined at the end is the same as none.
    const given = args.slice(0, args.findLastIndex((it) => it !== undefined) + 1);
    const body = key ? keyText(name, "key", key(...args)) : keyText(name, "args", given);
    const lookup = { path, what: `the function ${name}`, body, compute: () => compute(...args), settings };
    return (await lookUp(lookup, { env, context: { waitUntil } })) as Stored<Awaited<ReturnType<F>>>;
  };
}

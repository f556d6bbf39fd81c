// `withXFetch`: any fetch handler as the origin of cached routes.

import { atUrlOf, configure, handlerOf, isAdmin, noOrigin, register, throughCache } from "./cache.js";
import type { Context, Env, FetchHandler } from "./platform.js";
import type { RouteSettings, WorkerSettings } from "./settings.js";

export interface WithXFetchOptions extends WorkerSettings {
  /** The cached routes: `POST` requests with a JSON body. Everything else goes to the handler as it is. */
  routes: RouteSettings[];
}

/**
 * Caches the routes of a handler. Requests to other paths, and other methods, reach the handler unchanged; the paths
 * under `/_xfetch/` are the cache's own.
 *
 * @example
 * ```ts
 * export { RefreshLease, Metrics } from "xfetch-edge";
 * export default withXFetch({ fetch: slowApi }, { routes: [{ path: "/v1/report", ttl: 60 }] });
 * ```
 */
export function withXFetch<E = Env, C extends Context = Context, H extends object = object>(
  handler: FetchHandler<E, C> | ({ fetch: FetchHandler<E, C> } & H),
  options: WithXFetchOptions,
): Omit<H, "fetch"> & { fetch: FetchHandler<E, C> } {
  const { routes, ...settings } = options ?? {};
  if (!Array.isArray(routes) || routes.length === 0) {
    throw new Error('xfetch-edge: withXFetch needs routes, such as { routes: [{ path: "/v1/report", ttl: 60 }] }');
  }
  const answer = handlerOf(handler);
  configure(settings);
  routes.forEach(register);
  const paths = new Set(routes.map((route) => route.path));
  const fetch: FetchHandler<E, C> = (request, env, context) => {
    const { pathname } = new URL(request.url);
    const isPreflight = request.method === "OPTIONS" && settings.CORS_ORIGINS !== undefined;
    const isCached = paths.has(pathname) && (request.method === "POST" || isPreflight);
    if (isAdmin(pathname)) {
      return throughCache(request, env, context, noOrigin);
    }
    if (!isCached) return answer(request, env, context);
    return throughCache(request, env, context, (outgoing) => answer(atUrlOf(request, outgoing), env, context));
  };
  // Other handlers, such as `scheduled`, stay as they are.
  const others = typeof handler === "object" && Object.getPrototypeOf(handler) === Object.prototype ? handler : {};
  return { ...(others as H), fetch };
}

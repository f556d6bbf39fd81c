// `withXFetch`: any fetch handler as the origin of cached routes.

import { atUrlOf, configure, handled, isAdmin, isCached, noOrigin, PRIVATE, register, throughCache } from "./cache.js";
import type { Context, Env, FetchHandler } from "./platform.js";
import type { RouteSettings, WorkerSettings } from "./settings.js";

/** The platform's other handlers, which stay as they are. */
const OTHERS = ["scheduled", "queue", "email", "tail", "tailStream", "trace", "test"] as const;

export interface WithXFetchOptions extends WorkerSettings {
  /**
   * The cached routes: `POST` requests with a JSON body, unless a route names other methods. A request of such a method
   * that the route does not take, such as a `POST` with a query, is refused, so that nobody gets around the cache. Unsafe
   * methods on a route whose answers' headers say how long they live (`policy: "origin"`) reach the handler too, and remove
   * the entries that they change. Other methods and other paths go to the handler as they are.
   */
  routes: readonly RouteSettings[];
}

/**
 * Caches the routes of a handler: a function, or an object with a method `fetch`. Requests to other paths reach the
 * handler unchanged, and so do other methods on routes of policy "route"; the paths under `/_xfetch/` are the cache's own. On a route the handler's answer
 * is for many clients, so its request has neither `cf` nor the client's headers, except those of the setting `headers`.
 *
 * @example
 * ```ts
 * export { RefreshLease, Metrics } from "xfetch-edge";
 * export default withXFetch({ fetch: slowApi }, { routes: [{ path: "/v1/report", ttl: 60 }] });
 * ```
 */
export function withXFetch<
  E = Env,
  C extends Context = Context,
  Q extends Request = Request,
  H extends object = object,
>(
  handler: FetchHandler<E, C, Q> | ({ fetch?: FetchHandler<E, C, Q> } & H),
  options: WithXFetchOptions,
): Omit<H, "fetch"> & { fetch: FetchHandler<E, C, Q> } {
  const { routes, ...settings } = options ?? {};
  if (!Array.isArray(routes) || routes.length === 0) {
    throw new Error('xfetch-edge: withXFetch needs routes, such as { routes: [{ path: "/v1/report", ttl: 60 }] }');
  }
  const hidden = routes.find((route) => typeof route?.path === "string" && route.path.startsWith(PRIVATE));
  if (hidden)
    throw new Error(`xfetch-edge: the path ${hidden.path} is reserved for functions, which no client reaches`);
  const object = (typeof handler === "function" ? { fetch: handler } : handler) as Record<string, any>;
  if (typeof object?.fetch !== "function") {
    throw new Error("xfetch-edge: withXFetch needs a fetch handler, or an object with a method `fetch`");
  }
  const answer: FetchHandler<E, C, any> = (request, env, context) => object.fetch(request, env, context);
  const fetch: FetchHandler<E, C, Q> = (request, env, context) => {
    if (isAdmin(new URL(request.url).pathname)) return throughCache(request, env, context, noOrigin);
    if (!isCached(routes, settings, request, env)) return answer(request, env, context);
    return throughCache(request, env, context, (outgoing) =>
      handled(() => answer(atUrlOf(request, outgoing), env, context)),
    );
  };
  configure(settings);
  for (const route of routes) register(route, fetch);
  const others = OTHERS.filter((name) => typeof object[name] === "function");
  const bound = Object.fromEntries(others.map((name) => [name, object[name].bind(object)]));
  return { ...(bound as Omit<H, "fetch">), fetch };
}

// `xfetch`: middleware for Hono. It needs the app, because a refresh behind the answer runs the app's handlers again.

import { atUrlOf, configure, handled, isAdmin, isCached, noOrigin, register, throughCache } from "./cache.js";
import type { Context, Env } from "./platform.js";
import type { WithXFetchOptions } from "./with_xfetch.js";

/** What the middleware uses of a Hono app. */
export interface HonoApp {
  fetch(request: Request, env?: any, context?: any): Response | Promise<Response>;
}

/** What the middleware uses of Hono's context. */
export interface HonoContext {
  req: { raw: Request };
  env: any;
  executionCtx: Context;
}

/**
 * Caches routes of a Hono app. Register it before the routes.
 *
 * @example
 * ```ts
 * const app = new Hono();
 * app.use(xfetch(app, { routes: [{ path: "/v1/report", ttl: 60 }] }));
 * app.post("/v1/report", async (c) => c.json(await slowReport(await c.req.json())));
 * ```
 */
export function xfetch(
  app: HonoApp,
  { routes, ...settings }: WithXFetchOptions,
): (context: HonoContext, next: () => Promise<void>) => Promise<Response | void> {
  configure(settings);
  for (const route of routes) register(route, (request, env, context) => app.fetch(request, env, context));
  /** Requests of the cache itself, which the middleware lets pass. */
  const passing = new WeakSet<Request>();
  return async (context, next) => {
    const request = context.req.raw;
    const { pathname } = new URL(request.url);
    if (passing.has(request)) return next();
    const env: Env = context.env;
    if (isAdmin(pathname)) {
      return throughCache(request, env, context.executionCtx, noOrigin);
    }
    if (!isCached(routes, settings, request, env)) return next();
    const { executionCtx } = context;
    return throughCache(request, env, executionCtx, (outgoing) =>
      handled(() => {
        const own = atUrlOf(request, outgoing);
        passing.add(own);
        return app.fetch(own, env, executionCtx);
      }),
    );
  };
}

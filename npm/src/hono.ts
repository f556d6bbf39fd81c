// `xfetch`: middleware for Hono, which answers some paths from the cache. What is computed for many clients must not depend
// on what one client sent, so another app computes it, which the middleware of this one does not reach.

import { isAdmin, isCached } from "./cache.js";
import type { Context } from "./platform.js";
import { withXFetch, type WithXFetchOptions } from "./with_xfetch.js";

/** What the middleware uses of a Hono app. */
export interface HonoApp {
  fetch(request: Request, env?: any, context?: any): Response | Promise<Response>;
  routes?: readonly { handler: unknown }[];
}

/** What the middleware uses of Hono's context. */
export interface HonoContext {
  req: { raw: Request };
  env: any;
  executionCtx: Context;
}

/**
 * Answers routes of `slow`, an app of its own, from the cache; other requests go on in the app that uses the middleware.
 * Middleware before this one runs for every request, and may refuse it; `slow` runs only for a computation, with the
 * headers that the route names, perhaps after the answer was sent. Paths are those of the client's URL, also below
 * `app.route`.
 *
 * @example
 * ```ts
 * const slow = new Hono();
 * slow.post("/v1/report", async (c) => c.json(await slowReport(await c.req.json())));
 *
 * const app = new Hono();
 * app.use(xfetch(slow, { routes: [{ path: "/v1/report", ttl: 60 }] }));
 * ```
 */
export function xfetch(
  slow: HonoApp,
  options: WithXFetchOptions,
): (context: HonoContext, next: () => Promise<void>) => Promise<Response | void> {
  const compute = (request: Request, env: unknown, context: Context) => slow.fetch(request, env, context);
  const cached = withXFetch(compute, options);
  const middleware = async ({ req, env, executionCtx }: HonoContext, next: () => Promise<void>) => {
    const request = req.raw;
    const { pathname } = new URL(request.url);
    if (!isAdmin(pathname) && !isCached(options.routes, options, request, env)) return next();
    if (slow.routes?.some(({ handler }) => handler === middleware)) {
      throw new Error(
        "xfetch-edge: xfetch needs an app of its own, which computes the answers: xfetch(slow, …), not xfetch(app, …)",
      );
    }
    return cached.fetch(request, env, executionCtx);
  };
  return middleware;
}

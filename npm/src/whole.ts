// The whole Worker, configured by wrangler.toml.

import { PRIVATE, environmentsOrigin, handlerAt, hasRoutes, missingBindings, problem, throughCache } from "./cache.js";
import type { Context, Env } from "./platform.js";
import worker from "./worker.js";

export default {
  fetch(request: Request, env: Env, context: Context): Response | Promise<Response> {
    // Functions and entrypoints share the Worker's routes, but their values are not for clients.
    const { pathname } = new URL(request.url);
    if (pathname.startsWith(PRIVATE)) return problem(404, "not_found", "Nothing is here.");
    const own = handlerAt(pathname);
    if (own) return own(request, env, context);
    if (hasRoutes()) {
      return throughCache(request, env, context, (outgoing) => environmentsOrigin(env, outgoing));
    }
    const missing = missingBindings(env);
    if (missing === undefined) return worker.fetch(request, env, context);
    console.error(missing);
    return problem(503, "configuration_refused", missing);
  },
};

// The one cache of an isolate: its routes, and calls into the built Worker. The Worker reads its settings at its first
// request, so all routes must be registered before.

import worker from "./worker.js";
import type { Context, Env, FetchHandler } from "./platform.js";
import type { RouteSettings, WorkerSettings } from "./settings.js";

/** The Durable Objects that every configuration needs. */
const BINDINGS = { REFRESH_LEASE: "RefreshLease", METRICS: "Metrics" } as const;
const ADMIN = "/_xfetch/";
/** The routes of functions and entrypoints begin with this; no client reaches them. */
export const PRIVATE = "/~xfetch/";

const routes: RouteSettings[] = [];
/** The handlers of routes that have one in this Worker. */
const handlers = new Map<string, FetchHandler<Env, any, any>>();
let settings: WorkerSettings = {};
let isFrozen = false;

/**
 * Adds a route. Throws if the path is taken, or if a request has already been answered. `handler` answers the route's
 * requests through the cache, wherever they arrive.
 */
export function register(route: RouteSettings, handler?: FetchHandler<Env, any, any>): void {
  check(route);
  if (isFrozen) {
    throw new Error(
      `xfetch-edge: the route ${route.path} must be registered when the module is loaded, not while a request is answered`,
    );
  }
  if (routes.some((known) => known.path === route.path)) {
    throw new Error(`xfetch-edge: the route ${route.path} is registered twice`);
  }
  routes.push(route);
  if (handler) handlers.set(route.path, handler);
}

/** Throws if a route could match no request: the Worker would never see it, and its answers would pass uncached. */
function check(route: RouteSettings): void {
  const { path, methods } = (route ?? {}) as { path?: unknown; methods?: unknown };
  if (typeof path !== "string" || !path.startsWith("/") || /[?#]/.test(path)) {
    throw new Error(
      `xfetch-edge: the path of a route is ${JSON.stringify(path)}, but must be a text such as "/v1/report" or "/articles/*", without a query`,
    );
  }
  const known = ["GET", "QUERY", "POST"];
  const isGood =
    methods === undefined ||
    (Array.isArray(methods) && methods.length > 0 && methods.every((it) => known.includes(it)));
  if (!isGood) {
    throw new Error(
      `xfetch-edge: the methods of the route ${path} are ${JSON.stringify(methods)}, but must be a list of "GET", "QUERY" and "POST"`,
    );
  }
}

/** The handler of the route of this path, if it has one in this Worker. */
export const handlerAt = (path: string): FetchHandler<Env, any, any> | undefined =>
  handlers.get(routeAt(routes, path)?.path ?? "");

/** Sets the settings of the whole Worker. A setting that two callers give differently is an error. */
export function configure(more: WorkerSettings): void {
  for (const [name, value] of Object.entries(more)) {
    const known = (settings as Record<string, unknown>)[name];
    if (known !== undefined && JSON.stringify(known) !== JSON.stringify(value)) {
      throw new Error(
        `xfetch-edge: ${name} is given twice, as ${JSON.stringify(known)} and as ${JSON.stringify(value)}`,
      );
    }
  }
  settings = { ...settings, ...more };
}

/** What to add to wrangler.toml for a binding that is missing, or undefined. */
export function missingBindings(env: Env): string | undefined {
  const missing = Object.entries(BINDINGS).filter(([name]) => typeof env?.[name] !== "object" || env[name] === null);
  if (missing.length === 0) return undefined;
  const names = missing.map(([name]) => name).join(" and ");
  const bindings = missing.map(
    ([name, className]) => `[[durable_objects.bindings]]\nname = "${name}"\nclass_name = "${className}"\n`,
  );
  const classes = missing.map(([, className]) => `"${className}"`).join(", ");
  const list = missing.map(([name, className]) => `{ "name": "${name}", "class_name": "${className}" }`).join(", ");
  return (
    `xfetch-edge needs the Durable Object binding ${names}. Add to wrangler.toml:\n\n${bindings.join("\n")}\n` +
    `[[migrations]]\ntag = "xfetch-v1"\nnew_sqlite_classes = [${classes}]\n\n` +
    `or to wrangler.jsonc:\n\n"durable_objects": { "bindings": [${list}] },\n` +
    `"migrations": [{ "tag": "xfetch-v1", "new_sqlite_classes": [${classes}] }]\n\n` +
    `A class that a migration lists already needs only the binding, and each migration needs a tag of its own.\n` +
    `Add to the Worker's main module:\n\nexport { RefreshLease, Metrics } from "xfetch-edge";\n`
  );
}

/** A problem document (RFC 9457), as the Worker sends them. */
export function problem(status: number, code: string, detail: string): Response {
  const title = status === 404 ? "Not Found" : "Service Unavailable";
  const body = JSON.stringify({ type: "about:blank", title, status, code, detail });
  const headers = { "content-type": "application/problem+json", "cache-control": "no-store" };
  return new Response(body, { status, headers });
}

/** Whether routes have been registered, so that the environment's settings are not all. */
export const hasRoutes = (): boolean => routes.length > 0;

/** Whether the built Worker answers this path. */
export const isAdmin = (path: string): boolean => path.startsWith(ADMIN);

/**
 * Sends a request through the cache. `origin` answers it if it must be computed, perhaps after the response was sent:
 * then it runs in `waitUntil` of the same request.
 */
export async function throughCache(
  request: Request,
  env: Env,
  context: Context,
  origin: (request: Request) => Response | Promise<Response>,
): Promise<Response> {
  isFrozen = true;
  const missing = missingBindings(env);
  if (missing) {
    console.error(missing);
    return problem(503, "configuration_refused", missing);
  }
  const fromEnv = parsed(env.ROUTES).map((route) => (env.ORIGIN ? route : { origin: env.ORIGIN_URL, ...route }));
  const known = [...routes, ...fromEnv];
  const own = {
    ...settings,
    // Without any route there are only the admin paths, but the settings need one.
    ROUTES: known.length > 0 ? known : [{ path: `${PRIVATE}unused` }],
    // The default origin of this request. A service binding rejects, and so does this function.
    ORIGIN: { fetch: async (outgoing: Request) => origin(outgoing) },
    ORIGIN_URL: undefined,
  };
  return worker.fetch(request, Object.setPrototypeOf(own, env), context);
}

/** The answer where no origin could compute one. */
export const noOrigin = (): Response => problem(404, "not_found", "The cache has no origin for this path.");

/** The origin of the environment: its service binding, or its URL. */
export async function environmentsOrigin(env: Env, outgoing: Request): Promise<Response> {
  if (env.ORIGIN) return env.ORIGIN.fetch(outgoing);
  if (!env.ORIGIN_URL) return noOrigin();
  const { pathname, search } = new URL(outgoing.url);
  return fetch(new Request(new URL(pathname + search, env.ORIGIN_URL), outgoing));
}

/** The routes in a setting, which is a list or JSON text; the Worker refuses everything else with a sentence. */
function parsed(setting: unknown): RouteSettings[] {
  if (setting === undefined) return [];
  try {
    const value = typeof setting === "string" ? JSON.parse(setting) : setting;
    if (Array.isArray(value)) return value;
  } catch {
    // Refused below, like any other value.
  }
  return [setting as RouteSettings];
}

/** A request for the handler: the cache's, at the scheme and host of the client's. */
export function atUrlOf(client: Request, outgoing: Request): Request {
  const url = new URL(client.url);
  ({ pathname: url.pathname, search: url.search } = new URL(outgoing.url));
  return new Request(url, outgoing);
}

/** The route of a path: as in the Worker, an exact path wins, and then the longest prefix. */
function routeAt(routes: readonly RouteSettings[], pathname: string): RouteSettings | undefined {
  const isPrefix = ({ path }: RouteSettings) => path.endsWith("/*") && pathname.startsWith(path.slice(0, -1));
  const prefixes = routes.filter(isPrefix).sort((a, b) => b.path.length - a.path.length);
  return routes.find(({ path }) => path === pathname) ?? prefixes[0];
}

/** Whether the origin's headers say how long the answers of a route live. */
const isOfOriginPolicy = ({ policy, methods }: RouteSettings): boolean =>
  policy === undefined ? methods?.length === 1 && methods[0] === "GET" : policy === "origin";

/**
 * Whether a request goes through the cache: it is for one of the routes, by a method that the cache answers there, or by one
 * that may change what the cache holds.
 */
export function isCached(
  routes: readonly RouteSettings[],
  { CORS_ORIGINS }: WorkerSettings,
  request: Request,
  env: Env,
): boolean {
  const { method } = request;
  const { pathname } = new URL(request.url);
  // The routes of functions and entrypoints are not for clients, and a prefix does not contain them.
  const route = pathname.startsWith(PRIVATE) ? undefined : routeAt(routes, pathname);
  // The cache answers `OPTIONS` only if browsers may read its answers.
  if (method === "OPTIONS") return route !== undefined && (CORS_ORIGINS ?? env?.CORS_ORIGINS) !== undefined;
  if (route === undefined) return false;
  const methods: readonly string[] = route.methods ?? ["POST"];
  if (methods.includes(method === "HEAD" ? "GET" : method)) return true;
  // The cache passes these on, and removes the entries that they have changed (RFC 9111, section 4.4).
  return isOfOriginPolicy(route) && ["POST", "PUT", "PATCH", "DELETE"].includes(method);
}

/** The answer of a handler. What it throws becomes an answer with 500, as the platform answers an uncaught error. */
export async function handled(answer: () => Response | Promise<Response>): Promise<Response> {
  try {
    return await answer();
  } catch (error) {
    console.error(error);
    return new Response("The handler has thrown an error, which its log shows.", { status: 500 });
  }
}

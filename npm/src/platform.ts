// The parts of the platform that this package uses, as structural types: they accept the types of
// `@cloudflare/workers-types` and those that `wrangler types` generates.

/** The context of a request. */
export interface Context {
  waitUntil(promise: Promise<unknown>): void;
}

/** The bindings and variables of a Worker. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type Env = any;

/** Answers a request. */
export type FetchHandler<E = Env, C extends Context = Context> = (
  request: Request,
  env: E,
  context: C,
) => Response | Promise<Response>;

/** An object with a fetch handler, such as a Worker's default export or a Hono app. */
export interface Fetcher<E = Env, C extends Context = Context> {
  fetch: FetchHandler<E, C>;
}

/** A value that JSON can hold. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

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
export type FetchHandler<E = Env, C extends Context = Context, Q extends Request = Request> = (
  request: Q,
  env: E,
  context: C,
) => Response | Promise<Response>;

/** A value that JSON can hold. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

/** What becomes of a value that is stored as JSON: a `Date` becomes a text, and functions are left out. */
export type Stored<T> = 0 extends 1 & T
  ? T
  : T extends { toJSON(...args: never[]): infer J }
    ? Stored<J>
    : T extends bigint | symbol | undefined | ((...args: never[]) => unknown)
      ? never
      : T extends readonly unknown[]
        ? { [K in keyof T]: Stored<T[K]> }
        : T extends object
          ? { [K in keyof T as T[K] extends symbol | ((...args: never[]) => unknown) ? never : K]: Stored<T[K]> }
          : T;

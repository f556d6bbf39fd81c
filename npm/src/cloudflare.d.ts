// What this package uses of the runtime's module.

declare module "cloudflare:workers" {
  export const env: any;
  export function waitUntil(promise: Promise<unknown>): void;
  export abstract class WorkerEntrypoint {
    protected ctx: { waitUntil(promise: Promise<unknown>): void };
    protected env: any;
    constructor(ctx: any, env: any);
  }
}

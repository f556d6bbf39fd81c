// The package against the types that `wrangler types` generates, as users write their Workers. It is compiled, not run.

import { cached, entrypoint, withXFetch, type RefreshLease } from "xfetch-edge";
import { getOrCompute } from "xfetch-edge/client";

interface Bindings {
  API: string;
}
interface Question {
  city: string;
  district?: string;
}
interface Answer {
  celsius: number;
  at: Date;
  note?: string;
}

export class Cache extends entrypoint({ ttl: 60 }) {}

const ROUTES = [{ path: "/v1/report", fields: ["city"], headers: ["x-lang"] }] as const;

export const whole = withXFetch(
  {
    async fetch(request, env, context) {
      context.passThroughOnException();
      return Response.json({ api: env.API, country: request.cf?.country });
    },
    async scheduled(controller, env) {
      console.log(controller.cron, env.API);
    },
  } satisfies ExportedHandler<Bindings>,
  { routes: ROUTES, CORS_ORIGINS: "*" },
) satisfies ExportedHandler<Bindings>;

export const typed: ExportedHandler<Bindings> = withXFetch(
  {
    async fetch(
      request: Request<unknown, IncomingRequestCfProperties>,
      env: Bindings,
      context: ExecutionContext,
    ): Promise<Response> {
      context.waitUntil(Promise.resolve());
      return Response.json([env.API, request.cf?.colo]);
    },
  },
  { routes: [{ path: "/v1/typed" }] },
);

const declared: ExportedHandler<Bindings> = { fetch: (_request, env) => Response.json(env.API) };
export const wrapped: ExportedHandler<Bindings> = withXFetch(declared, { routes: [{ path: "/v1/declared" }] });

export const objects = (env: { LEASE: DurableObjectNamespace<RefreshLease> }): DurableObjectStub<RefreshLease> =>
  env.LEASE.getByName("key");

const forecast = cached(
  async (question: Question, days?: number): Promise<Answer> => ({ celsius: days ?? 1, at: new Date() }),
  { name: "forecast", key: ({ city }, days) => [city, days ?? 1] },
);

export async function use(
  service: Service<typeof Cache>,
  env: { CACHE: Service<Cache>; PLAIN: Service },
): Promise<void> {
  const { celsius, at, note } = await forecast({ city: "Bern" });
  const texts: [number, string, string | undefined] = [celsius, at, note];
  const value = await getOrCompute(service, { city: "Bern" }, async (): Promise<Answer> => forecastOf(texts[0]));
  const plain: number = await getOrCompute(env.PLAIN, "key", () => texts[0]);
  const stored: string = value.at + plain;
  await env.CACHE.fetch("https://cache/v1/report");
  await service.getOrCompute("key", () => stored);
  // @ts-expect-error A result is what JSON holds of it, not the object that the function returned.
  value.at.getTime();
  // @ts-expect-error The function's arguments are checked.
  await forecast({ district: "x" });
}

const pairs = cached(async (): Promise<[number, string][]> => [[1, "a"]], { name: "pairs" });
export const first = async (): Promise<number> => {
  const [[number]] = (await pairs()).map(([one, name]): [number, string] => [one, name]);
  return number;
};

const forecastOf = (celsius: number): Answer => ({ celsius, at: new Date() });

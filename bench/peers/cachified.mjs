// cachified in a Worker, with its own way to serve stale: a map in memory, a TTL, an hour of
// stale-while-revalidate, one computation per key and isolate.
import { cachified } from "@epic-web/cachified";

const cache = new Map();

export default {
  async fetch(request, env, context) {
    if (request.method !== "POST") return new Response("POST only", { status: 405 });
    const path = new URL(request.url).pathname;
    const body = await request.text();
    try {
      const value = await cachified({
        key: `${path}|${body}`,
        cache,
        ttl: env.TTL * 1000,
        staleWhileRevalidate: 3_600_000,
        waitUntil: (promise) => context.waitUntil(promise),
        async getFreshValue() {
          const answer = await fetch(env.ORIGIN_URL + path, {
            method: "POST",
            headers: { "content-type": "application/json" },
            body,
          });
          if (!answer.ok) throw new Error(`the origin said ${answer.status}`);
          return answer.text();
        },
      });
      return new Response(value, { headers: { "content-type": "application/json" } });
    } catch {
      return new Response("bad gateway", { status: 502 });
    }
  },
};

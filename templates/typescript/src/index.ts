import { withXFetch } from "xfetch-edge";

export { Metrics, RefreshLease } from "xfetch-edge";

/** What the API is asked, and what it answers. */
interface Question {
  text: string;
}
interface Analysis {
  words: number;
  longest: string;
  computedAt: string;
}

/** The slow computation. Replace it with yours: a model, a database, another API. */
async function analyse({ text }: Question): Promise<Analysis> {
  await scheduler.wait(1_000);
  const words = text.split(/\s+/).filter(Boolean);
  const longest = words.reduce((best, word) => (word.length > best.length ? word : best), "");
  return { words: words.length, longest, computedAt: new Date().toISOString() };
}

export default withXFetch(
  {
    async fetch(request: Request): Promise<Response> {
      const { pathname } = new URL(request.url);
      if (pathname !== "/v1/analyse" || request.method !== "POST") {
        return new Response("POST /v1/analyse is the API.\n", { status: pathname === "/" ? 200 : 404 });
      }
      return Response.json(await analyse(await request.json<Question>()));
    },
  },
  {
    routes: [{ path: "/v1/analyse", fields: ["text"], ttl: 10, stale_while_revalidate: 3600 }],
  },
);

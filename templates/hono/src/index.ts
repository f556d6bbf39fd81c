import { Hono } from "hono";
import { xfetch } from "xfetch-edge/hono";

export { Metrics, RefreshLease } from "xfetch-edge";

const app = new Hono();

// Before the routes: requests to these paths are answered from the cache.
app.use(xfetch(app, { routes: [{ path: "/v1/analyse", fields: ["text"], ttl: 10 }] }));

app.get("/", (c) => c.text("POST /v1/analyse is the API.\n"));

app.post("/v1/analyse", async (c) => {
  const { text } = await c.req.json<{ text: string }>();
  // The slow computation. Replace it with yours.
  await scheduler.wait(1_000);
  return c.json({ words: text.split(/\s+/).filter(Boolean).length, computedAt: new Date().toISOString() });
});

export default app;

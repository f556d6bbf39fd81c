import { Hono } from "hono";
import { xfetch } from "xfetch-edge/hono";

export { Metrics, RefreshLease } from "xfetch-edge";

// What is computed for many clients: its requests have only what the cache's key contains.
const slow = new Hono();

slow.post("/v1/analyse", async (c) => {
  const { text } = await c.req.json<{ text: string }>();
  // The slow computation. Replace it with yours.
  await scheduler.wait(1_000);
  return c.json({ words: text.split(/\s+/).filter(Boolean).length, computedAt: new Date().toISOString() });
});

const app = new Hono();

// Middleware that every request must pass, also one that the cache answers, belongs before this line.
app.use(xfetch(slow, { routes: [{ path: "/v1/analyse", fields: ["text"], ttl: 10 }] }));

app.get("/", (c) => c.text("POST /v1/analyse is the API.\n"));

export default app;

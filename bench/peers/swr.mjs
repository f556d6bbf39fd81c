// Stale-while-revalidate over the Cache API as it is commonly written: a header holds the time of storing, and
// an entry older than the TTL is served as it is and fetched again in `waitUntil`. There is no coordination:
// every request that sees a stale entry refreshes it.
const keyOf = async (request, body) => {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(body)));
  const url = new URL(request.url);
  url.pathname = `/posts${url.pathname}/${digest.toHex()}`;
  return new Request(url, { method: "GET" });
};

async function fetchAndPut(key, request, env, body) {
  const answer = await fetch(env.ORIGIN_URL + new URL(request.url).pathname, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body,
  });
  const response = new Response(answer.body, answer);
  if (!answer.ok) return response;
  response.headers.set("cache-control", "s-maxage=3600");
  response.headers.set("x-stored-at", String(Date.now()));
  await caches.default.put(key, response.clone());
  return response;
}

export default {
  async fetch(request, env, context) {
    if (request.method !== "POST") return new Response("POST only", { status: 405 });
    const body = await request.text();
    const key = await keyOf(request, body);
    const cached = await caches.default.match(key);
    if (!cached) return fetchAndPut(key, request, env, body);
    if (Date.now() - Number(cached.headers.get("x-stored-at")) >= env.TTL * 1000)
      context.waitUntil(
        fetchAndPut(key, request, env, body).then(
          () => undefined,
          () => undefined,
        ),
      );
    return cached;
  },
};

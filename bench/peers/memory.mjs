// An in-memory cache in JavaScript that does the same key work: strict JSON and one canonical form, or for GET the
// parameters in order, and SHA-256.
// Otherwise as simple as possible: after an entry's TTL every request computes, until a new entry is stored.
const entries = new Map();

const canonical = (value) =>
  value && typeof value === "object" && !Array.isArray(value)
    ? `{${Object.keys(value)
        .sort()
        .map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`)
        .join(",")}}`
    : JSON.stringify(value);

async function keyOf(url, body) {
  if (body === undefined) url.searchParams.sort();
  const target = url.pathname + url.search;
  const text =
    body === undefined ? `["1","GET","${target}",""]` : `["1","POST","${target}",${canonical(JSON.parse(body))}]`;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
  return digest.toHex();
}

export default {
  async fetch(request, env) {
    const { method } = request;
    if (method !== "POST" && method !== "GET") return new Response("GET or POST", { status: 405 });
    const url = new URL(request.url);
    const body = method === "POST" ? await request.text() : undefined;
    const key = await keyOf(url, body);
    let entry = entries.get(key);
    const now = Date.now();
    if (!entry || now >= entry.expiry) {
      const headers = body === undefined ? {} : { "content-type": "application/json" };
      const answer = await fetch(env.ORIGIN_URL + url.pathname + url.search, { method, headers, body });
      entry = {
        body: await answer.arrayBuffer(),
        stored: now,
        expiry: now + env.TTL * 1000,
        etag: `"${key.slice(0, 32)}"`,
      };
      if (answer.ok) entries.set(key, entry);
    }
    return new Response(entry.body, {
      headers: {
        "content-type": "application/json",
        age: String(Math.floor((now - entry.stored) / 1000)),
        etag: entry.etag,
        "cache-control": "no-cache",
        "cache-status": `memory; hit; ttl=${Math.ceil((entry.expiry - now) / 1000)}`,
      },
    });
  },
};

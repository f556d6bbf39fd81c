// An in-memory cache in JavaScript that does the same key work: strict JSON, one canonical form, SHA-256.
// Otherwise as simple as possible: after an entry's TTL every request computes, until a new entry is stored.
const entries = new Map();

const canonical = (value) =>
  value && typeof value === "object" && !Array.isArray(value)
    ? `{${Object.keys(value)
        .sort()
        .map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`)
        .join(",")}}`
    : JSON.stringify(value);

async function keyOf(path, body) {
  const text = `["1","POST","${path}",${canonical(JSON.parse(body))}]`;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
  return digest.toHex();
}

export default {
  async fetch(request, env) {
    if (request.method !== "POST") return new Response("POST only", { status: 405 });
    const path = new URL(request.url).pathname;
    const body = await request.text();
    const key = await keyOf(path, body);
    let entry = entries.get(key);
    const now = Date.now();
    if (!entry || now >= entry.expiry) {
      const answer = await fetch(env.ORIGIN_URL + path, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body,
      });
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

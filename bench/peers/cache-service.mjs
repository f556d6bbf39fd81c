// The service behind the Cache API under bare workerd: an in-memory cache that implements its protocol. `put`
// arrives as PUT with a whole HTTP response as its body, `match` as GET, `delete` as PURGE.
const entries = new Map();
const crlf = new TextEncoder().encode("\r\n\r\n");

function endOfHead(bytes) {
  for (let at = 0; at + 4 <= bytes.length; at += 1) {
    if (crlf.every((byte, offset) => bytes[at + offset] === byte)) return at;
  }
  return -1;
}

function take(url, bytes) {
  const at = endOfHead(bytes);
  const [line, ...fields] = new TextDecoder().decode(bytes.subarray(0, at)).split("\r\n");
  const headers = new Headers(
    fields.map((field) => [field.slice(0, field.indexOf(":")), field.slice(field.indexOf(":") + 1).trim()]),
  );
  const seconds = Number(/(?:s-maxage|max-age)=(\d+)/.exec(headers.get("cache-control") ?? "")?.[1] ?? 0);
  let body = bytes.subarray(at + 4);
  if (headers.get("transfer-encoding") === "chunked") body = dechunk(body);
  headers.delete("transfer-encoding");
  headers.delete("content-length");
  entries.set(url, { status: Number(line.split(" ")[1]), headers, body, expiry: Date.now() + seconds * 1000 });
  if (entries.size > 20_000) entries.delete(entries.keys().next().value);
}

function dechunk(bytes) {
  const parts = [];
  let at = 0;
  for (;;) {
    let end = at;
    while (bytes[end] !== 13) end += 1;
    const size = Number.parseInt(new TextDecoder().decode(bytes.subarray(at, end)), 16);
    if (!size) return new Uint8Array(parts.flatMap((part) => [...part]));
    parts.push(bytes.subarray(end + 2, end + 2 + size));
    at = end + 2 + size + 2;
  }
}

export default {
  async fetch(request) {
    if (request.method === "PUT") {
      take(request.url, new Uint8Array(await request.arrayBuffer()));
      return new Response(null, { status: 204 });
    }
    if (request.method === "PURGE") return new Response(null, { status: entries.delete(request.url) ? 200 : 404 });
    const entry = entries.get(request.url);
    if (!entry || Date.now() >= entry.expiry)
      return new Response(null, { status: 504, headers: { "cf-cache-status": "MISS" } });
    const headers = new Headers(entry.headers);
    headers.set("cf-cache-status", "HIT");
    return new Response(entry.body, { status: entry.status, headers });
  },
};

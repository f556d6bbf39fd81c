// The runtime's limit: a Worker that answers 2 KB and does not read the request.
const body = new TextEncoder().encode(JSON.stringify({ filler: "x".repeat(2_030) }));
const headers = { "content-type": "application/json" };

export default {
  fetch: () => new Response(body, { headers }),
};

// No cache: every request is the origin's.
export default {
  async fetch(request, env) {
    return fetch(env.ORIGIN_URL + new URL(request.url).pathname, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: await request.text(),
    });
  },
};

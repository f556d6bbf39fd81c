// No cache: every request goes to the origin.
export default {
  async fetch(request, env) {
    return fetch(env.ORIGIN_URL + new URL(request.url).pathname, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: await request.text(),
    });
  },
};

// This project's Worker on bare workerd, with its objects and a service behind the Cache API.

import { fileURLToPath } from "node:url";

import { build } from "../build.mjs";
import { edge, serve } from "../workerd.mjs";
import { tracked } from "./programs.mjs";

/** Everything is cached as the origin says. Where it says nothing, a failure of the origin gets a stale answer for a minute. */
const CACHED = {
  ROUTES: [
    { path: "/*", methods: ["GET"], policy: "origin", forward: "all", credentials: "origin", stale_if_error: 60 },
  ],
};

/** A plain proxy for all paths of the suite. The route is there because a configuration needs one. */
const FORWARDED = { FORWARD: ["/config", "/state", "/test"], ROUTES: [{ path: "/never/requested" }] };

const CACHE = {
  name: "cache",
  modules: [fileURLToPath(new URL("../../bench/peers/cache-service.mjs", import.meta.url))],
  isHidden: true,
};

/**
 * @param {{ isForwardOnly: boolean, folder?: string }} options `folder`: an existing build; without it, one is made
 */
export function worker({ isForwardOnly, folder }) {
  const settings = isForwardOnly ? FORWARDED : CACHED;
  return {
    id: "worker",
    label: isForwardOnly ? "xfetch-edge, all forwarded" : "xfetch-edge",
    settings: `\`${JSON.stringify(settings)}\``,
    async start(origin) {
      if (!folder) await build();
      const vars = { ORIGIN_URL: origin.url, DIGEST_SECRET: "a-secret-for-loopback-only-0123456789", ...settings };
      const running = await serve([edge({ vars, folder, cache: CACHE.name }), CACHE]);
      const stop = tracked(running.stop);
      const answer = await fetch(`${running.url}/state/none`);
      const text = await answer.text();
      if (answer.status === 503) throw new Error(`The Worker refuses its settings: ${text}`);
      return { url: running.url, stop };
    },
  };
}

// nginx with proxy_cache, and nginx without a cache: the proxy that the others are compared with.

import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { freePort } from "../ports.mjs";
import { newFolder, startProgram } from "./programs.mjs";

const TEMPORARY = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];

async function start(origin, zone, cache) {
  const folder = await newFolder("cache", "temp");
  const port = await freePort();
  const file = join(folder, "nginx.conf");
  writeFileSync(
    file,
    `daemon off;
${process.getuid?.() === 0 ? "user root;" : ""}
worker_processes 1;
pid ${join(folder, "pid")};
error_log ${join(folder, "error.log")};
events { worker_connections 1024; }
http {
  access_log off;
  ${TEMPORARY.map((it) => `${it}_temp_path ${join(folder, "temp", it)};`).join("\n  ")}
  ${zone(join(folder, "cache"))}
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass ${origin.url};
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      ${cache}
    }
  }
}
`,
  );
  return startProgram(["nginx", "-c", file], { url: `http://127.0.0.1:${port}`, folder });
}

const common = { package: "nginx", program: "nginx" };

export const nginx = {
  ...common,
  id: "nginx",
  label: "nginx",
  settings:
    "`proxy_cache` with `proxy_cache_revalidate on`, so that stale entries are validated, and `proxy_cache_background_update on`, so that a stale entry is served during its refresh where the origin allows it",
  start: (origin) =>
    start(
      origin,
      (folder) => `proxy_cache_path ${folder} levels=1:2 keys_zone=edge:8m inactive=1h use_temp_path=off;`,
      "proxy_cache edge; proxy_cache_revalidate on; proxy_cache_background_update on;",
    ),
};

export const plain = {
  ...common,
  id: "none",
  label: "no cache (nginx, `proxy_pass`)",
  settings: "`proxy_pass` alone",
  start: (origin) => start(origin, () => "", ""),
};

// Apache httpd with mod_proxy, mod_cache and mod_cache_disk.

import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { freePort } from "../ports.mjs";
import { newFolder, startProgram } from "./programs.mjs";

const FOLDER = "/usr/lib/apache2/modules";
const MODULES = ["mpm_event", "authz_core", "proxy", "proxy_http", "cache", "cache_disk"];

export const apache = {
  id: "apache",
  label: "Apache httpd",
  package: "apache2",
  program: "apache2",
  settings:
    "`mod_cache_disk` for all paths; `CacheIgnoreNoLastMod on` and `CacheDefaultExpire 0`, so that answers without `Last-Modified` are stored if and only if the origin says how long, and `CacheStoreExpired on`, so that stale answers are validated",
  async start(origin) {
    const folder = await newFolder("cache", "run");
    const port = await freePort();
    const file = join(folder, "httpd.conf");
    writeFileSync(
      file,
      `${MODULES.map((it) => `LoadModule ${it}_module ${FOLDER}/mod_${it}.so`).join("\n")}
ServerRoot ${folder}
ServerName edge.test
Listen 127.0.0.1:${port}
${process.getuid?.() === 0 ? "User www-data\nGroup www-data" : ""}
DefaultRuntimeDir ${join(folder, "run")}
PidFile ${join(folder, "run", "pid")}
ErrorLog ${join(folder, "error.log")}
ProxyPass / ${origin.url}/
CacheRoot ${join(folder, "cache")}
CacheEnable disk /
CacheDirLevels 2
CacheDirLength 1
CacheIgnoreNoLastMod on
CacheDefaultExpire 0
CacheStoreExpired on
`,
    );
    return startProgram(["apache2", "-DFOREGROUND", "-f", file], { url: `http://127.0.0.1:${port}`, folder });
  },
};

// Squid as an accelerator in front of one origin.

import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { freePort } from "../ports.mjs";
import { newFolder, startProgram } from "./programs.mjs";

export const squid = {
  id: "squid",
  label: "Squid",
  package: "squid",
  program: "squid",
  settings: "accelerator mode (`accel`, `originserver`) with its memory cache and the refresh patterns of Debian",
  async start(origin) {
    const folder = await newFolder("cores");
    const port = await freePort();
    const { hostname, port: originPort } = new URL(origin.url);
    const file = join(folder, "squid.conf");
    writeFileSync(
      file,
      `http_port 127.0.0.1:${port} accel defaultsite=${hostname}:${originPort} no-vhost
cache_peer ${hostname} parent ${originPort} 0 no-query no-digest originserver name=origin
cache_peer_access origin allow all
http_access allow all
cache_mem 64 MB
refresh_pattern -i (/cgi-bin/|\\?) 0 0% 0
refresh_pattern . 0 20% 4320
visible_hostname edge.test
access_log none
cache_store_log none
cache_log ${join(folder, "cache.log")}
pid_filename ${join(folder, "pid")}
coredump_dir ${join(folder, "cores")}
netdb_filename none
pinger_enable off
shutdown_lifetime 0 seconds
`,
    );
    return startProgram(["squid", "-N", "-f", file], { url: `http://127.0.0.1:${port}`, folder });
  },
};

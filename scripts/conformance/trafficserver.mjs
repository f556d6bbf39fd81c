// Apache Traffic Server as a reverse proxy in a folder of its own.

import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { freePort } from "../ports.mjs";
import { newFolder, startProgram } from "./programs.mjs";

const FOLDERS = { sysconfdir: "etc", runtimedir: "run", localstatedir: "run", logdir: "log", cachedir: "cache" };

export const trafficserver = {
  id: "trafficserver",
  label: "Traffic Server",
  package: "trafficserver",
  program: "traffic_server",
  settings: "one `map` rule, a cache of 64 MB on disk, and otherwise its defaults",
  async start(origin) {
    const folder = await newFolder(...new Set(Object.values(FOLDERS)));
    const port = await freePort();
    const layout = Object.entries({ prefix: "", ...FOLDERS });
    const runRoot = join(folder, "runroot.yaml");
    writeFileSync(runRoot, layout.map(([name, it]) => `${name}: ${join(folder, it)}\n`).join(""));
    const url = `http://127.0.0.1:${port}`;
    const files = {
      "remap.config": `map ${url}/ ${origin.url}/\n`,
      "storage.config": `${join(folder, "cache")} 64M\n`,
      "ip_allow.yaml": `ip_allow:\n  - { apply: in, ip_addrs: 127.0.0.1, action: allow, methods: ALL }\n`,
      "records.config": `CONFIG proxy.config.http.server_ports STRING ${port}:ip-in=127.0.0.1
${process.getuid?.() === 0 ? "CONFIG proxy.config.admin.user_id STRING trafficserver" : ""}
CONFIG proxy.config.reverse_proxy.enabled INT 1
CONFIG proxy.config.url_remap.remap_required INT 1
CONFIG proxy.config.http.wait_for_cache INT 1
CONFIG proxy.config.exec_thread.autoconfig INT 0
CONFIG proxy.config.exec_thread.limit INT 2
CONFIG proxy.config.log.logging_enabled INT 0
`,
    };
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, "etc", name), text);
    return startProgram(["traffic_server", `--run-root=${runRoot}`], { url, folder });
  },
};

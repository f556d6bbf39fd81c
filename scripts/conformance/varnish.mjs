// Varnish with its built-in VCL and one backend.

import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { freePort } from "../ports.mjs";
import { newFolder, startProgram } from "./programs.mjs";

/** Times for answers that name none. By default Varnish stores them for two minutes, and serves all stale for 10 s. */
const PARAMETERS = { default_ttl: 0, default_grace: 0, default_keep: 3600 };

export const varnish = {
  id: "varnish",
  label: "Varnish",
  package: "varnish",
  program: "varnishd",
  settings:
    "the built-in VCL; `default_ttl` and `default_grace` are 0, so that only the origin's headers count, and `default_keep` is an hour, so that stale entries are validated",
  async start(origin) {
    const folder = await newFolder("work");
    const port = await freePort();
    const { hostname, port: backend } = new URL(origin.url);
    const file = join(folder, "edge.vcl");
    writeFileSync(file, `vcl 4.1;\nbackend default { .host = "${hostname}"; .port = "${backend}"; }\n`);
    const parameters = Object.entries(PARAMETERS).flatMap(([name, value]) => ["-p", `${name}=${value}`]);
    const listen = ["-a", `127.0.0.1:${port}`, "-n", join(folder, "work")];
    return startProgram(["varnishd", "-F", ...listen, "-f", file, "-s", "malloc,64m", ...parameters], {
      url: `http://127.0.0.1:${port}`,
      folder,
    });
  },
};

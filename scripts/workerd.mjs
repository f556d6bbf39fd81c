// The built Worker under bare `workerd serve`: no development proxy and no simulator beside it, which is
// what latency is measured against. There is no Cache API there; the Worker does without.

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { copyFile, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { COMPATIBILITY_DATE, settings } from "./runtime.mjs";

/**
 * Where objects are stored: in memory where there is such a file system. Here requests and objects share
 * one thread, so a flush to a disk would stop all of them, which it does not on the platform.
 */
export const scratch = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();

const root = fileURLToPath(new URL("..", import.meta.url));

const quoted = (text) => JSON.stringify(String(text));

/** The configuration in workerd's own language; values that are no texts travel as JSON. */
function config({ vars, storage }) {
  const bindings = Object.entries(vars).map(([name, value]) =>
    typeof value === "string" ? `(name = ${quoted(name)}, text = ${quoted(value)})` : `(name = ${quoted(name)}, json = ${quoted(JSON.stringify(value))})`,
  );
  const classes = [["REFRESH_LEASE", "RefreshLease"], ["METRICS", "Metrics"]];
  const namespaces = classes.map(([, name]) => `(className = "${name}", uniqueKey = "xfetch-edge-${name}", enableSql = true)`);
  bindings.push(...classes.map(([name, className]) => `(name = "${name}", durableObjectNamespace = "${className}")`));
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = .edge),
    (name = "disk", disk = (path = ${quoted(storage)}, writable = true)),
    (name = "internet", network = (allow = ["public", "private"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
const edge :Workerd.Worker = (
  modules = [
    (name = "index.js", esModule = embed "index.js"),
    (name = "index_bg.wasm", wasm = embed "index_bg.wasm"),
  ],
  compatibilityDate = "${COMPATIBILITY_DATE}",
  bindings = [${bindings.join(", ")}],
  durableObjectNamespaces = [${namespaces.join(", ")}],
  durableObjectStorage = (localDisk = "disk"),
);
`;
}

/** Starts it. `persist` is a folder that outlives it, else a temporary one is used. */
export async function startWorkerd({ vars, persist, folder = join(root, "build") }) {
  const own = persist ?? (await mkdtemp(join(scratch, "xfetch-workerd-")));
  const storage = join(own, "objects");
  await mkdir(storage, { recursive: true });
  // workerd embeds files from beside its configuration only.
  for (const name of ["index.js", "index_bg.wasm"]) await copyFile(join(folder, name), join(own, name));
  const file = join(own, "config.capnp");
  await writeFile(file, config({ vars: settings(vars), storage }));
  const program = join(root, "node_modules", ".bin", "workerd");
  const child = spawn(program, ["serve", file, "--experimental", "--control-fd=3"], { stdio: ["ignore", "ignore", "pipe", "pipe"] });
  const complaints = [];
  child.stderr.on("data", (data) => complaints.push(String(data)));
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const port = await new Promise((resolve, reject) => {
    let text = "";
    child.stdio[3].on("data", (data) => {
      text += data;
      for (const line of text.split("\n").filter((it) => it.includes('"listen"'))) resolve(JSON.parse(line).port);
    });
    child.once("exit", () => reject(new Error(`workerd did not start: ${complaints.join("").slice(-2_000)}`)));
  });
  const end = async (signal) => {
    child.kill(signal);
    await ended;
  };
  return {
    url: `http://127.0.0.1:${port}`,
    /** Ends it as a crash does: nothing is written down. */
    kill: () => end("SIGKILL"),
    async stop() {
      await end("SIGTERM");
      if (!persist) await rm(own, { recursive: true, force: true });
    },
  };
}

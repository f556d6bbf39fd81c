// Runs Workers under bare `workerd serve`, for measuring latency: without a development proxy and without a simulator.
// There is no Cache API unless a service for it is given; our Worker also works without one.

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { copyFile, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";

import { COMPATIBILITY_DATE, settings } from "./runtime.mjs";

/**
 * The folder in which Durable Objects are stored: on a memory file system if there is one. Here requests and objects
 * share one thread, so that, unlike on the platform, a flush to disk would block all of them.
 */
export const scratch = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();

const root = fileURLToPath(new URL("..", import.meta.url));

const quoted = (text) => JSON.stringify(String(text));

/** The Worker of this project as `serve` takes it: its modules, objects and settings. */
/** @param {any} options */
export function edge({ name = "main", vars, folder = join(root, "build"), owner, ...more }) {
  const objects = { REFRESH_LEASE: "RefreshLease", METRICS: "Metrics" };
  const modules = ["index.js", "index_bg.wasm"].map((file) => join(folder, file));
  return { name, modules, vars: settings(vars), objects, owner, ...more };
}

/**
 * One Worker in workerd's configuration language; settings that are not strings are encoded as JSON. `objects` maps
 * bindings to Durable Object classes, which are the Worker's own unless another Worker is named as their `owner`.
 * `cache` is the name of the service behind the Cache API.
 */
function workerText({ name, modules, vars = {}, objects = {}, owner, cache }) {
  const module = (file) =>
    file.endsWith(".wasm")
      ? `wasm = embed "${name}/${basename(file)}"`
      : `esModule = embed "${name}/${basename(file)}"`;
  const bindings = Object.entries(vars).map(([key, value]) =>
    typeof value === "string"
      ? `(name = ${quoted(key)}, text = ${quoted(value)})`
      : `(name = ${quoted(key)}, json = ${quoted(JSON.stringify(value))})`,
  );
  for (const [binding, className] of Object.entries(objects)) {
    const namespace = owner ? `(className = "${className}", serviceName = "${owner}")` : `"${className}"`;
    bindings.push(`(name = "${binding}", durableObjectNamespace = ${namespace})`);
  }
  const namespaces = Object.values(owner ? {} : objects).map(
    (it) => `(className = "${it}", uniqueKey = "xfetch-edge-${it}", enableSql = true)`,
  );
  const listed = modules.map((file) => `(name = "${basename(file)}", ${module(file)})`);
  return `(
    modules = [${listed.join(", ")}],
    compatibilityDate = "${COMPATIBILITY_DATE}",
    bindings = [${bindings.join(", ")}],
    durableObjectNamespaces = [${namespaces.join(", ")}],
    durableObjectStorage = (localDisk = "disk"),
    ${cache ? `cacheApiOutbound = "${cache}",` : ""}
  )`;
}

function configText(workers, storage, v8Flags) {
  const services = workers.map((worker) => `(name = "${worker.name}", worker = ${workerText(worker)})`);
  const sockets = workers
    .filter((worker) => !worker.isHidden)
    .map(({ name }) => `(name = "${name}", address = "127.0.0.1:0", http = (), service = "${name}")`);
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    ${services.join(",\n    ")},
    (name = "disk", disk = (path = ${quoted(storage)}, writable = true)),
    (name = "internet", network = (allow = ["public", "private"])),
  ],
  sockets = [${sockets.join(", ")}],
  v8Flags = [${v8Flags.map(quoted).join(", ")}],
);
`;
}

/**
 * Starts Workers in one process, each on its own socket unless it `isHidden`. `persist` is a folder for storage that is
 * kept when the process ends; without it, a temporary folder is used. `prefix` is put before the command, for example
 * `taskset`; `v8Flags` are flags of the JavaScript engine.
 */
/** @param {any[]} workers @param {{ persist?: string, prefix?: string[], v8Flags?: string[] }} options */
export async function serve(workers, { persist, prefix = [], v8Flags = [] } = {}) {
  const own = persist ?? (await mkdtemp(join(scratch, "xfetch-workerd-")));
  const storage = join(own, "objects");
  await mkdir(storage, { recursive: true });
  // workerd embeds only files from the folder of its configuration.
  for (const { name, modules } of workers) {
    await mkdir(join(own, name), { recursive: true });
    for (const file of modules) await copyFile(file, join(own, name, basename(file)));
  }
  const file = join(own, "config.capnp");
  await writeFile(file, configText(workers, storage, v8Flags));
  const words = [
    ...prefix,
    join(root, "node_modules", ".bin", "workerd"),
    "serve",
    file,
    "--experimental",
    "--control-fd=3",
  ];
  const child = spawn(words[0], words.slice(1), { stdio: ["ignore", "ignore", "pipe", "pipe"] });
  const complaints = [];
  child.stderr.on("data", (data) => complaints.push(String(data)));
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const visible = workers.filter((worker) => !worker.isHidden);
  const ports = await new Promise((resolve, reject) => {
    let text = "";
    child.stdio[3].on("data", (data) => {
      text += data;
      const lines = text.split("\n").filter((it) => it.includes('"listen"'));
      if (lines.length === visible.length)
        resolve(Object.fromEntries(lines.map((line) => JSON.parse(line)).map((it) => [it.socket, it.port])));
    });
    child.once("exit", () => reject(new Error(`workerd did not start: ${complaints.join("").slice(-2_000)}`)));
  });
  const end = async (signal) => {
    child.kill(signal);
    await ended;
  };
  const urls = visible.map(({ name }) => `http://127.0.0.1:${ports[name]}`);
  return {
    url: urls[0],
    urls,
    pid: child.pid,
    complaints,
    /** Ends the process as a crash would: nothing more is saved. */
    kill: () => end("SIGKILL"),
    async stop() {
      await end("SIGTERM");
      if (!persist) await rm(own, { recursive: true, force: true });
    },
  };
}

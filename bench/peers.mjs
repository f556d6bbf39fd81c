// The Workers and servers that are compared, each started as its own documentation recommends for this purpose.

import { fork, spawn } from "node:child_process";
import { chmodSync, cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { cpus } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { build, runTool } from "../scripts/build.mjs";
import { freePort } from "../scripts/ports.mjs";
import { PATH, route } from "../scripts/runtime.mjs";
import { TOOLS, installTool, toolEnvironment } from "../scripts/setup.mjs";
import { edge, scratch, serve } from "../scripts/workerd.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const here = (name) => join(root, "bench", "peers", name);
const CACHE = { name: "cache", modules: [here("cache-service.mjs")], isHidden: true };

/** Creates a folder for one run's files, which the users that some servers run as can read. */
export async function newFolder() {
  const folder = await mkdtemp(join(scratch, "xfetch-bench-"));
  chmodSync(folder, 0o755);
  return folder;
}

/** Starts the origin in a process of its own. Returns its address and the functions that control it. */
export async function startBenchOrigin(settings, prefix = []) {
  const script = join(root, "bench", "origin.mjs");
  const options = prefix.length > 0 ? { execPath: prefix[0], execArgv: [...prefix.slice(1), process.execPath] } : {};
  const child = fork(script, [], { ...options, stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const port = await new Promise((resolve, reject) => {
    child.once("message", resolve);
    child.once("exit", () => reject(new Error("the origin did not start")));
  });
  const url = `http://127.0.0.1:${port}`;
  const control = async (path, value) =>
    (await fetch(url + path, { method: "POST", body: JSON.stringify(value ?? {}) })).json();
  await control("/control", settings);
  return {
    url,
    pid: child.pid,
    set: (change) => control("/control", change),
    reset: () => control("/control/reset"),
    counts: () => control("/control"),
    stop: () =>
      new Promise((resolve) => {
        child.once("exit", resolve);
        child.kill();
      }),
  };
}

/** This project's Worker, in `colos` colos with a Cache API each. */
/** @param {any} options */
export function startEdge({ origin, ttl, change = {}, vars = {}, colos = 1, prefix, folder }) {
  if (!folder) build();
  const settings = {
    ORIGIN_URL: origin.url,
    ROUTES: [route({ ttl, fields: undefined, ...change })],
    FLUSH_INTERVAL: 10,
    ...vars,
  };
  const workers = Array.from({ length: colos }, (_, place) => [
    edge({
      name: `colo${place}`,
      folder,
      vars: settings,
      owner: place === 0 ? undefined : "colo0",
      cache: `cache${place}`,
    }),
    { ...CACHE, name: `cache${place}` },
  ]);
  return serve(workers.flat(), { prefix });
}

/** The commands that give the server one core and the load the other; with a single core they are empty. */
export const CORES = cpus().length > 1 ? [0, 1].map((core) => ["taskset", "-c", String(core)]) : [[], []];

/** The process ids of a peer. */
export const processes = (peer) => peer.pids ?? [peer.pid];

/** A Worker in JavaScript, bundled with what it imports. */
/** @param {string} name @param {any} options */
export function startScript(name, { origin, ttl, prefix, cache = false }) {
  const bundled = join(root, "bench", "build", name);
  const env = toolEnvironment();
  runTool(env.ESBUILD_BIN, [here(name), "--bundle", "--format=esm", `--outfile=${bundled}`, "--log-level=warning"], {
    env,
  });
  const vars = { ORIGIN_URL: origin.url, TTL: ttl };
  const worker = { name: "main", modules: [bundled], vars, cache: cache ? "cache" : undefined };
  return serve(cache ? [worker, CACHE] : [worker], { prefix });
}

const rust = new Map();

/** Builds the minimal Worker in Rust that `feature` selects, in a folder of its own and once per run. */
export async function buildRust(feature) {
  if (!rust.has(feature)) {
    const env = { ...toolEnvironment(), WASM_BINDGEN_BIN: await installTool(TOOLS["wasm-bindgen"]()) };
    const workerBuild = await installTool(TOOLS["worker-build"]());
    runTool(workerBuild, ["--release", "--features", feature], { cwd: here("rust"), env });
    const folder = join(root, "bench", "build", `rust-${feature}`);
    cpSync(join(here("rust"), "build"), folder, { recursive: true });
    rust.set(feature, folder);
  }
  return rust.get(feature);
}

/** @param {string} feature @param {any} options */
export async function startRust(feature, { prefix }) {
  const folder = await buildRust(feature);
  const modules = ["index.js", "index_bg.wasm"].map((file) => join(folder, file));
  return serve([{ name: "main", modules, objects: feature === "object" ? { BARE: "Bare" } : {} }], { prefix });
}

/** This project's objects, and a Worker that sends them messages as fast as they reply. */
/** @param {any} options */
export async function startDriver({ origin, ttl, prefix }) {
  build();
  const folder = await buildRust("driver");
  const modules = ["index.js", "index_bg.wasm"].map((file) => join(folder, file));
  const owner = edge({ name: "colo0", vars: { ORIGIN_URL: origin.url, ROUTES: [route({ ttl })] } });
  return serve([owner, { name: "driver", modules, objects: { REFRESH_LEASE: "RefreshLease" }, owner: "colo0" }], {
    prefix,
  });
}

async function reachable(url, child) {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    if (child.exitCode !== null) throw new Error(`${child.spawnfile} did not start`);
    try {
      await fetch(url);
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  throw new Error(`${url} cannot be reached`);
}

async function startProgram(words, { url, folder }) {
  const child = spawn(words[0], words.slice(1), { stdio: ["ignore", "ignore", "pipe"] });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const said = [];
  child.stderr.on("data", (data) => said.push(String(data)));
  await reachable(url, child).catch((error) => {
    throw new Error(`${error.message}: ${said.join("").slice(-2_000)}`);
  });
  return {
    url,
    urls: [url],
    pid: child.pid,
    pids: withChildren(child.pid),
    async stop() {
      child.kill("SIGTERM");
      await ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** A process and its children, one level. */
const withChildren = (pid) => [
  pid,
  ...readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").filter(Boolean).map(Number),
];

/**
 * nginx with proxy_cache: the body is a part of the key, stale entries are served during a background update, and only
 * one request at a time fetches a missing entry.
 */
/** @param {any} options */
export async function startNginx({ origin, ttl, prefix = [] }) {
  const folder = await newFolder();
  for (const name of ["cache", "temp"]) mkdirSync(join(folder, name));
  const port = await freePort();
  const temps = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((it) => `${it}_temp_path ${join(folder, "temp", it)};`)
    .join("\n  ");
  writeFileSync(
    join(folder, "nginx.conf"),
    `daemon off;
user root;
worker_processes 1;
pid ${join(folder, "pid")};
error_log ${join(folder, "error.log")};
events { worker_connections 4096; }
http {
  access_log off;
  ${temps}
  keepalive_requests 1000000;
  proxy_cache_path ${join(folder, "cache")} levels=1:2 keys_zone=edge:32m inactive=1h use_temp_path=off;
  upstream origin { server ${new URL(origin.url).host}; keepalive 64; }
  server {
    listen 127.0.0.1:${port} backlog=1024;
    location / {
      proxy_pass http://origin;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      client_body_buffer_size 64k;
      client_body_in_single_buffer on;
      proxy_cache edge;
      proxy_cache_methods POST;
      proxy_cache_key "$uri|$request_body";
      proxy_cache_valid 200 ${ttl}s;
      proxy_cache_lock on;
      proxy_cache_lock_timeout 30s;
      proxy_cache_lock_age 30s;
      proxy_cache_background_update on;
      proxy_cache_use_stale updating error timeout http_500 http_502 http_503 http_504;
      add_header X-Cache-Status $upstream_cache_status;
    }
  }
}
`,
  );
  return startProgram([...prefix, "nginx", "-c", join(folder, "nginx.conf")], {
    url: `http://127.0.0.1:${port}`,
    folder,
  });
}

/** Varnish with bodyaccess of varnish-modules: the body is a part of the hash, a grace of an hour covers the refresh and failures. */
/** @param {any} options */
export async function startVarnish({ origin, ttl, prefix = [] }) {
  const folder = await newFolder();
  const port = await freePort();
  const { hostname, port: backend } = new URL(origin.url);
  writeFileSync(
    join(folder, "default.vcl"),
    `vcl 4.1;
import std;
import bodyaccess;
backend default { .host = "${hostname}"; .port = "${backend}"; .first_byte_timeout = 30s; }
sub vcl_recv {
  if (req.method == "POST") {
    std.cache_req_body(64KB);
    set req.http.x-method = req.method;
    return (hash);
  }
  return (pass);
}
sub vcl_hash { bodyaccess.hash_req_body(); }
sub vcl_backend_fetch { if (bereq.http.x-method) { set bereq.method = "POST"; unset bereq.http.x-method; } }
sub vcl_backend_response {
  if (beresp.status >= 500) { if (bereq.is_bgfetch) { return (abandon); } set beresp.ttl = 0s; return (deliver); }
  set beresp.ttl = ${ttl}s;
  set beresp.grace = 1h;
}
`,
  );
  const words = [
    ...prefix,
    "varnishd",
    "-F",
    "-n",
    folder,
    "-a",
    `127.0.0.1:${port}`,
    "-f",
    join(folder, "default.vcl"),
    "-s",
    "malloc,128m",
    "-p",
    "vcc_allow_inline_c=off",
  ];
  return startProgram(words, { url: `http://127.0.0.1:${port}`, folder });
}

/** Another build of this Worker to compare with: the folder of its `build`, such as that of an older checkout. */
const BEFORE = process.env.BEFORE;

/** The peers of a part, with the other build if `BEFORE` is set, and only those in `ONLY` if that is set. */
export const chosen = (names) => {
  const all = BEFORE ? [...names, "edge-before"] : names;
  const only = process.env.ONLY?.split(",");
  return only ? all.filter((name) => only.includes(name)) : all;
};

/** All peers by name, with their labels in the tables. Each is started with `{ origin, ttl, prefix }`. */
export const PEERS = {
  hello: { label: "JavaScript hello (the limit)", start: (use) => startScript("hello.mjs", use) },
  memory: { label: "JavaScript memory cache, same key work", start: (use) => startScript("memory.mjs", use) },
  "cache-api": {
    label: "JavaScript over the Cache API",
    start: (use) => startScript("cache-api.mjs", { ...use, cache: true }),
  },
  swr: {
    label: "stale-while-revalidate over the Cache API",
    start: (use) => startScript("swr.mjs", { ...use, cache: true }),
  },
  cachified: { label: "cachified in a Worker", start: (use) => startScript("cachified.mjs", use) },
  none: { label: "no cache", start: (use) => startScript("none.mjs", use) },
  "rust-hello": { label: "workers-rs hello", start: (use) => startRust("hello", use) },
  "rust-raw": { label: "Rust hello, raw types, reads the body", start: (use) => startRust("raw", use) },
  edge: { label: "xfetch-edge", start: (use) => startEdge(use) },
  "edge-2": { label: "xfetch-edge, two colos", start: (use) => startEdge({ ...use, colos: 2 }) },
  "edge-before": { label: "xfetch-edge, the build before", start: (use) => startEdge({ ...use, folder: BEFORE }) },
  nginx: { label: "nginx proxy_cache", start: startNginx },
  varnish: { label: "Varnish", start: startVarnish },
};

export { PATH };

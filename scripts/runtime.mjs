// Runs the built Worker for the tests: in real workerd under Miniflare, on direct sockets without a development proxy,
// with the Cache API and with objects that can be evicted. Several colos are several Workers that share one namespace
// of objects, each with its own cache.

import { readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { Log, LogLevel, Miniflare, convertV4MiniflareOptions } from "miniflare";

const root = fileURLToPath(new URL("..", import.meta.url));

export const ADMIN_TOKEN = "a-token-for-loopback-only";
export const PATH = "/api/v1/brain/calculate";
export const COMPATIBILITY_DATE = "2026-10-15";

/** The settings of a test: these defaults, changed by the caller's; undefined removes a setting. */
export function settings(vars) {
  const all = { DEVELOPMENT: true, FLUSH_INTERVAL: 1, ADMIN_TOKEN, ROUTES: [route()], ...vars };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

/** The route of the example origin, with changes. */
/** @returns {Record<string, any>} */
export function route(change = {}) {
  return {
    path: PATH,
    fields: ["home_team", "away_team", "match_date"],
    ttl: 5,
    stale_while_revalidate: 60,
    stale_if_error: 600,
    ...change,
  };
}

function worker(name, folder, vars, { owner, prelude, saboteur, ratelimits }) {
  const object = (className) => ({ className, useSQLite: true, ...(owner ? { scriptName: owner } : {}) });
  const lease = object("RefreshLease");
  const sabotaged = { REFRESH_LEASE: { className: "Saboteur", scriptName: "saboteur" }, REAL_LEASE: lease };
  // The prelude may change the isolate's globals before the Worker's own module runs. If it defines `wrapContext` and
  // `wrapEnv`, they replace each request's context and bindings.
  const entry = `
    import "./prelude.js";
    import worker from "./index.js";
    export * from "./index.js";
    const { wrapContext = (it) => it, wrapEnv = (it) => it } = globalThis;
    export default { fetch: (request, env, context) => worker.fetch(request, wrapEnv(env), wrapContext(context)) };
  `;
  const modules = [
    { type: "ESModule", path: join(folder, "entry.js"), contents: entry },
    { type: "ESModule", path: join(folder, "prelude.js"), contents: prelude },
  ];
  return {
    name,
    modules: [
      ...(prelude ? modules : []),
      { type: "ESModule", path: join(folder, "index.js"), contents: readFileSync(join(folder, "index.js"), "utf8") },
      {
        type: "CompiledWasm",
        path: join(folder, "index_bg.wasm"),
        contents: readFileSync(join(folder, "index_bg.wasm")),
      },
    ],
    modulesRoot: folder,
    compatibilityDate: COMPATIBILITY_DATE,
    bindings: vars,
    ratelimits,
    durableObjects: { ...(saboteur ? sabotaged : { REFRESH_LEASE: lease }), METRICS: object("Metrics") },
    unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }],
  };
}

/** A Durable Object in front of every key's object, which disturbs its messages in the mode that a test has set. */
const SABOTEUR = `
let mode = "none";
export class Saboteur {
  constructor(state, env) {
    this.real = env.REAL_LEASE.getByName(state.id.name);
  }
  async fetch(request) {
    const bytes = new Uint8Array(await request.arrayBuffer());
    if (mode === "throw") throw new Error("sabotage");
    if (mode === "garbage") return new Response("garbage");
    if (mode === "unknown") bytes[0] = 9;
    if (mode === "slow") await new Promise((resolve) => setTimeout(resolve, 4_000));
    if (mode === "deaf") await new Promise(() => setTimeout(() => {}, 10_000));
    return this.real.fetch("https://object/", { method: "POST", body: bytes });
  }
}
export default {
  async fetch(request) {
    mode = await request.text();
    return new Response(mode);
  },
};
`;

function saboteurWorker() {
  return {
    name: "saboteur",
    modules: [{ type: "ESModule", path: "saboteur.js", contents: SABOTEUR }],
    modulesRoot: ".",
    compatibilityDate: COMPATIBILITY_DATE,
    durableObjects: {
      SABOTEUR: { className: "Saboteur" },
      REAL_LEASE: { className: "RefreshLease", useSQLite: true, scriptName: "colo-0" },
    },
    unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }],
  };
}

/** A Worker that passes each request to the first colo's over a service binding with these properties. */
function callerWorker([name, props]) {
  return {
    name,
    modules: [
      {
        type: "ESModule",
        path: "caller.js",
        contents: "export default { fetch: (request, env) => env.CACHE.fetch(request) };",
      },
    ],
    modulesRoot: ".",
    compatibilityDate: COMPATIBILITY_DATE,
    serviceBindings: { CACHE: { name: "colo-0", props } },
    unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }],
  };
}

/** The workerd processes that this process has started. */
function children() {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
        const parent = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
        return parent === process.pid && readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("workerd");
      } catch {
        return false;
      }
    });
}

/**
 * Starts the runtime. `colos` are the settings of each colo's Worker, which override the shared `vars`. `persist` is a
 * folder for storage that is kept when the runtime ends; without it, a temporary folder is used. `prelude` is a module
 * that runs before the Worker's own; `saboteur` puts the Saboteur object in front of the keys' objects. `ratelimits` are
 * rate-limiting bindings, `callers` Workers that call over a service binding, each with its properties.
 */
/** @param {any} options */
export async function startRuntime({
  vars,
  colos = [{}],
  persist,
  folder = join(root, "build"),
  prelude,
  saboteur = false,
  verbose = false,
  ratelimits,
  callers = {},
}) {
  const storage = persist ?? (await mkdtemp(join(tmpdir(), "xfetch-edge-")));
  const logs = [];
  const before = new Set(children());
  const workers = colos.map((change, place) =>
    worker(`colo-${place}`, folder, settings({ ...vars, ...change }), {
      owner: place === 0 ? undefined : "colo-0",
      prelude,
      saboteur,
      ratelimits,
    }),
  );
  const others = [...(saboteur ? [saboteurWorker()] : []), ...Object.entries(callers).map(callerWorker)];
  const mf = new Miniflare(
    convertV4MiniflareOptions({
      workers: [...workers, ...others],
      resourcePersistencePath: storage,
      log: new Log(verbose ? LogLevel.DEBUG : LogLevel.ERROR),
      handleStructuredLogs: ({ level, message }) => {
        logs.push({ level, message });
        if (verbose) console.error(`[workerd ${level}] ${message}`);
      },
    }),
  );
  await mf.ready;
  const urls = [];
  for (const { name } of workers) urls.push(String(await mf.unsafeGetDirectURL(name)).replace(/\/$/, ""));
  /** @type {Record<string, string>} */
  const callerUrls = {};
  for (const name of Object.keys(callers)) {
    callerUrls[name] = String(await mf.unsafeGetDirectURL(name)).replace(/\/$/, "");
  }
  const sabotageUrl = saboteur ? String(await mf.unsafeGetDirectURL("saboteur")) : undefined;
  const pids = children().filter((pid) => !before.has(pid));
  const dispose = async () => {
    await mf.dispose().catch(() => {});
  };
  return {
    urls,
    url: urls[0],
    callerUrls,
    logs,
    /** Ends the runtime as a crash would: nothing more is saved. */
    async kill() {
      for (const pid of pids) process.kill(pid, "SIGKILL");
      await dispose();
    },
    async stop() {
      await dispose();
      if (!persist) await rm(storage, { recursive: true, force: true });
    },
    /** What happens to messages to the keys' objects from now on: none, throw, slow, deaf, garbage, unknown. */
    sabotage: (mode) => fetch(sabotageUrl, { method: "POST", body: mode }).then((answer) => answer.text()),
    evict: (name, className = "RefreshLease") => mf.unsafeEvictDurableObject("colo-0", className, { name }),
  };
}

// Each template in a fresh folder with the package's tarball: its types hold, it starts under `wrangler dev`, and it
// answers a miss, a hit and a stale hit with one refresh. The package itself passes the linters of npm packages.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { appendFileSync, copyFileSync, cpSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { before, describe, test } from "node:test";

import { freePort } from "../../scripts/ports.mjs";
import { TOOLS, installTool, toolEnvironment } from "../../scripts/setup.mjs";
import { bin, install, root, run, tarball } from "./installed.mjs";

const TOKEN = "development-only-token";
const sleep = (/** @type {number} */ ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Starts `wrangler dev` in a folder; returns its address and a function that ends it. */
async function dev(
  /** @type {string} */ folder,
  {
    env: own = process.env,
    limit = 60_000,
    wrangler = join(root, "node_modules", "wrangler", "bin", "wrangler.js"),
  } = {},
) {
  const port = await freePort();
  const words = [wrangler, "dev", "--ip", "127.0.0.1", "--port", String(port), "--inspector-port", "0"];
  const env = {
    ...own,
    CI: "true",
    NO_COLOR: "1",
    WRANGLER_SEND_METRICS: "false",
    CLOUDFLARE_CF_FETCH_ENABLED: "false",
  };
  const child = spawn(process.execPath, words, { cwd: folder, env, stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (said += data));
  const url = `http://127.0.0.1:${port}`;
  const end = Date.now() + limit;
  for (;;) {
    const answer = await fetch(`${url}/_xfetch/health`).catch(() => undefined);
    if (answer?.ok) break;
    assert.ok(Date.now() < end && child.exitCode === null, `wrangler dev did not answer:\n${said}`);
    await sleep(200);
  }
  const stop = () =>
    new Promise((resolve) => {
      child.on("exit", resolve);
      child.kill("SIGTERM");
    });
  return { url, stop };
}

/** A miss, a hit, and a stale hit with one refresh, whatever the template computes. */
async function follows(url) {
  const body = JSON.stringify({ text: "a slow question" });
  const ask = async () => {
    const began = performance.now();
    const answer = await fetch(`${url}/v1/analyse`, {
      method: "POST",
      body,
      headers: { "content-type": "application/json" },
    });
    const text = await answer.text();
    return { status: answer.headers.get("cache-status"), text, took: performance.now() - began };
  };
  const miss = await ask();
  assert.match(miss.status, /fwd=miss; stored/, miss.text);
  assert.ok(miss.took > 900, "it takes a second");
  const hit = await ask();
  assert.match(hit.status, /hit; ttl=\d/);
  assert.equal(hit.text, miss.text);
  await sleep(10_500);
  const stale = await ask();
  assert.match(stale.status, /hit; ttl=-\d+; detail=stale/);
  assert.equal(stale.text, miss.text);
  assert.ok(stale.took < 700, `a stale answer took ${stale.took} ms`);
  await sleep(2_000);
  const refreshed = await ask();
  assert.match(refreshed.status, /hit; ttl=\d/);
  const metrics = await fetch(`${url}/_xfetch/metrics`, { headers: { authorization: `Bearer ${TOKEN}` } });
  const { counters } = await metrics.json();
  const { total_requests, cache_miss, cache_hit_fresh, cache_hit_stale, compute_calls } = counters;
  assert.deepEqual([total_requests, cache_miss, cache_hit_fresh, cache_hit_stale, compute_calls], [4, 1, 2, 1, 2]);
}

before(() => void tarball());

describe("templates", { concurrency: 3 }, () => {
  for (const name of ["typescript", "hono", "proxy"]) {
    test(name, async () => {
      const folder = install(join(root, "templates", name));
      const example = join(folder, ".dev.vars.example");
      copyFileSync(example, join(folder, ".dev.vars"));
      run(process.execPath, [join(root, "node_modules", "wrangler", "bin", "wrangler.js"), "types"], { cwd: folder });
      run(bin("tsc"), ["--noEmit"], { cwd: folder });
      if (name === "typescript") {
        const check = join(root, "tests", "package", "types", "platform.ts");
        copyFileSync(check, join(folder, "src", "platform.ts"));
        run(bin("tsc"), ["--noEmit", "--skipLibCheck", "false"], { cwd: folder });
      }
      const origin = name === "proxy" ? await startAnalysis() : undefined;
      if (origin) {
        const vars = readFileSync(example, "utf8").replace("http://127.0.0.1:8788", origin.url);
        writeFileSync(join(folder, ".dev.vars"), vars);
      }
      const { url, stop } = await dev(folder);
      try {
        await follows(url);
      } finally {
        await stop();
        await origin?.close();
      }
    });
  }
});

test("with Node alone the TypeScript template answers its first hit within a minute of npm install", async () => {
  const folder = mkdtempSync(join(tmpdir(), "xfetch-node-alone-"));
  cpSync(join(root, "templates", "typescript"), folder, {
    recursive: true,
    filter: (path) => !path.includes("node_modules"),
  });
  const file = join(folder, "package.json");
  const manifest = JSON.parse(readFileSync(file, "utf8"));
  manifest.dependencies["xfetch-edge"] = `file:${tarball()}`;
  writeFileSync(file, JSON.stringify(manifest));
  const npm = spawnSync("which", ["npm"], { encoding: "utf8" }).stdout.trim();
  const PATH = [dirname(process.execPath), dirname(npm), "/usr/bin", "/bin"].join(":");
  const env = { ...process.env, PATH };
  for (const tool of ["cargo", "rustc", "wasm-bindgen", "worker-build"]) {
    assert.ok(spawnSync(tool, ["--version"], { env }).error, `${tool} is on the path`);
  }
  const began = performance.now();
  run(npm, ["install", "--no-audit", "--no-fund", "--loglevel=error"], { cwd: folder, env });
  const wrangler = join(folder, "node_modules", "wrangler", "bin", "wrangler.js");
  const { url, stop } = await dev(folder, { env, wrangler });
  try {
    const ask = () =>
      fetch(`${url}/v1/analyse`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ text: "a slow question" }),
      });
    assert.match(String((await ask()).headers.get("cache-status")), /fwd=miss; stored/);
    assert.match(String((await ask()).headers.get("cache-status")), /hit; ttl=/);
    const took = (performance.now() - began) / 1_000;
    assert.ok(took < 60, `${took} s`);
  } finally {
    await stop();
  }
});

/** An origin behind the proxy, which takes a second. */
async function startAnalysis() {
  const server = createHttpServer((request, response) => {
    request.resume();
    setTimeout(() => {
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify({ path: request.url, at: Date.now() }));
    }, 1_000);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  return {
    url: `http://127.0.0.1:${port}`,
    close: async () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

test("rust, built by worker-build from a copy outside of the repository", { timeout: 600_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), "xfetch-rust-"));
  cpSync(join(root, "templates", "rust"), folder, {
    recursive: true,
    filter: (path) => !/\/(build|target)$/.test(path),
  });
  // The crate is not published yet; and wrangler would install worker-build with optimisation, which takes minutes.
  appendFileSync(join(folder, "Cargo.toml"), `\n[patch.crates-io]\nxfetch-edge = { path = "${root}" }\n`);
  copyFileSync(join(root, "Cargo.lock"), join(folder, "Cargo.lock"));
  const settings = join(folder, "wrangler.toml");
  writeFileSync(
    settings,
    readFileSync(settings, "utf8").replace(/^command = .*/m, 'command = "worker-build --release"'),
  );
  const workerBuild = await installTool(TOOLS["worker-build"]());
  const env = {
    ...toolEnvironment(),
    PATH: `${dirname(workerBuild)}:${toolEnvironment().PATH}`,
    WASM_BINDGEN_BIN: await installTool(TOOLS["wasm-bindgen"]()),
    CARGO_TARGET_DIR: join(root, "target", "template"),
  };
  const origin = await startAnalysis();
  const vars = readFileSync(join(folder, ".dev.vars.example"), "utf8").replace("http://127.0.0.1:8788", origin.url);
  writeFileSync(join(folder, ".dev.vars"), vars);
  const { url, stop } = await dev(folder, { env, limit: 400_000 });
  try {
    assert.equal(await (await fetch(`${url}/own/hello`)).text(), "hello from the embedding Worker");
    await follows(url);
  } finally {
    await stop();
    await origin.close();
  }
});

test("until its origin is set, the proxy says what is missing", async () => {
  const folder = install(join(root, "templates", "proxy"));
  const port = await freePort();
  const wrangler = join(root, "node_modules", "wrangler", "bin", "wrangler.js");
  const words = [wrangler, "dev", "--ip", "127.0.0.1", "--port", String(port), "--inspector-port", "0"];
  const child = spawn(process.execPath, words, { cwd: folder, env: { ...process.env, CI: "true" }, stdio: "ignore" });
  try {
    let answer;
    for (const end = Date.now() + 60_000; !answer && Date.now() < end; await sleep(200)) {
      answer = await fetch(`http://127.0.0.1:${port}/v1/analyse`).catch(() => undefined);
    }
    assert.equal(answer.status, 503);
    assert.match((await answer.json()).detail, /The setting ORIGIN_URL is missing/);
  } finally {
    child.kill("SIGTERM");
  }
});

test("no template carries a development setting or a secret into production", () => {
  for (const name of ["typescript", "hono", "proxy", "rust"]) {
    const settings = readFileSync(join(root, "templates", name, "wrangler.toml"), "utf8");
    assert.doesNotMatch(settings, /^\s*(DEVELOPMENT|ADMIN_TOKEN|ORIGIN_HEADERS)\s*=/m, name);
    assert.doesNotMatch(settings, /127\.0\.0\.1|localhost/, name);
    assert.match(readFileSync(join(root, "templates", name, ".gitignore"), "utf8"), /^\.dev\.vars$/m);
  }
});

test("publint and arethetypeswrong find nothing", () => {
  run(bin("publint"), ["--strict", tarball()]);
  run(bin("attw"), ["--profile", "esm-only", tarball()]);
});

test("the tarball has no install scripts, its licences, and the project's version", () => {
  const files = run("tar", ["tzf", tarball()]).split("\n");
  for (const name of ["README.md", "LICENSE-APACHE", "LICENSE-MIT", "dist/index_bg.wasm", "dist/index.d.ts"]) {
    assert.ok(files.includes(`package/${name}`), name);
  }
  const manifest = JSON.parse(run("tar", ["xzfO", tarball(), "package/package.json"]));
  assert.equal(manifest.scripts, undefined);
  assert.equal(Object.keys(manifest.exports["."])[0], "types");
  assert.equal(manifest.version, JSON.parse(readFileSync(join(root, "package.json"), "utf8")).version);
});

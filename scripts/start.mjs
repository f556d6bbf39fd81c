// `npm start`: builds, starts the analysis origin and the Worker under `wrangler dev`.
//
// PORT sets the Worker's port (the origin takes the next one), and ORIGIN_URL replaces the origin. Flags after `--` are
// passed to `wrangler dev` and replace this script's own flags of the same name.

import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { startOrigin } from "../examples/origin/server.mjs";
import { buildPage } from "./build-www.mjs";
import { build } from "./build.mjs";
import { toolEnvironment } from "./setup.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const vars = join(root, ".dev.vars");

/** The development token in `.dev.vars`, which git ignores; it is created on first use. */
function developmentToken() {
  const known = existsSync(vars) ? readFileSync(vars, "utf8") : "";
  const found = known.match(/^ADMIN_TOKEN\s*=\s*"?([^"\s]+)"?/m);
  if (found) return found[1];
  const token = randomBytes(24).toString("base64url");
  const glue = known === "" || known.endsWith("\n") ? "" : "\n";
  const mode = known.includes("DEVELOPMENT") ? "" : "DEVELOPMENT=true\n";
  writeFileSync(vars, `${known}${glue}ADMIN_TOKEN=${token}\n${mode}`, { mode: 0o600 });
  return token;
}

/** The flags of the caller as [name, value] pairs; a flag without a value has undefined. */
function parseFlags(words) {
  const flags = [];
  for (let place = 0; place < words.length; place += 1) {
    const word = words[place];
    const [name, ...rest] = word.split("=");
    if (!word.startsWith("-")) flags.push([undefined, word]);
    else if (rest.length > 0) flags.push([name, rest.join("=")]);
    else if (place + 1 < words.length && !words[place + 1].startsWith("-")) flags.push([name, words[(place += 1)]]);
    else flags.push([name, undefined]);
  }
  return flags;
}

/** Our flags without those that the caller replaces, then the caller's; each `--var` variable counts as a flag. */
function merge(own, given) {
  const identity = ([name, value]) => (name === "--var" ? `--var ${value?.split(":")[0]}` : name);
  const replaced = new Set(given.map(identity));
  const kept = own.filter((flag) => !replaced.has(identity(flag)));
  return [...kept, ...given].flatMap(([name, value]) => [name, value].filter((it) => it !== undefined));
}

function port() {
  const value = process.env.PORT || "8787";
  if (!/^\d+$/.test(value) || Number(value) < 1 || Number(value) > 65_534) {
    throw new Error(`PORT is ${JSON.stringify(value)}, but must be a number from 1 to 65534.`);
  }
  return Number(value);
}

async function main() {
  const given = parseFlags(process.argv.slice(2));
  const workerPort = port();
  const gives = (name) => given.some(([flag, value]) => flag === "--var" && value?.startsWith(`${name}:`));
  build();
  buildPage();
  const token = developmentToken();
  let originUrl = process.env.ORIGIN_URL;
  let origin;
  if (!originUrl && !gives("ORIGIN_URL")) {
    try {
      origin = await startOrigin({ port: workerPort + 1 });
    } catch (error) {
      throw new Error(
        `The analysis origin cannot listen on port ${workerPort + 1}, the one after the Worker's ${workerPort} (${error.code}). ` +
          "Is another npm start running? Set PORT, or ORIGIN_URL for an origin of your own.",
      );
    }
    originUrl = origin.url;
  }
  const own = [
    ["--ip", "127.0.0.1"],
    ["--port", String(workerPort)],
    ["--inspector-port", "0"],
    ["--show-interactive-dev-session", "false"],
    ["--var", "DEVELOPMENT:true"],
    ["--var", "PAGE:true"],
    ["--var", "FLUSH_INTERVAL:1"],
    ...(originUrl ? [["--var", `ORIGIN_URL:${originUrl}`]] : []),
    // The page's controls for the development origin.
    ...(origin ? [["--var", 'FORWARD:["/control"]']] : []),
  ];
  const flags = merge(own, given);
  const wrangler = join(root, "node_modules", "wrangler", "bin", "wrangler.js");
  const child = spawn(process.execPath, [wrangler, "dev", ...flags], {
    cwd: root,
    env: { ...toolEnvironment().env, CI: "true", NO_COLOR: "1", CLOUDFLARE_CF_FETCH_ENABLED: "false" },
    stdio: ["ignore", "inherit", "inherit"],
  });
  console.log(`xfetch-edge   http://127.0.0.1:${workerPort}`);
  console.log(`origin        ${originUrl ?? "as given"}${origin ? `   (control: ${origin.url}/control)` : ""}`);
  if (!gives("ADMIN_TOKEN")) console.log(`admin token   ${token}   (in .dev.vars)`);
  let stopping = false;
  const stop = (signal) => {
    if (stopping) return;
    stopping = true;
    child.kill(signal);
    // wrangler also ends its runtime. If wrangler hangs, it is killed.
    setTimeout(() => child.kill("SIGKILL"), 7_000).unref();
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => stop("SIGTERM"));
  child.on("exit", async (code) => {
    await origin?.close();
    process.exit(stopping ? 0 : (code ?? 1));
  });
}

main().catch((error) => {
  console.error(error.message);
  process.exit(1);
});

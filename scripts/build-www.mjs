// `npm run build:www`: builds the page's wasm, and bundles its scripts and styles with esbuild, so that
// the page loads nothing from other hosts. Does nothing if no input has changed.

import { cpSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { binaryen, compile, runTool, unlessUnchanged } from "./build.mjs";
import { toolEnvironment } from "./setup.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const www = join(root, "www");

/** Builds the page into `www/built`, which is ignored. */
export function buildPage() {
  const built = join(www, "built");
  const wasm = join(root, "target", "www");
  const outputs = ["app.js", "app.css", "worker.js", "demo_bg.wasm"].map((name) => join(built, name));
  const folders = [join(root, "src"), join(www, "src")];
  const files = [fileURLToPath(import.meta.url)];
  unlessUnchanged({ stamp: join(built, ".stamp"), outputs, folders, files }, () => {
    const env = toolEnvironment();
    rmSync(built, { recursive: true, force: true });
    mkdirSync(built, { recursive: true });
    const features = ["--no-default-features", "--features", "demo"];
    compile({ folder: root, target: "web", into: wasm, name: "demo", features }, env);
    const file = join(wasm, "demo_bg.wasm");
    binaryen("wasm-opt", ["-Oz", "--strip-debug", "--strip-producers", file, "-o", file], env);
    cpSync(file, join(built, "demo_bg.wasm"));
    const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
    const bundle = [
      "--bundle",
      "--minify",
      "--format=esm",
      "--target=es2022",
      "--log-level=warning",
      `--define:XFETCH_VERSION=${JSON.stringify(version)}`,
      `--outdir=${built}`,
    ];
    const alias = `--alias:demo=${join(wasm, "demo.js")}`;
    // The scripts load the wasm by a URL relative to their bundle, so it is in the same folder.
    const entries = ["app.js", "worker.js"].map((name) => join(www, "src", name));
    runTool(env.ESBUILD_BIN, [...entries, ...bundle, alias], { env });
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    buildPage();
  } catch (error) {
    console.error(error.message);
    process.exit(1);
  }
}

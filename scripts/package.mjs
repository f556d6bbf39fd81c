// `npm run package`: makes the npm package `xfetch-edge` as a tarball in target/npm: the built Worker, and the modules of
// npm/src compiled to JavaScript with types.

import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { build, runTool } from "./build.mjs";
import { toolEnvironment } from "./setup.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));

/** Makes the tarball and returns its path. */
export function makePackage() {
  const env = toolEnvironment();
  const folder = join(root, "target", "npm");
  const dist = join(folder, "dist");
  build();
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(dist, { recursive: true });
  runTool(join(root, "node_modules", ".bin", "tsc"), ["--project", join("npm", "tsconfig.json")], { env });
  copyFileSync(join(root, "npm", "src", "worker.d.ts"), join(dist, "worker.d.ts"));
  copyFileSync(join(root, "build", "index.js"), join(dist, "worker.js"));
  copyFileSync(join(root, "build", "index_bg.wasm"), join(dist, "index_bg.wasm"));
  for (const name of ["LICENSE-APACHE", "LICENSE-MIT"]) copyFileSync(join(root, name), join(folder, name));
  copyFileSync(join(root, "npm", "README.md"), join(folder, "README.md"));
  const { version, description, license } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const manifest = JSON.parse(readFileSync(join(root, "npm", "package.json"), "utf8"));
  const text = JSON.stringify({ ...manifest, version, description, license }, null, 2);
  writeFileSync(join(folder, "package.json"), `${text}\n`);
  runTool("npm", ["pack", "--silent", "--pack-destination", folder], { cwd: folder, env });
  return join(folder, `xfetch-edge-${version}.tgz`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    console.log(makePackage().slice(root.length));
  } catch (error) {
    console.error(error.message);
    process.exit(1);
  }
}

// `npm test`: every check that CI runs, in the order in which they fail fastest. `npm test -- native worker`
// runs only these parts.

import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

import { buildPage } from "./build-www.mjs";
import { build } from "./build.mjs";
import { TOOLS, findBrowser, installDebian, installTool, setUpBrowser, toolEnvironment } from "./setup.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const environment = toolEnvironment();
/** The size limit of the Worker's wasm after `gzip -9`, in bytes. */
const WASM_BUDGET = 240_000;
/** The size limit of the page's wasm after `gzip -9`, in bytes. */
const PAGE_BUDGET = 150 * 1024;

function run(command, args, env = {}) {
  console.log(`\n$ ${[command.split("/").at(-1), ...args].join(" ")}`);
  const result = spawnSync(command, args, {
    cwd: root,
    stdio: ["ignore", "inherit", "inherit"],
    env: { ...environment, ...env },
  });
  if (result.status !== 0) throw new Error(`failed: ${command.split("/").at(-1)} ${args.join(" ")}`);
}

const files = (folder, ending) =>
  readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(ending) && !name.includes("node_modules"))
    .map((name) => join(folder, name))
    .sort();

/** Every JavaScript and TypeScript file of the project. */
const scripts = () => [
  ...["scripts", "examples", "tests", "bench"].flatMap((folder) => files(folder, ".mjs")),
  ...[join("www", "src"), join("src", "worker")].flatMap((folder) => files(folder, ".js")),
  ...[join("npm", "src"), "templates", join("tests", "package")].flatMap((folder) => files(folder, ".ts")),
];

const parts = {
  format() {
    run("cargo", ["fmt", "--all", "--check"]);
    run(join(root, "node_modules", ".bin", "prettier"), ["--check", "--log-level=warn", ...scripts()]);
  },
  types() {
    const check = (project) => run(join(root, "node_modules", ".bin", "tsc"), ["--noEmit", "--project", project]);
    check("tsconfig.json");
    // The deployed scripts are checked with strict types.
    check(join("src", "worker", "tsconfig.json"));
    check(join("npm", "tsconfig.json"));
  },
  javascript() {
    run(process.execPath, ["--test", ...files("tests/js", ".test.mjs")]);
  },
  lint() {
    const clippy = (...words) => run("cargo", ["clippy", ...words, "--", "-D", "warnings"]);
    const wasm = ["--target", "wasm32-unknown-unknown"];
    clippy("--all-targets");
    clippy(...wasm, "--lib");
    clippy(...wasm, "--lib", "--no-default-features", "--features", "demo");
    clippy(...wasm, "--package", "my-cached-worker");
    // Nothing else in `npm test` compiles these.
    for (const feature of ["hello", "raw", "object", "driver"])
      clippy(...wasm, "--package", "bench-hello", "--features", feature);
  },
  docs() {
    const doc = (...words) =>
      run("cargo", ["doc", "--no-deps", "--document-private-items", ...words], { RUSTDOCFLAGS: "-D warnings" });
    doc();
    // The Worker and the page exist on this target only.
    doc("--lib", "--target", "wasm32-unknown-unknown");
    doc("--lib", "--target", "wasm32-unknown-unknown", "--no-default-features", "--features", "demo");
  },
  native() {
    run("cargo", ["test", "--test", "native", "--", "--show-output"]);
    run("cargo", ["test", "--test", "fuzz"]);
    run("cargo", ["test", "--doc"]);
  },
  async instructions() {
    if (spawnSync("valgrind", ["--version"]).status !== 0) await installDebian(["valgrind"]);
    run(process.execPath, [join("bench", "instructions.mjs")]);
  },
  async browser() {
    await setUpBrowser();
    const { chromium, chromedriver } = findBrowser();
    const file = join(root, "webdriver.json");
    const args = [
      "--headless=new",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-dev-shm-usage",
      "--disable-background-networking",
    ];
    writeFileSync(file, JSON.stringify({ "goog:chromeOptions": { binary: absolute(chromium), args } }));
    try {
      const headless = [
        "test",
        "--headless",
        "--chrome",
        "--chromedriver",
        absolute(chromedriver),
        ".",
        "--no-default-features",
      ];
      const wasmPack = await installTool(TOOLS["wasm-pack"]());
      // wasm-pack finds wasm-bindgen and its test runner on the path.
      const PATH = `${dirname(await installTool(TOOLS["wasm-bindgen"]()))}:${environment.PATH}`;
      run(wasmPack, [...headless, "--features", "demo", "--test", "browser", "--test", "demo"], { PATH });
    } finally {
      rmSync(file, { force: true });
    }
  },
  deploy() {
    run(process.execPath, [
      join("scripts", "deploy.mjs"),
      "--dry-run",
      "--outdir",
      join("target", "dry-run"),
      "--var",
      "ORIGIN_URL:https://origin.example",
    ]);
    const path = join(root, "build", "index_bg.wasm");
    const wasm = readFileSync(path);
    // By GNU gzip, as Node's own compressor differs between versions.
    const gzip = spawnSync("gzip", ["-9nc", path], { maxBuffer: 1 << 24 });
    if (gzip.status !== 0) throw new Error(`gzip failed: ${gzip.error ?? gzip.stderr}`);
    const size = gzip.stdout.length;
    console.log(`wasm: ${wasm.length} bytes, ${size} gzipped; the budget is ${WASM_BUDGET}`);
    if (size > WASM_BUDGET) throw new Error("the wasm is larger than its budget");
  },
  page() {
    buildPage();
    const wasm = readFileSync(join(root, "www", "built", "demo_bg.wasm"));
    const size = gzipSync(wasm, { level: 9 }).length;
    console.log(`the page's wasm: ${wasm.length} bytes, ${size} gzipped; the budget is ${PAGE_BUDGET}`);
    if (size > PAGE_BUDGET) throw new Error("the page's wasm is larger than its budget");
    const imports = WebAssembly.Module.imports(new WebAssembly.Module(wasm)).map((it) => it.name);
    const strange = imports.filter((name) => /fetch|cache|request|response|timeout|random|now/i.test(name));
    if (strange.length > 0) throw new Error(`the page's wasm imports ${strange.join(", ")}`);
  },
  async ops() {
    if (spawnSync("promtool", ["--version"]).status !== 0) await installDebian(["prometheus"]);
    run(process.execPath, ["--test", ...files("tests/ops", ".test.mjs")]);
  },
  package() {
    run("cargo", ["package", "--allow-dirty", "--package", "xfetch-edge"]);
    run(process.execPath, [
      "--test",
      "--test-concurrency=1",
      "--test-timeout=600000",
      ...files("tests/package", ".test.mjs"),
    ]);
  },
  async worker() {
    await setUpBrowser();
    build(join(root, "templates", "rust"));
    if (!existsSync(join(root, "tests", "clients", "node_modules", "openai"))) {
      run("npm", ["ci", "--prefix", join("tests", "clients"), "--no-audit", "--no-fund"]);
    }
    run(process.execPath, [
      "--test",
      "--test-concurrency=1",
      "--test-timeout=120000",
      ...files("tests/worker", ".test.mjs"),
    ]);
  },
};

function absolute(program) {
  if (program.startsWith("/")) return program;
  return spawnSync("which", [program], { encoding: "utf8" }).stdout.trim();
}

const chosen = process.argv.slice(2);
const unknown = chosen.find((name) => !(name in parts));
if (unknown) {
  console.error(`There is no part ${unknown}; there are ${Object.keys(parts).join(", ")}.`);
  process.exit(1);
}
const began = Date.now();
try {
  build();
  for (const [name, part] of Object.entries(parts)) {
    if (chosen.length > 0 && !chosen.includes(name)) continue;
    const at = Date.now();
    await part();
    console.log(`[${name}: ${((Date.now() - at) / 1000).toFixed(0)} s]`);
  }
} catch (error) {
  console.error(`\n${error.message}`);
  process.exit(1);
}
console.log(`\nAll passed in ${((Date.now() - began) / 1000).toFixed(0)} s.`);

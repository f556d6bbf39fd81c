// `start`: the cost of a Worker's start: the wasm's size, the time in which an engine compiles and instantiates it,
// and the first answer of a fresh process, compared with a bare workers-rs Worker with one object.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

import { build } from "../../scripts/build.mjs";
import { PATH, PEERS, buildRust, startBenchOrigin, startEdge, startRust } from "../peers.mjs";
import { fixed, median, table } from "../table.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** The median duration of some runs, in ms. */
function timed(rounds, run) {
  const times = [];
  for (let round = 0; round < rounds; round += 1) {
    const began = performance.now();
    run();
    times.push(performance.now() - began);
  }
  return median(times);
}

/** Imports that do nothing: instantiation calls none of them. */
function imports(module) {
  const all = {};
  for (const { module: from, name, kind } of WebAssembly.Module.imports(module)) {
    // JavaScript's exceptions, which wasm-bindgen's guard catches, are a tag.
    (all[from] ??= {})[name] = kind === "tag" ? WebAssembly.JSTag : () => undefined;
  }
  return all;
}

function weigh(folder, rounds) {
  const bytes = readFileSync(join(folder, "index_bg.wasm"));
  const script = readFileSync(join(folder, "index.js"));
  const module = new WebAssembly.Module(bytes);
  const all = imports(module);
  return {
    raw: bytes.length,
    gzipped: gzipSync(bytes, { level: 9 }).length,
    script: gzipSync(script, { level: 9 }).length,
    compile: timed(rounds, () => new WebAssembly.Module(bytes)),
    instantiate: timed(rounds * 5, () => new WebAssembly.Instance(module, all)),
  };
}

/** From the start of a process to its first answer, in ms. */
async function firstAnswer(start, ask) {
  const began = performance.now();
  const peer = await start();
  const listening = performance.now();
  const answer = await ask(peer.url);
  await answer.text();
  const answered = performance.now();
  await peer.stop();
  return { start: listening - began, first: answered - listening };
}

export async function run({ isQuick }) {
  const rounds = isQuick ? 3 : 11;
  build();
  const folders = { "workers-rs with one object": await buildRust("object"), "xfetch-edge": join(root, "build") };
  const weights = {};
  for (const [name, folder] of Object.entries(folders)) weights[name] = weigh(folder, rounds);
  const origin = await startBenchOrigin({ latency: 0 });
  const firsts = { hello: [], "workers-rs with one object": [], "xfetch-edge": [] };
  const get = (url) => fetch(url);
  const post = (url) =>
    fetch(url + PATH, { method: "POST", body: "{}", headers: { "content-type": "application/json" } });
  for (let round = 0; round < rounds; round += 1) {
    firsts.hello.push(await firstAnswer(() => PEERS.hello.start({ origin, ttl: 60 }), get));
    firsts["workers-rs with one object"].push(await firstAnswer(() => startRust("object", {}), get));
    firsts["xfetch-edge"].push(await firstAnswer(() => startEdge({ origin, ttl: 60 }), post));
  }
  await origin.stop();
  const [bare, own] = [weights["workers-rs with one object"], weights["xfetch-edge"]];
  const ratio = (name) => fixed(own[name] / bare[name], 2);
  table(
    ["", "workers-rs, one object", "xfetch-edge", "ratio"],
    [
      ["wasm, bytes", bare.raw, own.raw, ratio("raw")],
      ["wasm gzipped, bytes", bare.gzipped, own.gzipped, ratio("gzipped")],
      ["script gzipped, bytes", bare.script, own.script, ratio("script")],
      ["compile, ms", fixed(bare.compile, 2), fixed(own.compile, 2), ratio("compile")],
      ["instantiate, ms", fixed(bare.instantiate, 3), fixed(own.instantiate, 3), ratio("instantiate")],
    ],
  );
  const middle = Object.fromEntries(
    Object.entries(firsts).map(([name, all]) => [
      name,
      { start: median(all.map((it) => it.start)), first: median(all.map((it) => it.first)) },
    ]),
  );
  console.log(
    "\nThe first request to a fresh process; xfetch-edge's is a cold miss, through both objects and the origin",
  );
  table(
    ["", "first answer, ms"],
    Object.entries(middle).map(([name, it]) => [name, fixed(it.first, 1)]),
  );
  return { weights, first: middle };
}

// `node scripts/run.mjs TASK …`: sets up what the task needs, runs the task under the Node that the set-up installed,
// and forwards signals to it. Each npm script runs only this process, so that its signals arrive here.

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { checkPorts, parseFlags } from "./ports.mjs";
import { setUp } from "./setup.mjs";
import { Missing, createPlain, startLog } from "./steps.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const [task, ...words] = process.argv.slice(2);

try {
  if (task === "start") await checkPorts(parseFlags(words));
  await setUp(task === "start" ? startLog(root) : createPlain());
} catch (error) {
  if (!(error instanceof Missing) && task !== "start") throw error;
  console.error(`\n${/** @type {Error} */ (error).message}\n`);
  process.exit(1);
}
const own = join(root, "node_modules", ".bin", "node");
const child = spawn(existsSync(own) ? own : process.execPath, [join(root, "scripts", `${task}.mjs`), ...words], {
  stdio: "inherit",
  env: { ...process.env, PATH: `${join(root, "node_modules", ".bin")}:${process.env.PATH}` },
});
for (const signal of /** @type {NodeJS.Signals[]} */ (["SIGINT", "SIGTERM", "SIGHUP"]))
  process.on(signal, () => child.kill(signal));
// Some shells end on a signal without forwarding it, so watch for the parent's end too.
const parent = process.ppid;
setInterval(() => process.ppid !== parent && child.kill("SIGTERM"), 1_000).unref();
child.on("exit", (code, signal) => process.exit(code ?? (signal ? 1 : 0)));

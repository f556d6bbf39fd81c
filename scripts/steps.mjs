// Runs the steps of a task. `createLog` shows one line per step and sends the programs' output to a file; `createPlain`
// shows everything.

import { spawn } from "node:child_process";
import { createWriteStream, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";

const isWindows = process.platform === "win32";
/** How many lines of a failed program are shown. */
const TAIL = 12;
/** What programs say when a registry cannot be reached. */
const NO_NETWORK =
  /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ENETUNREACH|ETIMEDOUT|could not resolve host|failed to (download|lookup)|dns error|network is unreachable|spurious network error/i;

/** A step that cannot succeed on this machine as it is: the message says what to do. */
export class Missing extends Error {}

/**
 * @typedef {{
 *   step<T>(title: string, work: () => Promise<T>): Promise<T>,
 *   run(command: string, args: string[], options?: import("node:child_process").SpawnOptions): Promise<boolean>,
 *   fail(what: string, command: string): never,
 * }} Steps
 */

/** The programs that run now: they end with this process, also if another step has failed. */
const children = new Set();
// A program that could not be started has no id, and a signal to it would reach this process group.
process.on("exit", () => children.forEach((child) => child.pid && child.kill()));
// Without a handler the process would end without the event above.
process.once("SIGTERM", () => {
  if (children.size > 0 || process.listenerCount("SIGTERM") === 0) process.exit(143);
});

/** Starts a program; `stdio` says where its output goes. Resolves to its exit code. */
function start(command, args, options, onOutput) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { shell: isWindows, ...options });
    children.add(child);
    child.on("close", () => children.delete(child));
    child.stdout?.on("data", onOutput);
    child.stderr?.on("data", onOutput);
    child.on("error", (error) => {
      onOutput?.(Buffer.from(`${error.message}\n`));
      resolve(1);
    });
    child.on("close", (code) => resolve(code ?? 1));
  });
}

/**
 * Everything on stderr, with a line before each step.
 *
 * @returns {Steps}
 */
export function createPlain() {
  const began = Date.now();
  return {
    async step(title, work) {
      const seconds = String(Math.round((Date.now() - began) / 1000)).padStart(4);
      console.error(`[setup ${seconds}s] ${title}`);
      return work();
    },
    run: async (command, args, options = {}) =>
      (await start(command, args, { stdio: ["ignore", 2, 2], ...options })) === 0,
    fail(what, command) {
      throw new Missing(`${what}\n  Install it yourself, then start again:\n    ${command}`);
    },
  };
}

/**
 * One line per step on the screen, and the programs' output in a file.
 *
 * @param {string} file the log's path
 * @param {{ isTTY?: boolean, columns?: number, write(text: string): unknown }} screen
 * @returns {Steps & { file: string, output(bytes: Buffer): void, tail(): string }} `output` takes that of another
 *   program, and `tail` gives its last lines
 */
export function createLog(file, screen = process.stderr) {
  const log = createWriteStream(file, { flags: "a" });
  /** The steps under way, in the order in which they began. @type {{ title: string, began: number }[]} */
  const running = [];
  /** The last lines of output. @type {string[]} */
  let tail = [];
  let rest = "";

  const seconds = (/** @type {number} */ began) => `${Math.round((Date.now() - began) / 1000)} s`;
  const clear = () => screen.isTTY && screen.write("\r\x1b[2K");
  const draw = () => {
    if (!screen.isTTY || running.length === 0) return;
    const titles = running.map(({ title, began }) => `${title} ${seconds(began)}`).join(", ");
    const detail = tail.findLast((line) => line.trim() !== "")?.trim() ?? "";
    const text = `  … ${titles}${detail ? `  ${detail}` : ""}`;
    screen.write(`\r\x1b[2K${text.slice(0, (screen.columns ?? 80) - 1)}`);
  };
  const timer = setInterval(draw, 1_000);
  timer.unref();

  const onOutput = (/** @type {Buffer} */ bytes) => {
    log.write(bytes);
    const lines = (rest + bytes.toString()).split("\n");
    rest = lines.pop() ?? "";
    tail = [...tail, ...lines].slice(-TAIL);
  };

  const shown = () =>
    tail
      .filter((line) => line.trim() !== "")
      .map((line) => `  | ${line.slice(0, 160)}\n`)
      .join("");

  return {
    file,
    output: onOutput,
    tail: shown,
    async step(title, work) {
      const own = { title, began: Date.now() };
      running.push(own);
      log.write(`\n== ${title}\n`);
      if (!screen.isTTY) screen.write(`  … ${title}\n`);
      draw();
      try {
        const result = await work();
        clear();
        screen.write(`  ✓ ${title.padEnd(44)} ${seconds(own.began).padStart(6)}\n`);
        return result;
      } catch (error) {
        clear();
        screen.write(`  ✗ ${title}\n`);
        throw error;
      } finally {
        running.splice(running.indexOf(own), 1);
        draw();
      }
    },
    run: async (command, args, options = {}) => {
      log.write(`$ ${[command, ...args].join(" ")}\n`);
      return (await start(command, args, { stdio: ["ignore", "pipe", "pipe"], ...options }, onOutput)) === 0;
    },
    fail(what, command) {
      const network = tail.some((line) => NO_NETWORK.test(line))
        ? "  A registry cannot be reached: check the network, and the proxy settings of npm and cargo.\n"
        : "";
      throw new Missing(
        `${what}\n${shown()}${network}  To do it by hand, before you start again:\n    ${command}\n  Log: ${file}`,
      );
    },
  };
}

/** The log of a start, begun anew by the first process of it. */
export function startLog(/** @type {string} */ root) {
  const file = join(root, "target", "start.log");
  mkdirSync(dirname(file), { recursive: true });
  if (!process.env.XFETCH_START) {
    writeFileSync(file, "");
    process.env.XFETCH_START = "1";
    console.error(`xfetch-edge: the first start takes some minutes, later ones seconds. Log: ${relative(".", file)}`);
  }
  return createLog(file);
}

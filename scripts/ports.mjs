// The flags and ports of `npm start`, and free ports for tests and benchmarks.

import { createServer } from "node:net";

/** @typedef {[name: string | undefined, value: string | undefined]} Flag */

/**
 * The flags as pairs; a flag without a value has undefined.
 *
 * @param {string[]} words
 * @returns {Flag[]}
 */
export function parseFlags(words) {
  /** @type {Flag[]} */
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

/** Whether the flags set a variable of the Worker. */
export const givesVar = (/** @type {Flag[]} */ flags, /** @type {string} */ variable) =>
  flags.some(([flag, value]) => flag === "--var" && value?.startsWith(`${variable}:`));

/** The Worker's port, from `--port` or PORT; the example origin has the next one. */
export function workerPort(/** @type {Flag[]} */ flags) {
  const given = flags.find(([name]) => name === "--port");
  const value = given ? (given[1] ?? "") : process.env.PORT || "8787";
  if (!/^\d+$/.test(value) || Number(value) < 1 || Number(value) > 65_534) {
    const name = given ? "--port" : "PORT";
    throw new Error(`${name} is ${JSON.stringify(value)}, but must be a number from 1 to 65534.`);
  }
  return Number(value);
}

/** Whether the example origin is started: there is no other origin. */
export const hasOwnOrigin = (/** @type {Flag[]} */ flags) => !process.env.ORIGIN_URL && !givesVar(flags, "ORIGIN_URL");

/** Fails with a sentence if something listens on a port of `npm start`, before anything is built. */
export async function checkPorts(/** @type {Flag[]} */ flags) {
  const port = workerPort(flags);
  for (const one of hasOwnOrigin(flags) ? [port, port + 1] : [port]) {
    const code = await new Promise((resolve) => {
      const server = createServer();
      server.once("error", (/** @type {NodeJS.ErrnoException} */ error) => resolve(error.code));
      server.listen({ port: one, host: "127.0.0.1" }, () => server.close(() => resolve(undefined)));
    });
    if (code === undefined) continue;
    const why = code === "EADDRINUSE" ? "is in use. Is another npm start running?" : `cannot be used (${code}).`;
    throw new Error(
      `Port ${one} ${why}\n  The Worker uses PORT and its origin the next one: PORT=${port + 100} npm start`,
    );
  }
}

/** A port of loopback on which nothing listens now. */
export async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  await new Promise((resolve) => server.close(resolve));
  return port;
}

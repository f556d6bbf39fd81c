// Shared by the tests against real workerd: a scripted origin, the Worker in one or more colos, and waiting for
// a condition with a deadline.

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";

import { startOrigin } from "../../examples/origin/server.mjs";
import { Client, brokenSums, sleep } from "../../scripts/client.mjs";
import { ADMIN_TOKEN, PATH, route, startRuntime } from "../../scripts/runtime.mjs";

export { ADMIN_TOKEN, PATH, route, sleep };

/** Another Worker that embeds the cache, as it is built. */
export const EMBEDDING = fileURLToPath(new URL("../../templates/rust/build", import.meta.url));

let questions = 0;

/** A body that no other test asks for. */
export function question(change = {}) {
  questions += 1;
  return JSON.stringify({ home_team: "Arsenal", away_team: "Chelsea", match_date: `q${questions}`, ...change });
}

/**
 * Runs a test in a world of its own, which is shut down also when the test fails.
 *
 * @param {any} options
 * @param {(world: any) => Promise<unknown>} run
 */
export function inWorld(options, run) {
  return async () => {
    const origin = await startOrigin({ settings: { latency: 100, spread: 0, ...options.origin } });
    const vars = {
      ORIGIN_URL: origin.url,
      ...(options.route ? { ROUTES: [route(options.route)] } : {}),
      ...options.vars,
    };
    const { colos = [{}], persist, folder, prelude, saboteur } = options;
    const runtime = await startRuntime({ vars, colos, persist, folder, prelude, saboteur }).catch(async (error) => {
      await origin.close();
      throw error;
    });
    const clients = runtime.urls.map((url) => new Client(url, { path: PATH, token: ADMIN_TOKEN, connections: 512 }));
    try {
      await run({ origin, runtime, clients, client: clients[0], vars });
    } finally {
      for (const client of clients) await client.close();
      await runtime.stop();
      await origin.close();
    }
  };
}

/** A world that several tests share: it runs until its `end` is called. */
export async function openWorld(options) {
  const ready = Promise.withResolvers();
  /** @type {PromiseWithResolvers<void>} */
  const over = Promise.withResolvers();
  const ended = inWorld(options, async (made) => {
    ready.resolve(made);
    await over.promise;
  })();
  ended.catch(ready.reject);
  const world = await ready.promise;
  return {
    ...world,
    end() {
      over.resolve();
      return ended;
    },
  };
}

/** Waits until the condition returns a truthy value, and returns that value. */
export async function eventually(what, condition, ms = 10_000) {
  const end = Date.now() + ms;
  for (;;) {
    const value = await condition();
    if (value) return value;
    assert.ok(Date.now() < end, `${what}: not within ${ms} ms`);
    await sleep(25);
  }
}

export const counters = async (client) => (await client.admin("GET", "metrics")).counters;

export const inspect = (client, body) => client.admin("POST", "inspect", { path: PATH, body: JSON.parse(body) });

export const purge = (client, body, hard) =>
  client.admin("POST", "purge", { path: PATH, body: JSON.parse(body), hard });

/** The sums of the metrics, which hold at every moment. */
export function assertSums(c) {
  assert.deepEqual(brokenSums(c), []);
}

/** A problem document with this status and code. */
export function assertProblem(answer, status, code) {
  assert.equal(answer.status, status, answer.text);
  assert.match(String(answer.headers["content-type"]), /^application\/problem\+json/);
  const problem = JSON.parse(answer.text);
  assert.equal(problem.status, status);
  assert.equal(problem.code, code);
  assert.equal(typeof problem.detail, "string");
}

/**
 * The source of bindings through which every message to a key's object passes `meddle(send, place)`: `send` delivers
 * it, `place` counts the messages from 1. The source also sees `stub` and `message`, the arguments of `fetch`. The log
 * has a line for each message when it is sent, and one when its reply arrives; its request is kept alive until then.
 */
export const meddling = (meddle, isMeddled = "true") => `
  let place = 0;
  let request;
  globalThis.wrapContext = (context) => (request.context = context);
  globalThis.wrapEnv = (env) => {
    const own = (request = {});
    if (!(${isMeddled})) return env;
    const getByName = (...name) => {
      const stub = env.REFRESH_LEASE.getByName(...name);
      return {
        fetch(...message) {
          place += 1;
          console.log("message " + place);
          const number = place;
          const sent = (${meddle})(() => stub.fetch(...message), number);
          own.context.waitUntil(sent.then((answer) => console.log("answered " + number + " " + answer.status), () => {}));
          return sent;
        },
      };
    };
    return Object.create(env, { REFRESH_LEASE: { value: { getByName } } });
  };`;

/** The source of a panic: in the request of this number, the second call of `Date.now` throws a RuntimeError, once. */
export const breaksIn = (number) => `
const now = Date.now;
let requests = 0;
let left = -1;
globalThis.wrapContext = (context) => {
  requests += 1;
  if (requests === ${number}) left = 2;
  return context;
};
Date.now = () => {
  if (left > 0 && (left -= 1) === 0) throw new WebAssembly.RuntimeError("sabotage");
  return now();
};
`;

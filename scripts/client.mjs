// A load client for loopback and for the certification: bursts and Poisson traffic, every answer kept.

import { Agent, request } from "undici";

/** A fault of the environment: the service cannot be reached, or is not the service that should be measured. */
export class EnvironmentFault extends Error {}

export class Client {
  /** At most `connections` connections are opened; they are kept, so that figures do not include their set-up. */
  /**
   * @param {string} base
   * @param {{ path?: string, method?: string, token?: string, connections?: number, headers?: Record<string, string> }} options
   */
  constructor(base, { path, method = "POST", token, connections = 128, headers = {} }) {
    this.base = base;
    this.path = path;
    this.method = method;
    this.token = token;
    /** The headers of each request to the route: its credential, for example. */
    this.headers = headers;
    /** What names the client on the admin paths, where the route is not for all clients. @type {Record<string, unknown>} */
    this.client = {};
    this.agent = new Agent({
      connections,
      pipelining: 1,
      headersTimeout: 60_000,
      bodyTimeout: 60_000,
      keepAliveTimeout: 60_000,
    });
  }

  /** @param {string} method @param {string} path @param {{ body?: any, headers?: any }} options */
  async raw(method, path, { body, headers = {} } = {}) {
    const began = performance.now();
    try {
      const answer = await request(this.base + path, { method, body, headers, dispatcher: this.agent });
      const text = await answer.body.text();
      return { status: answer.statusCode, headers: answer.headers, text, began, ms: performance.now() - began };
    } catch (error) {
      throw new EnvironmentFault(`${method} ${path}: no answer (${error.code ?? error.message})`);
    }
  }

  /** What names the key of a question on the admin paths. */
  subject(body) {
    const asked = this.method === "GET" ? { path: this.path } : { path: this.path, body: JSON.parse(body) };
    return { ...asked, ...this.client };
  }

  /** Sends one request to the cached route; GET has no body. */
  async ask(body) {
    const { headers } = this;
    const asked =
      this.method === "GET" ? { headers } : { body, headers: { "content-type": "application/json", ...headers } };
    const answer = await this.raw(this.method, this.path, asked);
    const status = String(answer.headers["cache-status"] ?? "");
    return {
      ...answer,
      cacheStatus: status,
      isHit: /;\s*hit\b/.test(status),
      isStale: /detail=stale|fwd=stale/.test(status),
      ttl: Number(status.match(/ttl=(-?\d+)/)?.[1] ?? Number.NaN),
      age: Number(answer.headers.age ?? Number.NaN),
      etag: answer.headers.etag,
    };
  }

  /** Sends `count` requests at the same moment. */
  burst(count, body) {
    return Promise.all(Array.from({ length: count }, () => this.ask(body)));
  }

  /** Poisson arrivals at `rate` per second for `seconds`; no request waits for another one. */
  async poisson(rate, seconds, body) {
    const answers = [];
    const end = performance.now() + seconds * 1000;
    let next = performance.now();
    while (next < end) {
      const wait = next - performance.now();
      if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
      answers.push(this.ask(body));
      next += (-Math.log(1 - Math.random()) / rate) * 1000;
    }
    return Promise.all(answers);
  }

  /** An admin path's JSON; undefined without a token. */
  async admin(method, path, value) {
    if (!this.token) return undefined;
    const headers = { authorization: `Bearer ${this.token}`, ...(value ? { "content-type": "application/json" } : {}) };
    const answer = await this.raw(method, `/_xfetch/${path}`, { headers, body: value && JSON.stringify(value) });
    if (answer.status === 401 || answer.status === 404)
      throw new EnvironmentFault(`/_xfetch/${path}: ${answer.status}; is ADMIN_TOKEN right?`);
    if (answer.status !== 200) throw new EnvironmentFault(`/_xfetch/${path}: status ${answer.status}`);
    return JSON.parse(answer.text);
  }

  close() {
    return this.agent.close();
  }
}

/** The sums that hold at every moment: the counter of each total, and the counters that add up to it. */
const SUMS = [
  ["total_requests", ["cache_hit_fresh", "cache_hit_stale", "cache_miss", "bypass", "rejected"]],
  ["xfetch_triggers", ["xfetch_early_triggers", "xfetch_stale_triggers"]],
  [
    "xfetch_triggers",
    [
      "refreshes_started",
      "xfetch_lock_contention_total",
      "xfetch_recheck_skips_total",
      "refresh_lock_errors",
      "refresh_backoffs",
    ],
  ],
  ["xfetch_lock_contention_total", ["xfetch_lock_contention_early", "xfetch_lock_contention_stale"]],
  ["compute_calls", ["compute_calls_cold", "compute_calls_refresh"]],
  ["compute_calls", ["compute_ok", "compute_failed", "compute_abandoned"]],
];

/** Describes the sums that do not hold. */
export function brokenSums(counters) {
  const all = /** @type {[string, string[]][]} */ (SUMS).map(([name, parts]) => ({
    name,
    total: counters[name],
    parts,
    sum: parts.reduce((sum, part) => sum + counters[part], 0),
  }));
  return all
    .filter((it) => it.total !== it.sum)
    .map((it) => `${it.name} is ${it.total}, but ${it.parts.join(" + ")} is ${it.sum}`);
}

/** The value below which this share of the figures lies. */
export function percentile(figures, share) {
  const sorted = [...figures].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)));

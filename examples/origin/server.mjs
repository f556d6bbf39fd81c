// The example origin: a small real service on loopback, with a control path for tests and demos.
//
//   POST /api/v1/brain/calculate   the analysis; QUERY the same
//   GET  /api/v1/brain/fixtures    the next matches: ?team=…&page=…, as JSON or HTML, in English or German, with an
//                                  ETag and Vary; its Cache-Control says how long
//   GET  /api/v1/brain/report      10 MiB of CSV, as a stream
//   POST /api/v1/brain/forecast    the analysis for a tenant: with X-Api-Key (demo-key-acme, demo-key-globex), with a
//                                  token, or behind the cache with X-Tenant
//   GET  /me                       204 and X-Org for a good key or token, else 401
//   GET  /.well-known/jwks.json    the keys that sign the tokens
//   POST /control/token            makes a token: {"tenant": "acme", "seconds": 300}
//   GET  /control                  counts and settings
//   POST /control                  changes settings: {"latency": 1000, "spread": 0.2, "mode": "ok", …}
//   POST /control/reset            counts back to zero, settings as at the start
//
// Modes: ok, status (with "status", "retry_after"), reset, hang, truncate, garbage, html, latin1, huge,
// endless, bomb, empty, redirect, cookie, private, no-store, vary; refusals: no-html, no-garbage, no-huge.
// "fail_next": N lets only the next N calls fail.

import { createHash } from "node:crypto";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

import { createIssuer } from "./credentials.mjs";
import { analyse } from "./model.mjs";
import { fixtures, report } from "./pages.mjs";

const PATH = "/api/v1/brain/calculate";
const FORECAST = "/api/v1/brain/forecast";
const MAX_BODY = 1 << 20;
const START = { latency: 1_000, spread: 0.1, mode: "ok", status: 500, retry_after: null, fail_next: null };

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** A delay of this mean, log-normal with `spread` as the standard deviation of its logarithm. */
function delay({ latency, spread }) {
  const normal = Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
  return latency * Math.exp(spread * normal - (spread * spread) / 2);
}

async function read(request) {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > MAX_BODY) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function json(response, status, value, headers = {}) {
  const body = JSON.stringify(value);
  response.writeHead(status, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body),
    ...headers,
  });
  response.end(body);
}

/** For each failing mode, the function that handles a request. */
const FAULTS = {
  status: (response, { status, retry_after }) =>
    json(response, status, { error: "on command" }, retry_after === null ? {} : { "retry-after": String(retry_after) }),
  reset: (response) => response.socket.resetAndDestroy(),
  hang: () => {},
  truncate: (response) => {
    response.writeHead(200, { "content-type": "application/json", "content-length": 1_000 });
    response.write('{"half":');
    setTimeout(() => response.socket?.destroy(), 50);
  },
  garbage: (response) => response.writeHead(200, { "content-type": "application/json" }).end('{"half": tru'),
  html: (response) => response.writeHead(200, { "content-type": "text/html" }).end("<h1>It works</h1>"),
  latin1: (response) =>
    response.writeHead(200, { "content-type": "application/json" }).end(Buffer.from([0x22, 0xe9, 0x22])),
  huge: (response) => json(response, 200, { filler: "x".repeat(4 << 20) }),
  endless: (response) => {
    response.writeHead(200, { "content-type": "application/json" });
    const timer = setInterval(() => response.write(`"${"x".repeat(65_536)}",`), 5);
    response.on("close", () => clearInterval(timer));
    setTimeout(() => response.destroy(), 30_000).unref();
  },
  bomb: (response) => {
    const body = gzipSync(Buffer.alloc(64 << 20, 0x20));
    response.writeHead(200, { "content-type": "application/json", "content-encoding": "gzip" }).end(body);
  },
  empty: (response) => response.writeHead(200, { "content-type": "application/json" }).end(),
  redirect: (response) => response.writeHead(302, { location: "/elsewhere" }).end(),
  "no-html": (response) => response.writeHead(404, { "content-type": "text/html" }).end("<h1>Not found</h1>"),
  "no-garbage": (response) => response.writeHead(404, { "content-type": "application/json" }).end("<script>"),
  "no-huge": (response) => json(response, 404, { filler: "x".repeat(100_000) }),
};

/** For each mode with answers that must not be stored, the header that forbids it. */
const UNSTORABLE = {
  cookie: { "set-cookie": "session=1" },
  private: { "cache-control": "private, max-age=60" },
  "no-store": { "cache-control": "no-store" },
  vary: { vary: "*" },
};

/** Starts the origin on loopback; port 0 chooses a free port. */
export async function startOrigin({ port = 0, settings = {} } = {}) {
  const start = { ...START, ...settings };
  let current = { ...start };
  let counts;
  const zero = () => {
    counts = {
      calls: 0,
      in_flight: 0,
      highest_in_flight: 0,
      aborted: 0,
      questions: 0,
      keys: {},
      last_headers: null,
      last_body: null,
    };
  };
  zero();
  const issuer = createIssuer();

  /** Whether a credential is good, and whose it is. */
  function me(request, response) {
    request.resume();
    counts.questions += 1;
    const tenant = issuer.tenantOf(request.headers);
    if (tenant !== undefined) return response.writeHead(204, { "x-org": tenant }).end();
    return json(response, 401, { error: "no good key or token" }, { "www-authenticate": 'Bearer realm="analysis"' });
  }

  /** The tenant of a forecast. On loopback everybody who sends `X-Tenant` is taken for the cache. */
  function forecast(request, response) {
    const tenant = request.headers["x-tenant"] ?? issuer.tenantOf(request.headers);
    if (tenant === undefined) return me(request, response);
    return calculate(request, response, tenant);
  }

  async function calculate(request, response, tenant = undefined) {
    const body = await read(request);
    if (body === undefined) return json(response, 413, { error: "too large" });
    const key = createHash("sha256").update(body).digest("hex").slice(0, 16);
    const now = counts;
    const own = (now.keys[key] ??= { body: body.slice(0, 200), calls: 0, in_flight: 0, highest_in_flight: 0 });
    now.last_headers = request.headers;
    now.last_body = body;
    for (const count of [now, own]) {
      count.calls += 1;
      count.in_flight += 1;
      count.highest_in_flight = Math.max(count.highest_in_flight, count.in_flight);
    }
    let open = true;
    const done = () => {
      if (!open) return;
      open = false;
      now.in_flight -= 1;
      own.in_flight -= 1;
      if (!response.writableFinished) now.aborted += 1;
    };
    response.on("close", done);
    response.on("finish", done);
    const settings = { ...current };
    if (current.fail_next !== null && (current.fail_next -= 1) <= 0) {
      current = { ...current, mode: "ok", fail_next: null };
    }
    const began = performance.now();
    let question;
    try {
      question = JSON.parse(body);
    } catch {
      return json(response, 400, { error: "not JSON" });
    }
    if (FAULTS[settings.mode] && settings.mode !== "status") {
      await sleep(Math.min(settings.latency, 100));
      return FAULTS[settings.mode](response, settings);
    }
    const answer = await analyse(question ?? {});
    await sleep(Math.max(0, delay(settings) - (performance.now() - began)));
    if (response.destroyed) return undefined;
    if (settings.mode === "status") return FAULTS.status(response, settings);
    if (!answer) {
      const no = { error: "unknown team", home_team: question?.home_team, away_team: question?.away_team };
      return json(response, 404, no, UNSTORABLE[settings.mode]);
    }
    const value = { ...answer, tenant, computed_at: new Date().toISOString(), computation: now.calls };
    return json(response, 200, value, UNSTORABLE[settings.mode]);
  }

  async function control(request, response, path) {
    if (path === "/control/token" && request.method === "POST") {
      let asked;
      try {
        asked = JSON.parse((await read(request)) || "{}");
      } catch {
        return json(response, 400, { error: "not JSON" });
      }
      const { tenant = "acme", seconds = 300 } = asked ?? {};
      if (typeof tenant !== "string" || !Number.isFinite(seconds)) {
        return json(response, 400, { error: 'the body is {"tenant": "acme", "seconds": 300}' });
      }
      return json(response, 200, { token: issuer.token(tenant, seconds) });
    }
    if (path === "/control/reset" && request.method === "POST") {
      await read(request);
      current = { ...start };
      zero();
    } else if (path === "/control" && request.method === "POST") {
      let change;
      try {
        change = JSON.parse((await read(request)) || "{}");
      } catch {
        return json(response, 400, { error: "not JSON" });
      }
      const unknown = Object.keys(change).find((name) => !(name in START));
      if (unknown) return json(response, 400, { error: `unknown setting ${unknown}` });
      if (change.mode && !["ok", ...Object.keys(FAULTS), ...Object.keys(UNSTORABLE)].includes(change.mode)) {
        return json(response, 400, { error: `unknown mode ${change.mode}` });
      }
      current = { ...current, ...change };
    } else if (request.method !== "GET") {
      return json(response, 405, { error: "GET or POST" }, { allow: "GET, POST" });
    }
    return json(response, 200, { service: "analysis-origin", settings: current, ...counts });
  }

  /** A page, after the usual delay unless the client holds it already. */
  async function page(request, response, make) {
    counts.calls += 1;
    counts.last_headers = request.headers;
    const { status, headers, body } = make(request);
    const isHeld = headers.etag !== undefined && request.headers["if-none-match"] === headers.etag;
    if (!isHeld) await sleep(delay(current));
    if (FAULTS[current.mode]) return FAULTS[current.mode](response, current);
    response.writeHead(isHeld ? 304 : status, headers);
    if (isHeld || request.method === "HEAD") return response.end();
    return body.pipe(response);
  }
  const pages = { "/api/v1/brain/fixtures": fixtures, "/api/v1/brain/report": report };

  const server = createServer((request, response) => {
    const path = request.url.split("?")[0];
    const isRead = ["GET", "HEAD"].includes(request.method);
    const answered =
      path === PATH && ["POST", "QUERY"].includes(request.method)
        ? calculate(request, response)
        : path === FORECAST && request.method === "POST"
          ? forecast(request, response)
          : Object.hasOwn(pages, path) && isRead
            ? page(request, response, pages[path])
            : path === "/me" && isRead
              ? me(request, response)
              : path === "/.well-known/jwks.json" && isRead
                ? json(response, 200, issuer.keySet)
                : ["/control", "/control/reset", "/control/token"].includes(path)
                  ? control(request, response, path)
                  : path === "/" && isRead
                    ? json(response, 200, { service: "analysis-origin" })
                    : json(response, 404, { error: "not found" });
    Promise.resolve(answered).catch(() => response.destroy());
  });
  server.keepAliveTimeout = 60_000;
  await new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ port, host: "127.0.0.1", backlog: 1_024 }, () => resolve(undefined));
  });
  const url = `http://127.0.0.1:${/** @type {import("node:net").AddressInfo} */ (server.address()).port}`;
  return {
    url,
    counts: () => structuredClone(counts),
    set: (change) => {
      current = { ...current, ...change };
    },
    reset: () => {
      current = { ...start };
      zero();
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(() => resolve(undefined)));
    },
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const origin = await startOrigin({ port: Number(process.env.ORIGIN_PORT ?? 8788) });
  console.log(`example origin on ${origin.url}`);
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(0));
}

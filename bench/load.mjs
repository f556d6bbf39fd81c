// Closed-loop load by wrk and by hey, in processes of their own, and the processor time that the server used meanwhile.

import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

import { percentile } from "../scripts/client.mjs";

const run = promisify(execFile);
const TICKS = 100; // clock ticks per second in /proc
/** The time-out in ms of a load that is planned for `seconds`. */
const limit = (seconds) => (seconds + 60) * 1e3;

const SCRIPT = `
if os.getenv("BODY") then
  wrk.method = "POST"
  wrk.headers["content-type"] = "application/json"
  wrk.body = os.getenv("BODY")
end
local name, value = (os.getenv("HEADER") or ""):match("^([^:]+): (.+)$")
if name then wrk.headers[name] = value end
function done(summary, latency)
  local at = function(p) return latency:percentile(p) / 1000 end
  io.write(string.format('{"requests":%d,"microseconds":%d,"errors":%d,"p50":%f,"p99":%f,"p999":%f}\\n', summary.requests, summary.duration,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.status + summary.errors.timeout, at(50), at(99), at(99.9)))
end
`;

/** Processor time of these processes so far, in seconds. */
export function cpu(pids) {
  const one = (pid) => {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      return (Number(fields[11]) + Number(fields[12])) / TICKS;
    } catch {
      return 0;
    }
  };
  return pids.reduce((sum, pid) => sum + one(pid), 0);
}

/** Resident memory of these processes, in bytes. */
export function memory(pids) {
  return pids.reduce(
    (sum, pid) => sum + Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]) * 1024,
    0,
  );
}

/**
 * Sends requests for `seconds`, GET without a body and POST with one, `header` with each, over `connections` connections. Returns requests per second, percentiles in ms and
 * processor time per request in µs. wrk corrects for coordinated omission: its percentiles assume that requests arrive
 * at a constant rate, and include the time for which requests would have waited during a pause.
 */
export async function load({ url, body, header = "", pids, folder, connections, seconds, prefix = [] }) {
  const script = join(folder, "post.lua");
  await writeFile(script, SCRIPT);
  const words = [...prefix, "wrk", "-t1", `-c${connections}`, `-d${seconds}s`, "--timeout", "20s", "-s", script, url];
  const before = cpu(pids);
  const { stdout } = await run(words[0], words.slice(1), {
    env: { ...process.env, HEADER: header, ...(body === undefined ? {} : { BODY: body }) },
    timeout: limit(seconds),
  });
  const spent = cpu(pids) - before;
  const figures = JSON.parse(stdout.trim().split("\n").at(-1));
  if (figures.errors > 0) throw new Error(`${url}: ${figures.errors} of ${figures.requests} requests failed`);
  return {
    rate: figures.requests / (figures.microseconds / 1e6),
    p50: figures.p50,
    p99: figures.p99,
    p999: figures.p999,
    cpu: (spent / figures.requests) * 1e6,
  };
}

/**
 * The 99th percentile in ms of the observed answer times, by hey: a pause delays one answer per connection. The first
 * answer on each connection is left out, because it includes the time to connect.
 */
export async function given({ url, body, connections, seconds, prefix = [] }) {
  const words = [
    ...prefix,
    "hey",
    "-z",
    `${seconds}s`,
    "-c",
    connections,
    ...(body === undefined ? [] : ["-m", "POST", "-T", "application/json", "-d", body]),
    "-o",
    "csv",
    url,
  ].map(String);
  const { stdout } = await run(words[0], words.slice(1), { maxBuffer: 2 ** 28, timeout: limit(seconds) });
  const rows = stdout
    .trim()
    .split("\n")
    .slice(1)
    .map((line) => line.split(","));
  if (rows.length === 0 || rows.some((row) => row[6] !== "200"))
    throw new Error(`${url}: not every request was answered`);
  const kept = rows.filter((row) => Number(row[1]) === 0);
  return percentile(
    kept.map((row) => Number(row[0]) * 1e3),
    0.99,
  );
}

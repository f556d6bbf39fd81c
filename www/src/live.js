// The view of the running Worker: health, counters, bursts of requests, the life of an entry, purges, and the controls
// of the example origin if that is running.

import { chart, sweepCharts } from "./charts.js";
import { byId, el, milliseconds, nice, percent, table } from "./dom.js";
import { ask } from "./engine.js";

const PATH = "/api/v1/brain/calculate";
const QUESTION = { home_team: "Arsenal", away_team: "Chelsea", match_date: "2026-12-01" };
const MODES = ["ok", "status", "reset", "hang", "truncate", "garbage", "html", "huge", "empty", "redirect", "private"];

/** The admin token is kept only in this variable, so it is lost when the page is closed. */
let token = "";
let before;
let routes = [];

async function call(method, path, body) {
  const headers = {
    ...(token ? { authorization: `Bearer ${token}` } : {}),
    ...(body ? { "content-type": "application/json" } : {}),
  };
  const sent = fetch(path, { method, headers, body: body && JSON.stringify(body), signal: AbortSignal.timeout(8_000) });
  const response = await sent.catch(() => {
    throw Object.assign(new Error("The Worker does not answer now."), { isGone: true });
  });
  const isJson = /json/.test(response.headers.get("content-type") ?? "");
  const answer = isJson ? await response.json() : undefined;
  if (!response.ok || !isJson)
    throw Object.assign(new Error(answer?.detail ?? `${path} answered ${response.status}.`), {
      status: response.status,
    });
  return answer;
}

const say = (id, text) => {
  byId(id).textContent = text;
};

// The counters.

function counters(metrics) {
  const now = performance.now();
  const passed = before && before.epoch === metrics.epoch ? (now - before.at) / 1_000 : undefined;
  const rate = (name, value) => (passed ? nice((value - before.counters[name]) / passed) : "–");
  const rows = Object.entries(metrics.counters)
    .filter(([name, value]) => value > 0 || !name.startsWith("failed_"))
    .map(([name, value]) => [name, nice(value), rate(name, value)]);
  before = { at: now, epoch: metrics.epoch, counters: metrics.counters };
  const caption = `Counters since ${new Date(metrics.since).toLocaleTimeString()}, epoch ${metrics.epoch.slice(0, 8)}`;
  byId("counters").replaceChildren(table(caption, ["Counter", "Count", "a second"], rows));
}

// A burst.

/** Describes a Cache-Status in words (RFC 9211). */
export function decoded(field) {
  if (!field) return "no Cache-Status: not an answer of this cache";
  const has = (word) => new RegExp(`; ?${word}(;|$)`).test(field);
  const ttl = Number(/ttl=(-?\d+)/.exec(field)?.[1]);
  if (has("detail=stale")) return `served at once from the cache, ${-ttl} s past its expiry`;
  if (has("hit")) return `served from the cache, fresh for another ${ttl} s`;
  if (has("collapsed")) return "waited for another request's computation";
  if (has("stored")) return "computed for this request, and stored";
  if (has("fwd=stale")) return "waited, then got the old answer";
  if (has("fwd=bypass")) return "not cached at all";
  return "computed for this request, not stored";
}

/** The chosen method, and the path of the chosen route. */
function chosen() {
  const [method, path] = byId("path").value.split(" ");
  return { method, path };
}

/** What is asked, as the admin paths name it; if it cannot be asked, shows a message in this element and returns undefined. */
function subject(place) {
  const { method, path } = chosen();
  const text = byId("question").value.trim();
  const { tenant } = whose(path);
  if (scopeOf(path) === "tenant" && tenant === undefined && place !== "burst-words") {
    say(place, "The entries of this route are a tenant's: say which tenant's.");
    return undefined;
  }
  if (method === "GET") {
    const isBelow = path.endsWith("*") ? text.startsWith(path.slice(0, -1)) : text.split("?")[0] === path;
    if (isBelow) return { path: text, ...whose(path) };
    say(place, `The path must be ${path}, with or without a query.`);
    return undefined;
  }
  try {
    return { path: path.replace(/\*$/, ""), body: JSON.parse(text), ...whose(path) };
  } catch {
    say(place, "The body is not JSON.");
    return undefined;
  }
}

/** The header with the request's credential; none if the field is empty. */
function credential() {
  const text = byId("credential").value.trim();
  const [, name, value] = /^([\w-]+): *(.+)$/.exec(text) ?? [];
  return name ? { [name.toLowerCase()]: value } : {};
}

const scopeOf = (path) => routes.find((it) => it.path === path)?.scope;

/** Whose entry is meant on the admin paths; nothing where all clients share, and where no tenant is named. */
function whose(path) {
  const tenant = byId("tenant").value.trim();
  if (scopeOf(path) === "tenant") return tenant ? { tenant } : {};
  return scopeOf(path) === "credential" ? { credentials: credential() } : {};
}

async function one({ path }) {
  const { method } = chosen();
  const body = byId("question").value;
  const headers = credential();
  const sent = method === "GET" ? { headers } : { body, headers: { "content-type": "application/json", ...headers } };
  try {
    const response = await fetch(path, { method, ...sent, cache: "no-store" });
    const text = await response.text();
    return { status: response.status, says: response.headers.get("cache-status"), text };
  } catch {
    return { status: 0, says: null, text: "" };
  }
}

/** Waits until no lease is held for this key, then returns the number of computations counted. */
async function settledCalls(asked) {
  const end = Date.now() + 25_000;
  while (Date.now() < end) {
    const { object } = await call("POST", "/_xfetch/inspect", asked);
    if (!object.holds?.lease_token) break;
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  return (await call("GET", "/_xfetch/metrics")).counters.compute_calls;
}

async function burst() {
  const asked = subject("burst-words");
  const count = Number(byId("count").value);
  if (asked === undefined) return;
  if (!Number.isInteger(count) || count < 1 || count > 500) {
    say("burst-words", "The number of requests must be from 1 to 500.");
    return;
  }
  byId("burst").disabled = true;
  say("burst-words", `Sending ${count} requests…`);
  try {
    const canCount = token && (scopeOf(chosen().path) !== "tenant" || asked.tenant);
    const before = canCount ? await settledCalls(asked) : undefined;
    performance.clearResourceTimings();
    performance.setResourceTimingBufferSize(2_000);
    const answers = await Promise.all(Array.from({ length: count }, () => one(asked)));
    const path = new URL(asked.path, location.href).href;
    const timings = performance.getEntriesByName(path).filter((it) => it.requestStart > 0);
    showBurst(
      answers,
      timings,
      canCount
        ? "Counting the computations…"
        : "With the admin token, and a tenant where entries are a tenant's, this page could tell how many computations it took.",
    );
    if (!byId("origin").hidden) origin().catch(() => {});
    if (before === undefined) return;
    const computed = (await settledCalls(asked)) - before;
    showBurst(answers, timings, `${computed} computation${computed === 1 ? "" : "s"}.`);
    if (!byId("origin").hidden) origin().catch(() => {});
  } catch (error) {
    say("burst-words", error.message);
  } finally {
    byId("burst").disabled = false;
  }
}

/** The most requests that were under way at the same moment. */
function atOnce(timings) {
  const changes = timings
    .flatMap((it) => [
      [it.requestStart, 1],
      [it.responseEnd, -1],
    ])
    .sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  let [now, most] = [0, 0];
  for (const [, change] of changes) most = Math.max(most, (now += change));
  return most;
}

function showBurst(answers, timings, computations) {
  const times = timings.map((it) => it.responseEnd - it.requestStart).sort((a, b) => a - b);
  const at = (share) => times[Math.min(times.length - 1, Math.floor(share * times.length))];
  const good = answers.filter((it) => it.status === 200);
  const bodies = new Set(good.map((it) => it.text)).size;
  const same = bodies === 1 ? "with one and the same body" : `with ${bodies} different bodies`;
  const swift =
    times.length > 0
      ? ` From its sending to its last byte half of them took ${milliseconds(at(0.5))} at most, 99 % ${milliseconds(at(0.99))}; this browser had up to ${atOnce(timings)} of them under way at once.`
      : "";
  say(
    "burst-words",
    `${good.length} of ${answers.length} succeeded${good.length > 0 ? `, ${same}` : ""}.${swift} ${computations}`,
  );
  const kinds = Map.groupBy(answers, (it) =>
    it.status === 200 ? (it.says ?? "") : it.status === 0 ? "no answer" : `status ${it.status}`,
  );
  const rows = [...kinds].map(([says, list]) => [
    says || "–",
    nice(list.length),
    list[0].status === 200 ? decoded(says) : problem(list[0]),
  ]);
  const plot = chart({
    title: "Answer times",
    caption: "of this burst, sorted",
    x: "request",
    y: "ms",
    tall: true,
    data: [times.map((_, index) => index + 1), times],
    series: [{ label: "ms", colour: "series-1" }],
  });
  byId("burst-answers").replaceChildren(
    table("What the answers say", ["Cache-Status", "Answers", "In words"], rows),
    ...(times.length > 1 ? [plot.figure] : []),
  );
  sweepCharts();
}

function problem(answer) {
  try {
    return JSON.parse(answer.text).detail;
  } catch {
    return answer.status === 0 ? "the Worker did not answer" : "an error";
  }
}

// The life of an entry.

async function life() {
  const asked = subject("life-words");
  if (asked === undefined) {
    byId("life-bar").replaceChildren();
    byId("life-facts").replaceChildren();
    return;
  }
  const seen = await call("POST", "/_xfetch/inspect", asked);
  const tiers = [
    ["This isolate's memory", seen.memory.entry],
    ["This data centre's cache", seen.colo.entry],
  ];
  const entry = seen.memory.entry ?? seen.colo.entry;
  const holds = seen.object.holds ?? {};
  say("life-words", entry ? await phase(entry, holds) : "Nothing is stored near here for this question.");
  const route = routes.find((it) => it.path === chosen().path);
  byId("life-bar").replaceChildren(...(entry ? [bar(entry, route)] : []));
  const facts = [
    ["Key", seen.key.slice(0, 16)],
    ["Rate seen here", seen.rate == null ? "not known yet" : `${nice(seen.rate)} a second`],
    ...tiers.map(([name, it]) => [
      name,
      it
        ? `generation ${it.generation}, ${it.verdict.replaceAll("_", " ")}, ${nice(it.age)} s old, ${nice(it.bytes)} bytes`
        : "nothing",
    ]),
    [
      "The key's object",
      seen.object.reachable
        ? holds.generation
          ? `generation ${holds.generation}, ${nice(holds.age)} s old`
          : "nothing"
        : "out of reach",
    ],
    [
      "Lease",
      holds.lease_token
        ? `held under token ${holds.lease_token}, for ${nice(holds.lease_remaining)} s at most`
        : "free",
    ],
    ["Remembered failure", holds.failure ? `${holds.failure}, for ${nice(holds.failure_remaining)} s` : "none"],
    ["Waiting", nice(holds.waiters ?? 0)],
  ];
  byId("life-facts").replaceChildren(...facts.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

async function phase(entry, holds) {
  const refresh = holds.lease_token ? " A refresh is under way." : "";
  if (entry.remaining <= 0) return `Stale for ${nice(-entry.remaining)} s, and served at once.${refresh}`;
  if (entry.remaining > entry.early_window)
    return `Fresh for ${nice(entry.remaining)} s; the early window begins in ${nice(entry.remaining - entry.early_window)} s.${refresh}`;
  const chance = await ask("probability", {
    remaining: entry.remaining,
    delta: entry.delta,
    beta: entry.beta,
    window: entry.early_window,
  });
  return `In the early window: a request now refreshes with a probability of ${percent(chance)} (beta ${nice(entry.beta)}, computation ${nice(entry.delta)} s, ${nice(entry.remaining)} s left).${refresh}`;
}

function bar(entry, route) {
  const stale = Math.min(route?.stale_while_revalidate ?? entry.ttl, entry.ttl);
  const whole = entry.ttl + stale;
  const share = (seconds) => `${Math.max(0, Math.min(100, (100 * seconds) / whole))}%`;
  const part = (name, from, to) => {
    const element = el(`span.${name}`);
    element.style.insetInlineStart = share(from);
    element.style.inlineSize = name === "now" ? "3px" : `calc(${share(to)} - ${share(from)})`;
    return element;
  };
  const begin = entry.ttl - entry.early_window;
  const text = `Fresh until ${nice(begin)} s, early window until ${nice(entry.ttl)} s, then stale; now at ${nice(entry.age)} s.`;
  return el(
    "div",
    {},
    el(
      "div.life",
      { role: "img", "aria-label": text },
      part("fresh", 0, begin),
      part("early", begin, entry.ttl),
      part("stale", entry.ttl, whole),
      part("now", entry.age, entry.age),
    ),
    el("p.note", {}, text),
  );
}

async function purge(hard) {
  const asked = subject("purge-words");
  if (asked === undefined) return;
  try {
    const { floor } = await call("POST", "/_xfetch/purge", { ...asked, hard });
    say("purge-words", `${hard ? "Gone" : "Stale from now on"}: everything below generation ${floor}.`);
  } catch (error) {
    say("purge-words", error.message);
  }
}

// The origin's controls.

async function origin(change) {
  const answer = await call(change ? "POST" : "GET", "/control", change);
  if (answer.service !== "analysis-origin") throw new Error("no example origin");
  byId("origin").hidden = false;
  if (change === undefined && document.activeElement?.closest("#origin") === null) {
    byId("latency").value = answer.settings.latency;
    byId("mode").value = answer.settings.mode;
  }
  say(
    "origin-words",
    `${nice(answer.calls)} call${answer.calls === 1 ? "" : "s"}, ${answer.in_flight} under way, ${answer.highest_in_flight} at once at most. It takes ${nice(answer.settings.latency)} ms, mode ${answer.settings.mode}.`,
  );
}

function apply() {
  const latency = byId("latency").valueAsNumber;
  if (!(latency >= 0 && latency <= 20_000)) {
    say("origin-words", "The latency must be from 0 to 20,000 ms.");
    return;
  }
  origin({ latency, mode: byId("mode").value }).catch((error) => say("origin-words", error.message));
}

// The view.

function frame() {
  const field = (id, label, control, help) =>
    el("div.field", {}, el("label", { for: id }, label), control, help ? el("small", {}, help) : undefined);
  const button = (id, label, onclick, kind = "button") => el(kind, { id, type: "button", onclick }, label);
  return [
    el("p", { id: "live-status", role: "status" }, "Looking for the Worker…"),
    el(
      "div.columns",
      { id: "live-parts", hidden: true },
      el(
        "section.card",
        { "aria-labelledby": "burst-title" },
        el("h3", { id: "burst-title" }, "A burst at this very server"),
        field(
          "path",
          "Request",
          el("select", { id: "path", onchange: otherRequest }, el("option", { value: `POST ${PATH}` }, `POST ${PATH}`)),
        ),
        field(
          "question",
          "Body, or for GET path and query",
          el("textarea", { id: "question", rows: "3", spellcheck: "false" }, JSON.stringify(QUESTION)),
        ),
        el(
          "div.row",
          {},
          field(
            "credential",
            "Credential",
            el("input", { id: "credential", autocomplete: "off", placeholder: "x-api-key: demo-key-acme" }),
            "A header with its value, for a route that verifies its clients.",
          ),
          field(
            "tenant",
            "Tenant",
            el("input", { id: "tenant", autocomplete: "off", placeholder: "acme" }),
            "Whose entry to look at, on a route by tenant.",
          ),
        ),
        el(
          "div.row",
          {},
          field(
            "count",
            "Requests at once",
            el("input", { id: "count", type: "number", min: 1, max: 500, value: 100 }),
          ),
          button("burst", "Send", burst, "button.primary"),
        ),
        el("p", { id: "burst-words", role: "status" }),
        el("div", { id: "burst-answers" }),
      ),
      el(
        "section.card",
        { "aria-labelledby": "life-title" },
        el("h3", { id: "life-title" }, "The life of this answer"),
        el("p", { id: "life-words" }, "With the admin token this page shows what each tier holds."),
        el("div", { id: "life-bar" }),
        el("dl", { id: "life-facts" }),
        el(
          "div.row",
          { id: "purges", hidden: true },
          button("soft", "Purge (stale)", () => purge(false)),
          button("hard", "Purge (gone)", () => purge(true)),
        ),
        el("p", { id: "purge-words", role: "status" }),
      ),
      el(
        "section.card",
        { id: "origin", hidden: true, "aria-labelledby": "origin-title" },
        el("h3", { id: "origin-title" }, "The example origin"),
        el(
          "div.row",
          {},
          field(
            "latency",
            "Latency (ms)",
            el("input", { id: "latency", type: "number", min: 0, max: 20_000, value: 1_000 }),
          ),
          field("mode", "Mode", el("select", { id: "mode" }, ...MODES.map((it) => el("option", { value: it }, it)))),
          button("apply", "Apply", apply),
        ),
        el("p", { id: "origin-words", role: "status" }),
      ),
      el(
        "section.card",
        { "aria-labelledby": "admin-title" },
        el("h3", { id: "admin-title" }, "Counters"),
        el(
          "form.row",
          { id: "admin" },
          field(
            "token",
            "Admin token",
            el("input", { id: "token", type: "password", autocomplete: "off" }),
            "Kept in this page's memory only.",
          ),
          el("button", {}, "Use"),
        ),
        el("p", { id: "token-words", role: "status" }),
        el("div", { id: "health" }),
        el("div", { id: "counters" }),
      ),
    ),
  ];
}

/** Another request is chosen: its question begins anew. */
function otherRequest() {
  const { method, path } = chosen();
  byId("question").value = method === "GET" ? path.replace(/\*$/, "") : JSON.stringify(QUESTION);
}

function health(answer) {
  routes = answer.routes ?? [];
  if (routes.length > 0) {
    const before = byId("path").value;
    const requests = routes.flatMap(({ methods, path }) => methods.map((method) => `${method} ${path}`));
    byId("path").replaceChildren(...requests.map((it) => el("option", { value: it, selected: it === before }, it)));
  }
  const checks = Object.entries(answer.checks ?? {});
  byId("health").replaceChildren(
    el("dl", {}, ...checks.flatMap(([name, word]) => [el("dt", {}, name.replaceAll("_", " ")), el("dd", {}, word)])),
  );
}

async function round() {
  if (!token) return;
  counters(await call("GET", "/_xfetch/metrics"));
  await life().catch((error) => {
    if (error.isGone) throw error;
    say("life-words", error.message);
    byId("life-bar").replaceChildren();
    byId("life-facts").replaceChildren();
  });
}

async function useToken(event) {
  event.preventDefault();
  token = byId("token").value.trim();
  byId("token").value = "";
  try {
    if (!/^[\x21-\x7e]+$/.test(token)) throw new Error("A token has visible ASCII characters only.");
    const answer = await call("GET", "/_xfetch/health");
    if (!answer.checks) throw new Error("The Worker does not take this token.");
    health(answer);
    byId("purges").hidden = false;
    say("token-words", "The token is accepted.");
    await round();
  } catch (error) {
    token = "";
    byId("purges").hidden = true;
    say("token-words", error.message);
  }
}

async function look() {
  try {
    await call("GET", "/_xfetch/health");
    say("live-status", "The Worker answers.");
    byId("live-parts").hidden = false;
    origin().catch(() => {});
    return true;
  } catch (error) {
    byId("live-parts").hidden = error.status === undefined || error.status === 404;
    say(
      "live-status",
      error.status === 503
        ? `The Worker refuses its configuration: ${error.message}`
        : "No Worker answers here: this page is served as files. The laboratory works all the same.",
    );
    return false;
  }
}

/** Builds the view, and returns a function to call with whether the view is shown. */
export function openLive() {
  byId("live-body").append(...frame());
  byId("admin").addEventListener("submit", useToken);
  let timer;
  let isBusy = false;
  let isThere = true;
  const tick = async () => {
    if (isBusy || document.hidden) return;
    isBusy = true;
    try {
      if (!isThere) isThere = await look();
      if (isThere) await round();
    } catch (error) {
      isThere = !error.isGone;
      say("live-status", `${error.message}${error.isGone ? " What is shown is what it said before." : ""}`);
    }
    isBusy = false;
  };
  return (isShown) => {
    clearInterval(timer);
    if (!isShown) return;
    look().then((it) => (isThere = it));
    timer = setInterval(tick, 1_000);
  };
}

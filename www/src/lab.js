// The laboratory: settings, one run of every strategy on the same arrivals, and what it shows.

import { canvases, chart, sweepCharts } from "./charts.js";
import { byId, el, milliseconds, nice, percent, save, table } from "./dom.js";
import { Cancelled, ask, cancel } from "./engine.js";
import { PRESETS } from "./presets.js";
import { OURS, STRATEGIES, lawWords, statement } from "./words.js";

const GROUPS = { origin: "Origin", traffic: "Traffic", places: "Places and clocks", rule: "Rule and windows" };
/** Cycles that the histograms are made of. */
const CYCLES = 400;
const BETAS = [0.1, 0.15, 0.2, 0.3, 0.45, 0.7, 1, 1.5, 2.2, 3.3, 5, 7, 10];

let fields = [];
let strategies = [];
let shown;
let cards = [];
let playing;

// Settings, and the address that carries them.

function defaults() {
  return Object.fromEntries(fields.map((field) => [field.name, field.value]));
}

function fromAddress() {
  const [, query = ""] = location.hash.split("?");
  const given = Object.fromEntries(new URLSearchParams(query));
  const known = fields.filter((field) => field.name in given && Number.isFinite(Number(given[field.name])));
  return { ...defaults(), ...Object.fromEntries(known.map((field) => [field.name, Number(given[field.name])])) };
}

function address(settings) {
  const changed = fields.filter((field) => settings[field.name] !== field.value);
  const query = new URLSearchParams(changed.map((field) => [field.name, settings[field.name]])).toString();
  return `#lab${query ? `?${query}` : ""}`;
}

function control(field) {
  const id = `set-${field.name}`;
  const input = el("input", { id, name: field.name, type: "number", min: field.least, max: field.most, step: field.whole ? 1 : "any", required: true, "aria-describedby": `${id}-help`, inputmode: "decimal" });
  const help = el("small", { id: `${id}-help` }, `${field.help} ${nice(field.least)} to ${nice(field.most)}.`);
  return el("div.field", {}, el("label", { for: id }, field.label, field.unit ? el("span.unit", {}, ` ${field.unit}`) : ""), input, help);
}

function buildControls() {
  const of = (group) => fields.filter((field) => field.group === group).map(control);
  const set = (legend, group) => el("fieldset", {}, el("legend", {}, legend), ...of(group));
  const more = el("details", {}, el("summary", {}, "More settings"), ...Object.entries(GROUPS).map(([group, legend]) => set(legend, group)));
  byId("controls").replaceChildren(set("Settings", "essential"), more);
  for (const preset of PRESETS) {
    const button = el("button", { type: "button", "aria-pressed": "false", "data-preset": preset.id, title: preset.tells, onclick: () => start({ ...defaults(), ...preset.settings }) }, preset.label);
    byId("presets").append(button);
  }
}

function show(settings) {
  for (const field of fields) byId(`set-${field.name}`).value = settings[field.name];
  const same = (preset) => Object.entries({ ...defaults(), ...preset.settings }).every(([name, value]) => settings[name] === value);
  for (const preset of PRESETS) document.querySelector(`[data-preset="${preset.id}"]`).setAttribute("aria-pressed", String(same(preset)));
  const more = byId("controls").querySelector("details");
  more.open ||= fields.some((field) => field.group !== "essential" && settings[field.name] !== field.value && !PRESETS.some(same));
}

/** What the form holds; undefined, with a sentence, where a value cannot be. */
function read() {
  const settings = {};
  let wrong;
  for (const field of fields) {
    const input = byId(`set-${field.name}`);
    const value = Number(input.value);
    const fits = input.value.trim() !== "" && value >= field.least && value <= field.most && (!field.whole || Number.isInteger(value));
    input.setAttribute("aria-invalid", String(!fits));
    if (!fits) wrong ??= { input, text: `${field.label} must be ${field.whole ? "a whole number" : "a number"} from ${nice(field.least)} to ${nice(field.most)}.` };
    settings[field.name] = value;
  }
  if (!wrong) return settings;
  complain(wrong.text);
  wrong.input.closest("details")?.setAttribute("open", "");
  wrong.input.focus();
  return undefined;
}

function complain(text) {
  byId("problem").textContent = text ?? "";
  byId("problem").hidden = !text;
}

// The run.

async function start(settings) {
  performance.mark("start");
  complain();
  show(settings);
  history.replaceState(null, "", address(settings));
  stop();
  cancel();
  byId("run").disabled = true;
  byId("cancel").disabled = false;
  const began = performance.now();
  const progress = (share) => {
    byId("progress").value = share;
    byId("status").textContent = `Running: ${Math.round(100 * share)} %`;
  };
  try {
    const jobs = strategies.map((strategy) => ({ ...settings, strategy }));
    const results = await ask("run", jobs, progress);
    performance.mark("results");
    shown = { settings, results };
    present();
    performance.mark("presented");
    byId("status").textContent = `${results.length} strategies on the same ${nice(results[0].requests)} requests, simulated in ${milliseconds(performance.now() - began)}. Now the laws.`;
    await presentLaws(settings, results);
    byId("status").textContent = `${results.length} strategies on the same ${nice(results[0].requests)} requests. All done in ${milliseconds(performance.now() - began)}.`;
    document.body.dataset.ready = address(settings);
  } catch (error) {
    if (error instanceof Cancelled) {
      byId("status").textContent = "Cancelled.";
      return;
    }
    complain(error.message);
    byId("status").textContent = "";
  }
  byId("run").disabled = false;
  byId("cancel").disabled = true;
  byId("progress").value = 0;
}

// What it shows.

function present() {
  const { settings, results } = shown;
  byId("statement").replaceChildren(...statement(results, settings).map((text) => el("p", {}, text)));
  byId("headline").replaceChildren(headline(results));
  multiples();
  const time = byId("time");
  time.max = String(lastSecond());
  time.value = time.max;
  byId("clock").textContent = `${time.max} s`;
  sweepCharts();
}

function headline(results) {
  const head = ["Strategy", "Origin calls", "of the least", "at once", "Slow answers", "Past TTL", "Mean age", "Errors", "p99.9"];
  const values = results.map((it) => [it.calls, it.calls / Math.max(it.least_calls, 1), it.most_in_flight, it.slow, it.past_ttl_share, it.mean_age, it.errors, it.p999]);
  const texts = [nice, (it) => `${nice(it)} ×`, nice, nice, percent, (it) => `${nice(it)} s`, nice, milliseconds];
  // The mean age has no best: younger costs calls.
  const mark = (column, value) => {
    const all = values.map((row) => row[column]);
    if (column === 5 || Math.max(...all) === Math.min(...all)) return "";
    if (value === Math.min(...all)) return ".best";
    return value === Math.max(...all) ? ".worst" : "";
  };
  const rows = results.map((it, index) => [STRATEGIES[it.strategy].name, ...values[index].map((value, column) => el(`span${mark(column, value)}`, {}, texts[column](value)))]);
  return table("Every strategy on the same requests (slow: more than 100 ms)", head, rows, (index) => (results[index].strategy === OURS ? "ours" : ""));
}

/** The last second in which requests came. */
const lastSecond = () => Math.max(1, Math.ceil(shown.settings.duration));

const ROWS = [
  { key: "calls", title: "Origin calls", y: "a second", colour: "series-1", kind: "bars" },
  { key: "slowest", title: "Slowest answer", y: "ms", colour: "series-2", kind: "bars" },
  { key: "stale", title: "Answers past their TTL", y: "a second", colour: "series-3", kind: "bars" },
];

function seconds(result, key, until) {
  const list = result.seconds.slice(0, lastSecond());
  return list.map((second, index) => (index < until ? second[key] : null));
}

function multiples() {
  const { results } = shown;
  const x = Array.from({ length: lastSecond() }, (_, index) => index);
  // One scale for each row, so that the strategies can be compared.
  const most = Object.fromEntries(ROWS.map(({ key }) => [key, Math.max(1, ...results.flatMap((it) => it.seconds.slice(0, lastSecond()).map((second) => second[key]))) * 1.05]));
  cards = results.map((result) => {
    const { name, how } = STRATEGIES[result.strategy];
    const charts = ROWS.map((row) => ({
      row,
      chart: chart({ title: row.title, caption: row.y, x: "second", y: row.y, sync: "multiples", data: [x, pad(seconds(result, row.key, Infinity), x.length)], series: [{ label: row.title.toLowerCase(), colour: row.colour, kind: row.kind }], yMost: () => most[row.key] }),
    }));
    const card = el(result.strategy === OURS ? "section.card.ours" : "section.card", { "aria-label": name }, el("h4", {}, name), el("p", {}, how), ...charts.map((it) => it.chart.figure));
    return { result, charts, card, x };
  });
  byId("multiples").replaceChildren(...cards.map((it) => it.card));
}

const pad = (list, length) => Array.from({ length }, (_, index) => list[index] ?? (index < list.length ? null : 0));

function showUntil(second) {
  byId("clock").textContent = `${second} s`;
  for (const { result, charts, x } of cards) {
    for (const { row, chart: it } of charts) it.show([x, pad(seconds(result, row.key, second), x.length).map((value, index) => (index < second ? value : null))]);
  }
}

// The rule against its laws.

async function presentLaws(settings, results) {
  const ours = results.find((it) => it.strategy === OURS);
  const rate = ours.hot_rate;
  const beta = settings.beta > 0 ? settings.beta : 1;
  const window = settings.ttl * settings.early_window;
  const delta = Math.min(settings.delta, settings.ttl * 0.5);
  const about = { rate, delta, beta, window };
  // One place, no lock, no spread: what the laws are about.
  const alone = { ...defaults(), seed: settings.seed, rate, ttl: settings.ttl, delta, early_window: settings.early_window, colos: 1, isolates: 1, keys: 1, spread: 0, object_delay: 0, colo_delay: 0, beta, strategy: "xfetch_lease_beta_1" };
  const enough = Math.min(3_600, Math.max(60, Math.ceil(settings.ttl * CYCLES)), Math.max(60, Math.ceil(400_000 / Math.max(rate, 0.05))));
  const law = await ask("laws", about);
  const auto = await ask("auto", { rate, delta, window, late_share: settings.late_share, max_beta: settings.max_beta });
  const runs = await ask("run", [beta, ...BETAS].map((it) => ({ ...alone, beta: it, duration: it === beta ? enough : Math.ceil(enough / 4) < 10 ? 10 : Math.ceil(enough / 4) })));
  const [first, ...swept] = runs;
  const curve = await ask("sweep", BETAS.map((it) => ({ ...about, beta: it })));
  const cycles = first.cycles.slice(1);
  byId("law-words").textContent = `${lawWords({ law, cycles, rate, beta, delta })} "auto" would choose beta ${nice(auto)} here.`;
  byId("laws").replaceChildren(
    el("section.card", {}, gapChart(cycles, law, window).figure),
    el("section.card", {}, triggerChart(cycles, law, beta).figure),
    el("section.card", {}, lateChart(swept, curve, auto).figure),
    el("section.card", {}, gapSweep(swept, curve, auto, delta).figure),
  );
  sweepCharts();
}

function gapChart(cycles, law) {
  const BINS = 40;
  const least = law.gap[0].x;
  const most = Math.max(law.gap.find((it) => it.below > 0.999)?.x ?? law.gap.at(-1).x, least + 0.1);
  const width = (most - least) / BINS;
  const below = (x) => {
    const at = law.gap.findIndex((it) => it.x >= x);
    if (at <= 0) return at === 0 ? law.gap[0].below : 1;
    const [a, b] = [law.gap[at - 1], law.gap[at]];
    return a.below + ((b.below - a.below) * (x - a.x)) / (b.x - a.x);
  };
  const x = Array.from({ length: BINS }, (_, index) => least + (index + 0.5) * width);
  const seen = x.map((middle) => cycles.filter((it) => it.gap >= middle - width / 2 && it.gap < middle + width / 2).length);
  const wanted = x.map((middle) => cycles.length * (below(middle + width / 2) - below(middle - width / 2)));
  return chart({ title: "When the first refresh begins", caption: "before expiry; the line is the closed form", x: "seconds before expiry", y: "cycles", tall: true, data: [x, seen, wanted], series: [{ label: "seen", colour: "series-1", kind: "bars" }, { label: "law", colour: "series-2" }] });
}

function triggerChart(cycles, law, beta) {
  const COUNT = Math.min(law.triggers.length, Math.max(6, Math.ceil(4 * Math.exp(1 / beta))));
  const x = Array.from({ length: COUNT }, (_, index) => index + 1);
  const early = cycles.filter((it) => it.gap > 0);
  const seen = x.map((count) => early.filter((it) => it.triggers === count).length);
  const mean = early.reduce((sum, it) => sum + it.triggers, 0) / Math.max(early.length, 1);
  const wanted = x.map((count) => early.length * law.triggers[count - 1]);
  return chart({ title: "Triggers per cycle", caption: `mean ${nice(mean)}, law with the window ${nice(law.mean_triggers)}, e^(1/beta) ${nice(Math.exp(1 / beta))}; the line is the law without a window`, x: "triggers", y: "cycles", tall: true, data: [x, seen, wanted], series: [{ label: "seen", colour: "series-1", kind: "bars" }, { label: "law", colour: "series-2" }] });
}

const share = (result, test) => result.cycles.slice(1).filter(test).length / Math.max(result.cycles.length - 1, 1);
const mean = (result, of) => result.cycles.slice(1).reduce((sum, it) => sum + of(it), 0) / Math.max(result.cycles.length - 1, 1);

/** "auto" stands among the betas as one point of its own. */
function marked(auto, curve, value) {
  const x = [...BETAS, auto].sort((a, b) => a - b);
  const place = (list) => x.map((beta) => (BETAS.includes(beta) ? list[BETAS.indexOf(beta)] : null));
  const near = curve.reduce((best, it) => (Math.abs(it.beta - auto) < Math.abs(best.beta - auto) ? it : best), curve[0]);
  return { x, place, mark: x.map((beta) => (beta === auto ? value(near) : null)) };
}

function lateChart(swept, curve, auto) {
  const { x, place, mark } = marked(auto, curve, (it) => 100 * it.late);
  const seen = place(swept.map((it) => 100 * share(it, (cycle) => cycle.late)));
  const law = place(curve.map((it) => 100 * it.late));
  return chart({ title: "New values that land late", caption: `for beta from 0.1 to 10; "auto" is at ${nice(auto)}`, x: "beta", y: "percent of the cycles", tall: true, logX: true, data: [x, seen, spanned(law), mark], series: [{ label: "seen", colour: "series-1", kind: "points" }, { label: "law", colour: "series-2" }, { label: "auto", colour: "series-4", kind: "points" }] });
}

function gapSweep(swept, curve, auto) {
  const { x, place, mark } = marked(auto, curve, (it) => it.mean_gap);
  const seen = place(swept.map((it) => mean(it, (cycle) => cycle.gap)));
  const law = place(curve.map((it) => it.mean_gap));
  return chart({ title: "Freshness given up", caption: `mean seconds from the first refresh to expiry; "auto" is at ${nice(auto)}`, x: "beta", y: "seconds", tall: true, logX: true, data: [x, seen, spanned(law), mark], series: [{ label: "seen", colour: "series-1", kind: "points" }, { label: "law", colour: "series-2" }, { label: "auto", colour: "series-4", kind: "points" }] });
}

/** Without the one hole that "auto" leaves in a curve. */
const spanned = (list) => list.map((value, index) => value ?? ((list[index - 1] ?? list[index + 1]) + (list[index + 1] ?? list[index - 1])) / 2);

// Playback and export.

function stop() {
  clearInterval(playing);
  playing = undefined;
  byId("play").setAttribute("aria-pressed", "false");
  byId("play").textContent = "Play";
}

function advance(by) {
  const time = byId("time");
  const next = Math.min(Number(time.value) + by, Number(time.max));
  time.value = String(next);
  showUntil(next);
  if (next >= Number(time.max)) stop();
}

function play() {
  if (playing) return stop();
  const time = byId("time");
  if (Number(time.value) >= Number(time.max)) time.value = "1";
  byId("play").setAttribute("aria-pressed", "true");
  byId("play").textContent = "Pause";
  let owed = 0;
  playing = setInterval(() => {
    owed += Number(byId("speed").value) / 10;
    const whole = Math.floor(owed);
    owed -= whole;
    if (whole > 0) advance(whole);
  }, 100);
  return undefined;
}

function csv() {
  const lines = ["strategy,second,requests,calls,slow,stale,slowest_ms"];
  for (const { strategy, seconds: list } of shown.results) {
    list.forEach((it, second) => lines.push([strategy, second, it.requests, it.calls, it.slow, it.stale, it.slowest].join(",")));
  }
  save("xfetch-edge.csv", new Blob([`${lines.join("\n")}\n`], { type: "text/csv" }));
}

/** All pictures on one sheet. */
function png() {
  const all = canvases();
  const columns = 3;
  const width = Math.max(...all.map((it) => it.canvas.width)) + 20;
  const height = Math.max(...all.map((it) => it.canvas.height)) + 50;
  const sheet = el("canvas", { width: width * columns, height: height * Math.ceil(all.length / columns) });
  const context = sheet.getContext("2d");
  context.fillStyle = getComputedStyle(document.body).backgroundColor === "rgba(0, 0, 0, 0)" ? getComputedStyle(document.documentElement).backgroundColor : getComputedStyle(document.body).backgroundColor;
  context.fillRect(0, 0, sheet.width, sheet.height);
  context.fillStyle = getComputedStyle(document.body).color;
  context.font = `${16 * devicePixelRatio}px system-ui`;
  all.forEach(({ title, canvas }, index) => {
    const [left, top] = [(index % columns) * width + 10, Math.floor(index / columns) * height + 30];
    const card = index < cards.length * ROWS.length ? `${STRATEGIES[shown.results[Math.floor(index / ROWS.length)].strategy].name}: ` : "";
    context.fillText(card + title, left, top - 8, width - 20);
    context.drawImage(canvas, left, top);
  });
  sheet.toBlob((blob) => save("xfetch-edge.png", blob), "image/png");
}

async function copyLink() {
  try {
    await navigator.clipboard.writeText(location.href);
    byId("status").textContent = "The link is copied.";
  } catch {
    byId("status").textContent = `The link: ${location.href}`;
  }
}

export async function openLaboratory() {
  try {
    ({ fields, strategies } = await ask("about"));
  } catch (error) {
    complain(error.message);
    return;
  }
  buildControls();
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  const again = () => {
    const settings = read();
    if (settings) start(settings);
  };
  byId("run").addEventListener("click", again);
  byId("controls").addEventListener("change", again);
  byId("cancel").addEventListener("click", () => {
    cancel();
    byId("run").disabled = false;
    byId("cancel").disabled = true;
  });
  byId("play").addEventListener("click", play);
  byId("step").addEventListener("click", () => {
    stop();
    const time = byId("time");
    if (Number(time.value) >= Number(time.max)) time.value = "0";
    advance(1);
  });
  byId("time").addEventListener("input", () => {
    stop();
    showUntil(Number(byId("time").value));
  });
  byId("csv").addEventListener("click", () => shown && csv());
  byId("png").addEventListener("click", () => shown && png());
  byId("link").addEventListener("click", copyLink);
  addEventListener("hashchange", () => {
    if (location.hash.startsWith("#lab") && address(read() ?? {}) !== location.hash) start(fromAddress());
  });
  start(fromAddress());
}

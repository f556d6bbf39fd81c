// The laboratory: settings, one run of every strategy on the same arrivals, and the results.

import { chart, sweepCharts } from "./charts.js";
import { byId, el, milliseconds, nice, percent, save, table } from "./dom.js";
import { Cancelled, ask, cancel } from "./engine.js";
import { PRESETS } from "./presets.js";
import { OURS, STRATEGIES, theorySentence, nameOf, statement } from "./sentences.js";

const GROUPS = {
  origin: "Origin",
  traffic: "Traffic",
  places: "Places and clocks",
  faults: "Faults",
  rule: "Rule and windows",
};
/** Number of simulated cycles for the histograms, and for each point of the curves. */
const CYCLES = 4_000;
const CYCLES_OF_A_POINT = 1_000;
const BETAS = [0.1, 0.15, 0.2, 0.3, 0.45, 0.7, 1, 1.5, 2.2, 3.3, 5, 7, 10];

let fields = [];
let strategies = [];
let shown;
let cards = [];
let playing;
/** Counts runs, so that the results of an older run are not shown. */
let turn = 0;
let lawCharts = [];

// Settings, and the address that carries them.

function defaults() {
  return Object.fromEntries(fields.map((field) => [field.name, field.value]));
}

function fromAddress() {
  const [, query = ""] = location.hash.split("?");
  const given = Object.fromEntries(new URLSearchParams(query));
  const known = fields.filter((field) => given[field.name]?.trim() && Number.isFinite(Number(given[field.name])));
  return { ...defaults(), ...Object.fromEntries(known.map((field) => [field.name, Number(given[field.name])])) };
}

function address(settings) {
  const changed = fields.filter((field) => settings[field.name] !== field.value);
  const query = new URLSearchParams(changed.map((field) => [field.name, settings[field.name]])).toString();
  return `#lab${query ? `?${query}` : ""}`;
}

function control(field) {
  const id = `set-${field.name}`;
  const input = el("input", {
    id,
    name: field.name,
    type: "number",
    min: field.least,
    max: field.most,
    step: field.whole ? 1 : "any",
    required: true,
    "aria-describedby": `${id}-help`,
    inputmode: "decimal",
  });
  const help = el("small", { id: `${id}-help` }, `${field.help} ${nice(field.least)} to ${nice(field.most)}.`);
  return el(
    "div.field",
    {},
    el("label", { for: id }, field.label, field.unit ? el("span.unit", {}, ` ${field.unit}`) : ""),
    input,
    help,
  );
}

function buildControls() {
  const of = (group) => fields.filter((field) => field.group === group).map(control);
  const set = (legend, group) => el("fieldset", {}, el("legend", {}, legend), ...of(group));
  const more = el(
    "details",
    {},
    el("summary", {}, "More settings"),
    ...Object.entries(GROUPS).map(([group, legend]) => set(legend, group)),
  );
  byId("controls").replaceChildren(set("Settings", "essential"), more);
  for (const preset of PRESETS) {
    const button = el(
      "button",
      {
        type: "button",
        "aria-pressed": "false",
        "data-preset": preset.id,
        title: preset.tells,
        onclick: () => start({ ...defaults(), ...preset.settings }),
      },
      preset.label,
    );
    byId("presets").append(button);
  }
}

function show(settings) {
  for (const field of fields) byId(`set-${field.name}`).value = settings[field.name];
  const same = (preset) =>
    Object.entries({ ...defaults(), ...preset.settings }).every(([name, value]) => settings[name] === value);
  for (const preset of PRESETS)
    document.querySelector(`[data-preset="${preset.id}"]`).setAttribute("aria-pressed", String(same(preset)));
  const more = byId("controls").querySelector("details");
  for (const field of fields) byId(`set-${field.name}`).setAttribute("aria-invalid", "false");
  byId("story").textContent = PRESETS.find(same)?.tells ?? "Settings of your own.";
  more.open ||= fields.some(
    (field) => field.group !== "essential" && settings[field.name] !== field.value && !PRESETS.some(same),
  );
}

/** The settings in the form; if a value is not allowed, shows a message and returns undefined. */
function read() {
  const settings = {};
  let wrong;
  for (const field of fields) {
    const input = byId(`set-${field.name}`);
    const value = Number(input.value);
    const fits =
      input.value.trim() !== "" &&
      value >= field.least &&
      value <= field.most &&
      (!field.whole || Number.isInteger(value));
    input.setAttribute("aria-invalid", String(!fits));
    if (!fits)
      wrong ??= {
        input,
        text: `${field.label} must be ${field.whole ? "a whole number" : "a number"} from ${nice(field.least)} to ${nice(field.most)}.`,
      };
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

/** Puts the settings into the link to the laboratory, and into the page's address while the laboratory is shown. */
function keepAddress(settings) {
  byId("to-lab").href = address(settings);
  if (!location.hash.startsWith("#live")) history.replaceState(null, "", address(settings));
}

async function start(settings) {
  turn += 1;
  const mine = turn;
  complain();
  show(settings);
  keepAddress(settings);
  stop();
  cancel();
  if (!read()) return;
  byId("cancel").disabled = false;
  const began = performance.now();
  const progress = (share) => {
    if (mine !== turn) return;
    byId("progress").value = share;
    byId("status").textContent = `Running: ${Math.round(100 * share)} %`;
  };
  try {
    const jobs = strategies.map((strategy) => ({ ...settings, strategy }));
    const results = await ask("run", jobs, progress);
    if (mine !== turn) return;
    shown = { settings, results };
    present();
    byId("status").textContent = "Now the laws.";
    await presentLaws(settings, results, () => mine === turn);
    if (mine !== turn) return;
    byId("status").textContent =
      `${results.length} strategies on the same ${nice(results[0].requests)} requests, in ${milliseconds(performance.now() - began)}.`;
    document.body.dataset.ready = address(settings);
  } catch (error) {
    if (mine !== turn || error instanceof Cancelled) return;
    complain(error.message);
    byId("status").textContent = "";
  }
  byId("cancel").disabled = true;
  byId("progress").value = 0;
}

function cancelRun() {
  turn += 1;
  cancel();
  byId("cancel").disabled = true;
  byId("progress").value = 0;
  byId("status").textContent = shown ? "Cancelled: what is shown belongs to the run before." : "Cancelled.";
}

// The results.

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
  const head = [
    "Strategy",
    "Origin calls",
    "of the least",
    "at once",
    "Slow answers",
    "Past TTL",
    "Mean age",
    "Errors",
    "p99.9",
  ];
  const values = results.map((it) => [
    it.calls,
    it.calls / Math.max(it.least_calls, 1),
    it.most_in_flight,
    it.slow,
    it.past_ttl_share,
    it.mean_age,
    it.errors,
    it.p999,
  ]);
  const texts = [nice, (it) => `${nice(it)} ×`, nice, nice, percent, (it) => `${nice(it)} s`, nice, milliseconds];
  // No strategy is best in mean age, because younger answers cost more calls.
  const mark = (column, value) => {
    const all = values.map((row) => row[column]);
    if (column === 5 || Math.max(...all) === Math.min(...all)) return "";
    if (value === Math.min(...all)) return ".best";
    return value === Math.max(...all) ? ".worst" : "";
  };
  const rows = results.map((it, index) => [
    nameOf(it.strategy, shown.settings),
    ...values[index].map((value, column) => el(`span${mark(column, value)}`, {}, texts[column](value))),
  ]);
  return table("Every strategy on the same requests (slow: more than 100 ms)", head, rows, (index) =>
    results[index].strategy === OURS ? "ours" : "",
  );
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
  const most = Object.fromEntries(
    ROWS.map(({ key }) => [
      key,
      Math.max(1, ...results.flatMap((it) => it.seconds.slice(0, lastSecond()).map((second) => second[key]))) * 1.05,
    ]),
  );
  cards = results.map((result) => {
    const { how } = STRATEGIES[result.strategy];
    const name = nameOf(result.strategy, shown.settings);
    const charts = ROWS.map((row) => ({
      row,
      chart: chart({
        title: row.title,
        caption: row.y,
        x: "second",
        y: row.y,
        sync: "multiples",
        data: [x, pad(seconds(result, row.key, Infinity), x.length)],
        series: [{ label: row.title.toLowerCase(), colour: row.colour, kind: row.kind }],
        yMost: () => most[row.key],
      }),
    }));
    const card = el(
      result.strategy === OURS ? "section.card.ours" : "section.card",
      { "aria-label": name },
      el("h4", {}, name),
      el("p", {}, how),
      ...charts.map((it) => it.chart.figure),
    );
    return { result, charts, card, x };
  });
  byId("multiples").replaceChildren(...cards.map((it) => it.card));
}

const pad = (list, length) => Array.from({ length }, (_, index) => list[index] ?? (index < list.length ? null : 0));

function showUntil(second) {
  byId("clock").textContent = `${second} s`;
  for (const { result, charts, x } of cards) {
    for (const { row, chart: it } of charts)
      it.show([
        x,
        pad(seconds(result, row.key, second), x.length).map((value, index) => (index < second ? value : null)),
      ]);
  }
}

// The simulated rule against its closed forms.

async function presentLaws(settings, results, isCurrent) {
  const rate = results.find((it) => it.strategy === OURS).hot_rate;
  const beta = settings.beta;
  const window = settings.ttl * settings.early_window;
  const delta = Math.min(settings.delta, settings.ttl * 0.5);
  const about = { rate, delta, beta, window, seed: settings.seed };
  const auto = await ask("auto", { rate, delta, window, late_share: settings.late_share, max_beta: settings.max_beta });
  const betas = [...new Set([...BETAS, auto.beta])].sort((a, b) => a - b);
  const point = (change) => ({ ...about, count: CYCLES_OF_A_POINT, ...change });
  const wanted = [{ ...about, count: CYCLES }, point(auto), ...betas.map((it) => point({ beta: it }))];
  const [first, chosen, ...swept] = await ask("sweep", wanted);
  if (!isCurrent()) return;
  const { law, cycles } = first;
  byId("law-words").textContent =
    `${theorySentence({ law, cycles, rate, beta, delta })} For such a key at one place "auto" would choose beta ${nice(auto.beta)}, and begin ${nice(auto.window)} s before expiry at most.`;
  lawCharts = [
    gapChart(cycles, law),
    triggerChart(cycles, law),
    lateChart(swept, { ...auto, law: chosen.law }),
    gapSweep(swept, { ...auto, law: chosen.law }),
  ];
  byId("laws").replaceChildren(...lawCharts.map((it) => el("section.card", {}, it.figure)));
  sweepCharts();
}

function gapChart(cycles, law) {
  const BINS = 40;
  const [least, most] = [law.gap[0].x, law.gap.at(-1).x];
  const width = (most - least) / BINS || 1;
  const below = (x) => {
    const at = law.gap.findIndex((it) => it.x >= x);
    if (at <= 0) return at === 0 ? law.gap[0].below : law.gap.at(-1).below;
    const [a, b] = [law.gap[at - 1], law.gap[at]];
    return a.below + ((b.below - a.below) * (x - a.x)) / (b.x - a.x);
  };
  const x = Array.from({ length: BINS }, (_, index) => least + (index + 0.5) * width);
  const seen = x.map(
    (middle) => cycles.filter((it) => it.gap >= middle - width / 2 && it.gap < middle + width / 2).length,
  );
  const wanted = x.map((middle) => cycles.length * (below(middle + width / 2) - below(middle - width / 2)));
  return chart({
    title: "When the first refresh begins",
    caption: "seconds before expiry; negative is after it",
    x: "seconds before expiry",
    y: "cycles",
    tall: true,
    data: [x, seen, wanted],
    series: [
      { label: "seen", colour: "series-1", kind: "bars" },
      { label: "closed form", colour: "series-2" },
    ],
  });
}

function triggerChart(cycles, law) {
  const early = cycles.filter((it) => it.gap > 0);
  let reached = 0;
  const enough = law.triggers.findIndex((it) => (reached += it) > 0.995);
  const x = Array.from({ length: Math.max(6, enough < 0 ? law.triggers.length : enough + 1) }, (_, index) => index + 1);
  const seen = x.map((count) => early.filter((it) => it.triggers === count).length);
  const average = early.reduce((sum, it) => sum + it.triggers, 0) / Math.max(early.length, 1);
  const wanted = x.map((count) => early.length * law.triggers[count - 1]);
  return chart({
    title: "Triggers per cycle",
    caption: `before expiry, where there are any: mean ${nice(average)}, law ${nice(law.mean_triggers)}`,
    x: "triggers",
    y: "cycles",
    tall: true,
    data: [x, seen, wanted],
    series: [
      { label: "seen", colour: "series-1", kind: "bars" },
      { label: "closed form, with the window", colour: "series-2" },
    ],
  });
}

/** Charts a figure of the cycles and its closed form over all betas. "auto" is marked, and has its own window. */
function sweepChart(swept, auto, { title, caption, y, of, law }) {
  const x = swept.map((it) => it.beta);
  const seen = swept.map((it) => it.cycles.reduce((sum, cycle) => sum + of(cycle), 0) / it.cycles.length);
  const wanted = swept.map((it) => law(it.law));
  const mark = swept.map((it) => (it.beta === auto.beta ? law(auto.law) : null));
  return chart({
    title,
    caption: `${caption}; "auto" is at ${nice(auto.beta)}, in a window of ${nice(auto.window)} s`,
    x: "beta",
    y,
    tall: true,
    logX: true,
    data: [x, seen, wanted, mark],
    series: [
      { label: "seen", colour: "series-1", kind: "points" },
      { label: "closed form", colour: "series-2" },
      { label: "auto", colour: "series-4", kind: "points" },
    ],
  });
}

const lateChart = (swept, auto) =>
  sweepChart(swept, auto, {
    title: "New values that land late",
    caption: "for beta from 0.1 to 10",
    y: "percent of the cycles",
    of: (it) => (it.late ? 100 : 0),
    law: (it) => 100 * it.late,
  });

const gapSweep = (swept, auto) =>
  sweepChart(swept, auto, {
    title: "Freshness given up",
    caption: "mean seconds from the first refresh to expiry; negative: it came after expiry",
    y: "seconds",
    of: (it) => it.gap,
    law: (it) => it.mean_gap,
  });

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
  const { settings, results } = shown;
  const quoted = (text) => `"${String(text).replaceAll('"', '""')}"`;
  const lines = ["table,strategy,name,value"];
  for (const [name, value] of Object.entries(settings)) lines.push(["setting", "", name, value].join(","));
  for (const it of results) {
    for (const [name, value] of Object.entries(it))
      if (typeof value === "number") lines.push(["figure", it.strategy, name, value].join(","));
    for (const cycle of it.cycles) lines.push(["cycle", it.strategy, "gap", cycle.gap].join(","));
  }
  lines.push("", `strategy,second,requests,calls,slow,stale,${quoted("slowest (ms)")}`);
  for (const { strategy, seconds: list } of results) {
    list.forEach((it, second) =>
      lines.push([strategy, second, it.requests, it.calls, it.slow, it.stale, it.slowest].join(",")),
    );
  }
  save("xfetch-edge.csv", new Blob([`${lines.join("\n")}\n`], { type: "text/csv" }));
}

/** Saves all charts of the laboratory as one image, headed by their settings. */
function png() {
  const all = [
    ...cards.flatMap(({ result, charts }) =>
      charts.map((it) => ({ title: `${nameOf(result.strategy, shown.settings)}: ${it.row.title}`, own: it.chart })),
    ),
    ...lawCharts.map((own) => ({ title: own.title, own })),
  ].filter((it) => it.own.plot);
  const columns = ROWS.length;
  const scale = devicePixelRatio;
  const width = Math.max(...all.map((it) => it.own.plot.ctx.canvas.width)) + 20;
  const height = Math.max(...all.map((it) => it.own.plot.ctx.canvas.height)) + 40 * scale;
  const head = 40 * scale;
  const sheet = el("canvas", { width: width * columns, height: head + height * Math.ceil(all.length / columns) });
  const context = sheet.getContext("2d");
  const style = getComputedStyle(document.documentElement);
  context.fillStyle = style.backgroundColor;
  context.fillRect(0, 0, sheet.width, sheet.height);
  context.fillStyle = style.color;
  context.font = `${14 * scale}px system-ui`;
  context.fillText(
    `xfetch-edge  ${address(shown.settings)}  seed ${shown.settings.seed}`,
    10,
    24 * scale,
    sheet.width - 20,
  );
  all.forEach(({ title, own }, index) => {
    const [left, top] = [(index % columns) * width + 10, head + Math.floor(index / columns) * height + 24 * scale];
    context.fillText(title, left, top - 8 * scale, width - 20);
    context.drawImage(own.plot.ctx.canvas, left, top);
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
  byId("cancel").addEventListener("click", cancelRun);
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
  const whenShown = (save) => () => (shown ? save() : complain("There is nothing to save yet."));
  byId("csv").addEventListener("click", whenShown(csv));
  byId("png").addEventListener("click", whenShown(png));
  byId("link").addEventListener("click", copyLink);
  addEventListener("hashchange", () => {
    if (location.hash.startsWith("#lab") && shown && address(shown.settings) !== location.hash) start(fromAddress());
  });
  start(fromAddress());
}

// Charts by uPlot, each in a figure with a caption, the values under the pointer, and a table of the data.

import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

import { el, nice, table } from "./dom.js";

const live = new Set();
const dark = matchMedia("(prefers-color-scheme: dark)");
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

dark.addEventListener("change", () => live.forEach((it) => it.draw()));
const resized = new ResizeObserver((entries) => {
  for (const { target: element, contentRect } of entries) {
    const target = /** @type {any} */ (element);
    const width = Math.floor(contentRect.width);
    if (width > 0 && target.chart && target.chart.plot.width !== width) {
      target.chart.plot.setSize({ width, height: target.chart.height });
    }
  }
});

/** Destroys charts whose figures are no longer in the document. */
export function sweepCharts() {
  for (const it of live) {
    if (it.figure.isConnected) continue;
    it.plot.destroy();
    resized.unobserve(it.host);
    live.delete(it);
  }
}

/**
 * Creates a chart. `data` is [x, …series]; each of `series` has a label, a colour and a `kind`: "line", "bars",
 * "points" or "steps". `x` and `y` name the axes with units. Returns an object with the `figure` and with `show`, which
 * replaces the data.
 */
/** @param {any} options */
export function chart({ title, caption, x, y, data, series, height = 120, tall = false, sync, logX = false, yMost }) {
  const host = el(tall ? "div.plot.tall" : "div.plot", {
    role: "img",
    "aria-label": `${title}. ${caption ?? ""} The values stand in the table below.`,
  });
  const value = el("div.value", { "aria-hidden": "true" });
  const head = [x, ...series.map((it) => it.label)];
  const details = el("details", {}, el("summary", {}, "Table"));
  const own = { title, host, height: tall ? 240 : height, data };
  details.addEventListener("toggle", () => {
    if (!details.open || details.querySelector("table")) return;
    const rows = data[0].map((at, index) => [
      nice(at),
      ...data.slice(1).map((it) => (it[index] == null ? "" : nice(it[index]))),
    ]);
    details.append(table(title, head, rows));
  });
  const key =
    tall && series.length > 1
      ? el("div.key", {}, ...series.map((it) => el(`span.${it.colour}`, {}, it.label)))
      : undefined;
  own.figure = el(
    "figure",
    {},
    el("figcaption", {}, el("strong", {}, title), caption ? ` ${caption}` : ""),
    ...(key ? [key] : []),
    host,
    value,
    details,
  );
  host.chart = own;
  const paths = { bars: uPlot.paths.bars({ size: [0.9, 40] }), steps: uPlot.paths.stepped({ align: 1 }) };
  const shown = (index) => {
    if (index == null) return "";
    const parts = series.map(
      (it, place) => `${it.label} ${own.data[place + 1][index] == null ? "–" : nice(own.data[place + 1][index])}`,
    );
    return `${x} ${nice(own.data[0][index])}: ${parts.join(", ")}`;
  };
  // Room for half a bar at each end.
  const edge = () => (series.some((it) => it.kind === "bars") ? (own.data[0][1] - own.data[0][0]) / 2 || 0.5 : 0);
  own.draw = () => {
    own.plot?.destroy();
    const axis = {
      stroke: colour("soft"),
      grid: { stroke: colour("line"), width: 1 },
      ticks: { stroke: colour("line") },
      font: "12px system-ui",
    };
    own.plot = new uPlot(
      {
        width: Math.max(host.clientWidth, 200),
        height: own.height,
        padding: [8, 20, 0, 0],
        cursor: { sync: sync ? { key: sync } : undefined, y: false, drag: { x: false, y: false } },
        legend: { show: false },
        scales: {
          x: {
            time: false,
            distr: logX ? 3 : 1,
            range: logX ? undefined : (_, least, most) => [least - edge(), most + edge()],
          },
          y: { range: (_, least, most) => [Math.min(0, least * 1.08), yMost?.() ?? (most > 0 ? most * 1.08 : 1)] },
        },
        axes: [
          { ...axis, label: tall ? x : undefined, labelSize: 18, labelFont: "12px system-ui", size: 28 },
          {
            ...axis,
            label: tall ? y : undefined,
            labelSize: 18,
            labelFont: "12px system-ui",
            size: 48,
            space: 28,
            values: (_, ticks) =>
              ticks.map((it) =>
                it == null ? "" : nice(it).replace(/\.?0+$/, (end) => (end.startsWith(".") ? "" : end)),
              ),
          },
        ],
        series: [
          {},
          ...series.map((it) => ({
            label: it.label,
            stroke: colour(it.colour),
            fill: it.kind === "bars" ? `${colour(it.colour)}55` : undefined,
            width: it.kind === "points" ? 0 : 1.5,
            dash: it.dash,
            paths: paths[it.kind],
            points: { show: it.kind === "points", size: 7, fill: colour(it.colour) },
          })),
        ],
        hooks: { setCursor: [(plot) => (value.textContent = shown(plot.cursor.idx))] },
      },
      own.data,
      host,
    );
  };
  // Draw when the figure is in the document and has a width.
  requestAnimationFrame(() => {
    if (!own.figure.isConnected) return;
    own.draw();
    live.add(own);
    resized.observe(host);
  });
  own.show = (other) => {
    own.data = other;
    own.plot?.setData(other);
  };
  return own;
}

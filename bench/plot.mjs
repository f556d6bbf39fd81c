// Plots as SVG files, from vega-lite's descriptions.

import { writeFile } from "node:fs/promises";

import * as vega from "vega";
import { compile } from "vega-lite";

export async function plot(file, spec) {
  const view = new vega.View(vega.parse(compile({ background: "white", ...spec }).spec), { renderer: "none" });
  await writeFile(file, await view.toSVG());
}

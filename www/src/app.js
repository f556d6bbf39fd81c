// The page's entry point: shows one of its two views.

import "./style.css";

import { byId } from "./dom.js";
import { openLaboratory } from "./lab.js";
import { openLive } from "./live.js";

const VIEWS = ["lab", "live"];
let live;

function show() {
  const view = VIEWS.find((it) => location.hash.startsWith(`#${it}`)) ?? "lab";
  for (const it of VIEWS) {
    byId(it).hidden = it !== view;
    if (it === view) byId(`to-${it}`).setAttribute("aria-current", "page");
    else byId(`to-${it}`).removeAttribute("aria-current");
  }
  live?.(view === "live");
}

byId("version").textContent = `xfetch-edge ${XFETCH_VERSION}`;
live = openLive();
addEventListener("hashchange", show);
show();
openLaboratory();

// What the example origin has to read: pages whose headers say how they may be cached.

import { createHash } from "node:crypto";
import { Readable } from "node:stream";

import { TEAMS } from "./model.mjs";

const NAMES = Object.keys(TEAMS);

const ROWS = 20;
const REPORT_BYTES = 10 * 2 ** 20;

const WORDS = {
  en: { title: "Fixtures", against: "against", on: "on" },
  de: { title: "Spielplan", against: "gegen", on: "am" },
};

/** What the client prefers: the first of our languages in its list, English if there is none. */
const language = (field = "") => {
  const named = field.split(",").map((it) => it.trim().slice(0, 2).toLowerCase());
  return named.find((it) => Object.hasOwn(WORDS, it)) ?? "en";
};

/** The matches of a page, which change once a day. */
function matches(team, page) {
  const today = Math.floor(Date.now() / 86_400_000);
  return Array.from({ length: ROWS }, (_, row) => {
    const day = today + 1 + page * ROWS + row;
    const home = team ?? NAMES[day % NAMES.length];
    const others = NAMES.filter((it) => it !== home);
    return {
      date: new Date(day * 86_400_000).toISOString().slice(0, 10),
      home,
      away: others[(day * 7) % others.length],
    };
  });
}

/** The next matches, of one team or of all. */
export function fixtures(request) {
  const { searchParams } = new URL(request.url, "http://origin");
  const team = NAMES.find((it) => it === searchParams.get("team"));
  const page = Math.max(0, Number.parseInt(searchParams.get("page") ?? "0", 10) || 0);
  const tongue = language(request.headers["accept-language"]);
  const words = WORDS[tongue];
  const list = matches(team, page);
  const isHtml = /text\/html/.test(request.headers.accept ?? "");
  const rows = list.map(({ date, home, away }) => `<li>${home} ${words.against} ${away} ${words.on} ${date}</li>`);
  const text = isHtml
    ? `<!doctype html><html lang="${tongue}"><title>${words.title}</title><ul>${rows.join("")}</ul></html>`
    : JSON.stringify({ title: words.title, page, fixtures: list });
  return {
    status: 200,
    headers: {
      "content-type": isHtml ? "text/html; charset=utf-8" : "application/json",
      "content-language": tongue,
      vary: "Accept, Accept-Language",
      "cache-control": "max-age=30, stale-while-revalidate=300, stale-if-error=3600",
      etag: `"${createHash("sha256").update(text).digest("base64url").slice(0, 16)}"`,
    },
    body: Readable.from([text]),
  };
}

function* csv() {
  yield "date,home,away,home_win,draw,away_win\n";
  let bytes = 0;
  for (let row = 0; bytes < REPORT_BYTES; row += 1) {
    const [home, away] = [NAMES[row % NAMES.length], NAMES[(row + 1) % NAMES.length]];
    const lines = `2026-12-01,${home},${away},0.5,0.3,0.2\n`.repeat(1_000);
    bytes += lines.length;
    yield lines;
  }
}

/** A report that is longer than what is cached. */
export const report = () => ({
  status: 200,
  headers: { "content-type": "text/csv", "cache-control": "max-age=60" },
  body: Readable.from(csv()),
});

// Creates and finds elements, and formats numbers.

/**
 * Creates an element from its tag with classes ("p.note"), its attributes and its children. The kind of element depends
 * on the tag, so the type is `any`.
 *
 * @param {string} name
 * @param {Record<string, any>} attributes
 * @param {...any} children
 * @returns {any}
 */
export function el(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const element = document.createElement(tag);
  if (classes.length > 0) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children.filter((it) => it !== undefined && it !== null));
  return element;
}

/**
 * The element with this id, which must exist. The kind of element depends on the id, so the type is `any`.
 *
 * @param {string} id
 * @returns {any}
 */
export const byId = (id) => document.getElementById(id);

/**
 * A table with a caption: names of columns, then rows.
 *
 * @param {string} caption
 * @param {any[]} head
 * @param {any[][]} rows
 * @param {(index: number) => string} rowClass
 */
export function table(caption, head, rows, rowClass = () => "") {
  const cells = (tag, row) => row.map((cell, index) => el(tag, tag === "th" ? { scope: "col" } : {}, ...[cell].flat()));
  const body = rows.map((row, index) => {
    const [first, ...rest] = row;
    const line = el("tr", {}, el("th", { scope: "row" }, ...[first].flat()), ...cells("td", rest));
    line.className = rowClass(index);
    return line;
  });
  const inner = el(
    "table",
    {},
    el("caption", {}, caption),
    el("thead", {}, el("tr", {}, ...cells("th", head))),
    el("tbody", {}, ...body),
  );
  return el("div.scroll", { tabindex: "0", role: "region", "aria-label": caption }, inner);
}

export function save(name, blob) {
  const link = el("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1_000);
}

/** Formats a number for people, with about three significant digits. */
export function nice(number) {
  if (!Number.isFinite(number)) return "–";
  const size = Math.abs(number);
  if (Number.isInteger(number)) return number.toLocaleString("en");
  if (size >= 1_000) return Math.round(number).toLocaleString("en");
  if (size >= 100) return number.toFixed(0);
  if (size >= 10) return number.toFixed(1);
  if (size >= 0.01 || size === 0) return number.toFixed(2);
  return number.toPrecision(2);
}

export const percent = (share) => `${nice(100 * share)} %`;

export const milliseconds = (ms) => (ms >= 1_000 ? `${nice(ms / 1_000)} s` : `${nice(ms)} ms`);

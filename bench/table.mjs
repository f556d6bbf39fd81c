// Tables of figures, and medians over rounds.

export const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

/** Counts of which the maximum over the rounds is reported, because one occurrence is significant. */
const COUNTS = new Set(["computations", "failed"]);

/** The median of each figure over the rounds, and the maximum of each count. */
export const medians = (rounds) =>
  Object.fromEntries(
    Object.keys(rounds[0]).map((name) => {
      const values = rounds.map((it) => it[name]);
      return [name, COUNTS.has(name) ? Math.max(...values) : median(values)];
    }),
  );

/** Prints rows of texts under a head, columns aligned. */
export function table(head, rows) {
  const all = [head, ...rows].map((row) => row.map(String));
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column].length)));
  const line = (row) =>
    row.map((cell, column) => (column === 0 ? cell.padEnd(widths[column]) : cell.padStart(widths[column]))).join("  ");
  console.log(line(all[0]));
  console.log(widths.map((width) => "-".repeat(width)).join("  "));
  for (const row of all.slice(1)) console.log(line(row));
}

export const fixed = (value, digits = 0) => (Number.isFinite(value) ? value.toFixed(digits) : "-");

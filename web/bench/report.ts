// What the benchmarks print, a table for each workload, and what they write: results.md.
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type Check, otherName, ourName } from "./peers/peer.js";
import { type Entry, floorName, type Row, type Run } from "./results.js";
import type { Spread } from "./statistics.js";

export interface Participant {
  readonly name: string;
  readonly check: Check;
  readonly strict: boolean;
  readonly note: string;
}

const checks: Readonly<Record<Check, string>> = {
  "expected sequence": "checks the expected sequence in the transaction that writes",
  "place taken": "refuses a place that is taken, and does not notice a hole",
  none: "checks nothing",
};

export function participants(all: readonly Participant[]): string {
  return [
    "Each does the same job: append an event if the log is as long as expected, acknowledge it after the commit, read the log back.",
    ...all.filter(({ note }) => note !== "").map(({ name, check, strict, note }) => `  ${name}: ${checks[check]}${strict ? "" : ", DEFAULT durability in every table"}; ${note}`),
    "  @coji/durably runs jobs of steps on SQLite and has no append to a log. It needs a cross-origin isolated page, and so has a contest of its own.",
    `Values are medians, with quartiles. Ratios are to "${floorName}" in the same round, and again medians with quartiles.`,
  ].join("\n");
}

export function table({ workload, unit, base, entries }: Row): string {
  const name = Math.max(...entries.map((entry) => entry.name.length));
  const lines = entries.map((entry) => {
    const cells = [entry.name.padEnd(name), cell(entry.value, unit).padEnd(34), base === "" ? "" : cell(entry.ratio, "x").padEnd(28)];
    return `  ${cells.join("  ")}${entry.rounds > 1 ? ` n=${entry.rounds}` : ""}${entry.remark === undefined ? "" : `  (${entry.remark})`}`;
  });
  return [`${workload}${base === "" ? "" : `, x ${base}`}`, ...lines].join("\n");
}

function cell(value: Spread | undefined, unit: string): string {
  if (value === undefined) return "-";
  const range = value.low === value.high ? "" : ` (${digits(value.low)} to ${digits(value.high)})`;
  return `${digits(value.median)} ${unit}${range}`;
}

/** Three digits. */
export function digits(value: number): string {
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString("en-US");
  return value === 0 ? "0" : value.toFixed(Math.abs(value) >= 10 ? 1 : 2);
}

/** How this build compares with the other one, in whatever both have measured. */
export function comparison(rows: readonly Row[]): string {
  const found = rows.flatMap(({ workload, entries }) =>
    entries.flatMap(({ name, rounds, beside }) => (beside === undefined ? [] : [{ title: workload + name.slice(ourName.length), rounds, beside }])),
  );
  const width = Math.max(...found.map(({ title }) => title.length));
  return [
    `This build, x ${otherName}: the ratio of the medians, and the ratios round by round`,
    ...found.map(({ title, rounds, beside }) => `  ${title.padEnd(width)}  ${beside.ofMedians.toFixed(2)} x  ${cell(beside.byRound, "x").padEnd(28)} n=${rounds}`),
  ].join("\n");
}

/** Writes the figures of Holdfast, on each backend. */
export function writeResults(runs: readonly Run[]): void {
  const backends = [...new Set(runs.map(({ backend }) => backend))];
  const lines = new Map<string, Map<string, string>>();
  for (const { backend, durability, rows } of runs) {
    for (const { workload, unit, base, entries } of rows) {
      for (const entry of entries) {
        if (!entry.name.startsWith(ourName) || entry.value === undefined) continue;
        const title = `${workload}${entry.name.slice(ourName.length)}, ${durability}`;
        const columns = lines.get(title) ?? new Map<string, string>();
        columns.set(backend, figure(entry, unit, base));
        lines.set(title, columns);
      }
    }
  }
  const text = [
    "<!-- Written by `make bench`. -->",
    "",
    ...runs.map(({ backend, durability, chromium, machine, date, scale }) => `- ${backend}, ${durability}: ${date}, Chromium ${chromium}, ${machine}, \`BENCH_ROUNDS=${Math.round(scale * 100)}\``),
    "",
    `| | ${backends.join(" | ")} |`,
    `|---|${"---|".repeat(backends.length)}`,
    ...[...lines].map(([title, columns]) => `| ${title} | ${backends.map((backend) => columns.get(backend) ?? "").join(" | ")} |`),
    "",
  ];
  writeFileSync(fileURLToPath(new URL("results.md", import.meta.url)), text.join("\n"));
}

function figure({ value, ratio }: Entry, unit: string, base: string): string {
  return `${digits(value?.median ?? Number.NaN)} ${unit}${ratio === undefined ? "" : `, ${ratio.median.toFixed(2)} x ${base}`}`;
}

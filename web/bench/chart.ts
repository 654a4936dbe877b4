// Draws chart.svg: how long each takes in relation to IndexedDB by hand. Legible on light and on dark pages.
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Durability } from "./peers/peer.js";
import { type Entry, floorName, type Row, type Run } from "./results.js";

const file = fileURLToPath(new URL("chart.svg", import.meta.url));

const panels: readonly { readonly workload: string; readonly durability: Durability }[] = [
  { workload: "append one by one", durability: "strict" },
  { workload: "agent message, 6 steps", durability: "strict" },
  { workload: "burst of 1,000 calls", durability: "default" },
  { workload: "recover 10,000 events", durability: "default" },
];

const columns = 2;
const panel = { width: 460, labels: 165, bars: 230, row: 18, head: 46 } as const;

/** Times of the floor; the axis is logarithmic. */
const axis = { from: 0.05, to: 20, ticks: [0.1, 1, 10] } as const;

/** Draws what there is of the runs of one backend. */
export function drawChart(runs: readonly Run[]): void {
  const backend = runs[0]?.backend;
  const found = panels.flatMap(({ workload, durability }) => {
    const run = runs.find((one) => one.backend === backend && one.durability === durability);
    const row = run?.rows.find((one) => one.workload === workload);
    return run === undefined || row === undefined ? [] : [{ run, row }];
  });
  const [first] = found;
  if (first === undefined) return;
  const height = Math.max(...found.map(({ row }) => row.entries.length)) * panel.row + panel.head + 26;
  const drawn = found.map(({ run, row }, i) => {
    const at = `translate(${(i % columns) * panel.width} ${Math.floor(i / columns) * height})`;
    return `<g transform="${at}">${drawPanel(row, run.durability)}</g>`;
  });
  const [width, total] = [columns * panel.width, Math.ceil(found.length / columns) * height + 40];
  const { chromium, date } = first.run;
  const foot = [
    "Time as a multiple of hand-written IndexedDB in the same rounds, logarithmic: to the left is faster.",
    `Chromium ${chromium}, ${backend} backend, ${date}. * less durable, or fewer rounds: see the remark in results.json.`,
  ];
  writeFileSync(
    file,
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${total}" font-family="system-ui, sans-serif" font-size="12" role="img">
<title>How long Holdfast and others take, as multiples of hand-written IndexedDB</title>
<style>${style}</style>
${drawn.join("\n")}
${foot.map((line, i) => `<text class="quiet" x="12" y="${total - 26 + 18 * i}">${escaped(line)}</text>`).join("\n")}
</svg>
`,
  );
}

const style = `
text { fill: #1f2328 } .quiet { fill: #59636e } .bar { fill: #8c959f } .ours { fill: #0969da } .grid { stroke: #d1d9e0 } .floor { stroke: #59636e }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc } .quiet { fill: #9198a1 } .bar { fill: #656c76 } .ours { fill: #4493f8 } .grid { stroke: #3d444d } .floor { stroke: #9198a1 }
}`;

function drawPanel({ workload, entries }: Row, durability: Durability): string {
  const bottom = panel.head + entries.length * panel.row;
  const title = `<text x="12" y="20" font-weight="600">${escaped(workload)}, ${durability}</text>`;
  const grid = axis.ticks.map((tick) => {
    const x = place(tick);
    const line = `<line class="${tick === 1 ? "floor" : "grid"}" x1="${x}" x2="${x}" y1="${panel.head - 8}" y2="${bottom}"/>`;
    return `${line}<text class="quiet" x="${x}" y="${bottom + 14}" text-anchor="middle">${tick} x</text>`;
  });
  return [title, ...grid, ...entries.map((entry, i) => drawEntry(entry, panel.head + i * panel.row))].join("");
}

function drawEntry({ name, ratio, remark }: Entry, y: number): string {
  const label = `<text x="12" y="${y + 10}">${escaped(name)}${remark === undefined || ratio === undefined ? "" : " *"}</text>`;
  if (ratio === undefined) return `${label}<text class="quiet" x="${place(1) + 6}" y="${y + 10}">${remark === undefined ? "-" : "not run"}</text>`;
  const [one, end] = [place(1), place(ratio.median)];
  const kind = name.startsWith("Holdfast") ? "ours" : "bar";
  const bar = `<rect class="${kind}" x="${Math.min(one, end)}" y="${y}" width="${Math.max(Math.abs(end - one), 1)}" height="12" rx="1"/>`;
  const text = name === floorName ? "1" : ratio.median.toFixed(ratio.median < 10 ? 2 : 0);
  return `${label}${bar}<text class="quiet" x="${Math.max(one, end) + 5}" y="${y + 10}">${text}</text>`;
}

/** Where a multiple of the floor is on the axis. */
function place(multiple: number): number {
  const part = Math.log(Math.min(Math.max(multiple, axis.from), axis.to) / axis.from) / Math.log(axis.to / axis.from);
  return Math.round(10 * (panel.labels + part * panel.bars)) / 10;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}

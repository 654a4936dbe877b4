// Measures Holdfast beside IndexedDB by hand: in one page, on a fresh profile, in alternating rounds.
import { test } from "../test/harness/test.js";
import { measure, type Plan, type Row } from "./measure.js";

const plans: readonly Plan[] = [
  { durability: "strict", rounds: 15, appends: 40, logs: [] },
  { durability: "default", rounds: 15, appends: 40, logs: [1_000, 10_000] },
];

for (const plan of plans) {
  test(`beside IndexedDB by hand, ${plan.durability}`, async ({ backend, launch, server }) => {
    const running = await launch();
    const page = await running.newPage();
    await page.goto(server.origin);
    const rows = await page.evaluate(measure, plan);
    for (const row of rows) print(`Chromium ${running.browser.version()}, ${backend}`, row);
  });
}

function print(where: string, row: Row): void {
  const [ours, floor] = [quartiles(row.holdfast), quartiles(row.floor)];
  const cell = ([low, median, high]: Quartiles): string => `${median.toFixed(2)} ms (${low.toFixed(2)} to ${high.toFixed(2)})`;
  console.log(`${where}: ${row.workload}: Holdfast ${cell(ours)}, by hand ${cell(floor)}, ratio ${(ours[1] / floor[1]).toFixed(2)}`);
}

type Quartiles = readonly [number, number, number];

function quartiles(values: readonly number[]): Quartiles {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (part: number): number => sorted[Math.floor((sorted.length - 1) * part)] ?? Number.NaN;
  return [at(0.25), at(0.5), at(0.75)];
}

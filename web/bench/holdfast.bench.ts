// Measures Holdfast beside others who do the same job: on a fresh profile, all in one page, in alternating rounds.
// BENCH_ROUNDS=20 makes 20 % of the rounds, BENCH_DURABILITY=strict is one durability, BENCH_ONLY=append some workloads.
// BENCH_OTHER=../before/web/dist lets the build of another commit take part, and prints how this one
// compares with it.
import type { BrowserContext } from "@playwright/test";
import { test } from "../test/harness/test.js";
import { drawChart } from "./chart.js";
import { competition, isolatedContest } from "./competition.js";
import { coldStarts, crossings, instanceStarts, longestTasks, memory } from "./figures.js";
import { onFreshPage, openBench } from "./pages.js";
import type { Durability } from "./peers/peer.js";
import { complete, durabilities, isolatedRounds, isWanted, otherDist, reading, scale, writing } from "./plan.js";
import { profiles } from "./profile.js";
import { comparison, type Participant, participants, table, writeResults } from "./report.js";
import { keep, machine, type Row } from "./results.js";

for (const durability of durabilities) {
  test(durability, { tag: "@launch" }, async ({ backend, launch }) => {
    const running = await launch();
    const chromium = running.browser.version();
    const all = await onFreshPage(running.context, async (page, server) => {
      await openBench(page, server);
      return await page.evaluate(() => bench.peers);
    });
    console.log(`\nChromium ${chromium}, ${backend}, durability ${durability}, ${machine()}\n${participants(all)}`);

    const rows: Row[] = [];
    let failed = false;
    for (const [workload, measure] of workloads(running.context, all, durability)) {
      if (!isWanted(workload)) continue;
      try {
        const found = await measure();
        rows.push(...found);
        for (const row of found) console.log(`\n${table(row)}`);
      } catch (error) {
        failed = true;
        console.log(`\n${workload}: failed: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    if (otherDist !== "" && rows.length > 0) console.log(`\n${comparison(rows)}\n`);
    if (!complete || failed) return; // the results of the last whole run stay
    const date = new Date().toISOString().slice(0, 10);
    const runs = keep({ backend, durability, chromium, machine: machine(), date, scale, rows });
    drawChart(runs);
    writeResults(runs);
  });
}

type Workload = readonly [name: string, measure: () => Promise<readonly Row[]>];

function workloads(context: BrowserContext, all: readonly Participant[], durability: Durability): readonly Workload[] {
  const compete = competition(context, all, durability);
  const written = writing.map((discipline): Workload => [discipline.workload, () => compete(discipline)]);
  const isolated = "agent message, 6 steps, in a cross-origin isolated page";
  written.push([isolated, () => isolatedContest(context, isolated, isolatedRounds, durability)]);
  const starts: Workload = ["start and download", () => coldStarts(context, all, durability)];
  if (durability === "strict") return [...written, starts];
  return [
    ...written,
    starts,
    ...reading.map((discipline): Workload => [discipline.workload, () => compete(discipline)]),
    ["instance start", () => instanceStarts(context)],
    ["longest tasks", () => longestTasks(context)],
    ["memory", () => memory(context)],
    ["crossings", () => crossings(context)],
    ["profile", () => profiles(context)],
  ];
}

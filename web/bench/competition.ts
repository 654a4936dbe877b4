// Lets all peers compete in one page, and makes rows of what they have measured there.
import type { BrowserContext } from "@playwright/test";
import type { Result } from "./page/contest.js";
import type { Task } from "./page/page.js";
import { onFreshPage, openBench, openIsolated } from "./pages.js";
import type { Durability } from "./peers/peer.js";
import type { Discipline } from "./plan.js";
import type { Participant } from "./report.js";
import { row, type Row, type Series } from "./results.js";

/** Returns the function that holds one discipline. Each of its measures is a row. */
export function competition(context: BrowserContext, all: readonly Participant[], durability: Durability): (discipline: Discipline) => Promise<Row[]> {
  const caveat = caveats(all, durability);
  return async ({ workload, unit, task, variants = false, without = {} }) => {
    const names = all.map(({ name }) => name).filter((name) => !(name in without));
    const results = await onFreshPage(context, async (page, server) => {
      await openBench(page, server);
      const args: [Task, string[], boolean, Durability] = [task, names, variants, durability];
      return await page.evaluate((given) => bench.contest(...given), args);
    });
    return rowsOf(results, workload, unit, caveat, without);
  };
}

/** The same in a cross-origin isolated page, with those that need one. */
export async function isolatedContest(context: BrowserContext, workload: string, rounds: number, durability: Durability): Promise<Row[]> {
  const results = await onFreshPage(context, async (page, server) => {
    await openIsolated(page, server);
    return await page.evaluate(([count, how]) => isolated(count, how), [rounds, durability] as const);
  });
  return rowsOf(results, workload, "ms", (name) => (name.startsWith("@") && durability === "strict" ? "default durability" : undefined), {});
}

function rowsOf(results: readonly Result[], workload: string, unit: string, caveat: (name: string) => string | undefined, without: Readonly<Record<string, string>>): Row[] {
  const absent = Object.entries(without).map(([name, remark]): Series => ({ name, values: [], remark }));
  const measures = new Set(results.flatMap(({ rounds }) => rounds.flatMap((round) => Object.keys(round))));
  return [...measures].map((measure) => {
    const series = results.map(({ name, rounds, problem }): Series => {
      const values = rounds.flatMap((round) => round[measure] ?? []);
      return { name, values, remark: problem ?? caveat(name) };
    });
    return row(measure === "" ? workload : `${workload}: ${measure}`, unit, [...series, ...absent]);
  });
}

/** Says of whom a table of strict durability would otherwise tell an untruth. */
export function caveats(all: readonly Participant[], durability: Durability): (name: string) => string | undefined {
  return (name) => (durability === "strict" && all.some((one) => one.name === name && !one.strict) ? "default durability" : undefined);
}

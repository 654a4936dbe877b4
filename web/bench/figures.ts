// Figures that are not measured in rounds of one page: starts, sizes, memory, crossings.
import type { BrowserContext, Page } from "@playwright/test";
import type { Server } from "../test/harness/server.js";
import { modules, size } from "./bundle.js";
import { caveats } from "./competition.js";
import { onFreshPage, openBench, visit } from "./pages.js";
import type { Durability } from "./peers/peer.js";
import { busy, counted, held, instances, starts } from "./plan.js";
import type { Participant } from "./report.js";
import { row, type Row, type Series } from "./results.js";

/**
 * In a page that has nothing but one peer, from the navigation on: on a first visit, when nothing is cached, to the first
 * acknowledged append; on a second one to the end of a recovery of 1,000 events. And what the first one fetches.
 */
export async function coldStarts(context: BrowserContext, all: readonly Participant[], durability: Durability): Promise<Row[]> {
  const caveat = caveats(all, durability);
  const runners = all.flatMap(({ name }, i) => {
    const module = modules[i];
    return module === undefined ? [] : [{ name, module, first: [] as number[], again: [] as number[], bytes: [] as number[], remark: caveat(name) }];
  });
  for (let round = -1; round < starts; round++) {
    for (const runner of runners) {
      try {
        const { ms, fetched } = await onFreshPage(context, (page, server) => visit(page, server, runner.module, durability));
        if (round < 0) runner.bytes.push(size(fetched) / 1000);
        else {
          runner.first.push(ms[0] ?? Number.NaN);
          runner.again.push(ms[1] ?? Number.NaN);
        }
      } catch (error) {
        runner.remark = error instanceof Error ? error.message : String(error);
      }
    }
  }
  const series = (of: "first" | "again" | "bytes"): Series[] => runners.map(({ name, remark, [of]: values }) => ({ name, values, remark }));
  return [
    row("start: cold page to first append", "ms", series("first")),
    row("start: known page to the recovery of 1,000 events", "ms", series("again")),
    row("download of that page, brotli", "KB", series("bytes"), ""),
  ];
}

export async function instanceStarts(context: BrowserContext): Promise<Row[]> {
  const found = await onFreshPage(context, async (page, server) => {
    await openBench(page, server);
    return await page.evaluate((rounds) => bench.instanceStarts(rounds, "/dist/holdfast.wasm", ["/bench/unstripped.wasm", "/bench/empty.wasm"]), instances);
  });
  const empty = "empty Go program";
  const series = ["Holdfast", empty, `${empty}, stripped as Holdfast is`].map((name, i) => ({ name, values: found[i] ?? [] }));
  return [row("instance start, compiled before", "ms", series, empty)];
}

export async function memory(context: BrowserContext): Promise<Row[]> {
  const { events, appends } = held;
  const found = await onFreshPage(context, async (page, server) => {
    await openBench(page, server);
    return await page.evaluate(([before, more]) => bench.memory(before, more), [events, appends] as const);
  });
  const single = (workload: string, value: number): Row => row(workload, "MB", [{ name: "Holdfast", values: [value] }], "");
  return [
    single(`WebAssembly memory after recovering ${events.toLocaleString("en-US")} events`, found.recovered),
    single(`its growth over ${appends.toLocaleString("en-US")} further appends`, found.appended - found.recovered),
  ];
}

/** Each in a fresh page. */
export async function longestTasks(context: BrowserContext): Promise<Row[]> {
  const { messages, body, chunks } = busy;
  const measure = async (what: string, work: (page: Page, server: Server) => Promise<void>): Promise<Row> => {
    const longest = await onFreshPage(context, async (page, server) => {
      await openBench(page, server);
      await work(page, server);
      return await page.evaluate(() => bench.longestTask());
    });
    return row(`longest task of 50 ms or more while ${what}`, "ms", [{ name: "Holdfast", values: [longest] }], "");
  };
  return [
    await measure(`a page lists, and another tab sends ${messages.toLocaleString("en-US")} messages`, async (page, server) => {
      await page.evaluate(() => bench.showList());
      const sender = await context.newPage();
      await openBench(sender, server);
      await sender.evaluate((count) => bench.sendToMany(count), messages);
      await sender.close();
    }),
    await measure(`a body of ${body.toLocaleString("en-US")} characters is sent`, (page) => page.evaluate((length) => bench.sendLarge(length), body)),
    await measure(`a step streams ${chunks.toLocaleString("en-US")} chunks in one task`, (page) => page.evaluate((count) => bench.streamMany(count), chunks)),
  ];
}

/** Counts of one append: their sum, and the frequent ones by name. */
export async function crossings(context: BrowserContext): Promise<Row[]> {
  const found = await onFreshPage(context, async (page, server) => {
    await openBench(page, server);
    return await page.evaluate((appends) => bench.crossings(appends), counted);
  });
  const sum = Object.values(found).reduce((a, b) => a + b, 0);
  const named = Object.entries(found).filter(([, count]) => count >= 0.01);
  const series = [["Holdfast", sum] as const, ...named].map(([name, count]): Series => ({ name, values: [count] }));
  return [row("crossings between Go and JavaScript in one awaited append", "calls", series, "")];
}

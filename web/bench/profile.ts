// Where the time goes, by the browser's own profiler: what is left to be won, and what only the browser could win.
import type { BrowserContext, CDPSession, Page } from "@playwright/test";
import { onFreshPage, openBench } from "./pages.js";
import { burstCalls, bursts, held, profiled, recovered, started } from "./plan.js";
import { floorName, row, type Row } from "./results.js";

const intervalMicroseconds = 50;

type Profile = Awaited<ReturnType<typeof stop>>;

/** What the profiler names so, or what it finds in a file of that kind; the last is all that is in no file. */
const parts = {
  "waiting for the browser's storage": ({ functionName }) => functionName === "(idle)",
  "the browser itself": ({ functionName }) => functionName === "(program)" || functionName === "(root)",
  "collecting JavaScript's garbage": ({ functionName }) => functionName === "(garbage collector)",
  Go: ({ url }) => url.startsWith("wasm://") || url.endsWith(".wasm"),
  "JavaScript of the library and of wasm_exec": ({ url }) => url !== "",
  "functions of the browser, most of IndexedDB": () => true,
} as const satisfies Record<string, (frame: Profile["nodes"][number]["callFrame"]) => boolean>;

/** Of an awaited append, the floor's and Holdfast's, and of a burst, a recovery from a snapshot and a start. */
export async function profiles(context: BrowserContext): Promise<Row[]> {
  const rows: Row[] = [];
  for (const name of [floorName, "Holdfast"]) {
    rows.push(await profile(context, `an awaited append goes, ${name}`, profiled, (page) => page.evaluate(([peer, appends]) => bench.appendOnly(peer, appends), [name, profiled] as const)));
  }
  const { events } = held;
  const count = (n: number): string => n.toLocaleString("en-US");
  const prepare = (page: Page): Promise<void> => page.evaluate((length) => bench.prepareRecovery(length), events);
  rows.push(
    await profile(context, `a burst of ${count(burstCalls)} calls goes, Holdfast`, bursts, (page) => page.evaluate(([times, calls]) => bench.burstOnly(times, calls), [bursts, burstCalls] as const)),
    await profile(context, `recovering ${count(events)} events from a snapshot goes, Holdfast`, recovered, (page) => page.evaluate((times) => bench.recoverOnly(times), recovered), prepare),
    await profile(context, "an instance's start goes, Holdfast", started, async (page) => void (await page.evaluate((times) => bench.instanceStarts(times, "/dist/holdfast.wasm", []), started))),
  );
  return rows;
}

/** Does the work once to warm up, and once under the profiler. */
async function profile(context: BrowserContext, title: string, times: number, work: (page: Page) => Promise<void>, prepare?: (page: Page) => Promise<void>): Promise<Row> {
  const spent = await onFreshPage(context, async (page, server) => {
    await openBench(page, server);
    await prepare?.(page);
    await work(page);
    const session = await context.newCDPSession(page);
    await session.send("Profiler.enable");
    await session.send("Profiler.setSamplingInterval", { interval: intervalMicroseconds });
    await session.send("Profiler.start");
    await work(page);
    return spentIn(await stop(session));
  });
  const sum = [...spent.values()].reduce((a, b) => a + b, 0);
  const series = [["all", sum] as const, ...spent].map(([part, microseconds]) => ({ name: part, values: [microseconds / times] }));
  return row(`where the time of ${title}`, "µs", series, "");
}

async function stop(session: CDPSession) {
  return (await session.send("Profiler.stop")).profile;
}

/** Microseconds by part. */
function spentIn({ nodes, samples = [], timeDeltas = [] }: Profile): Map<string, number> {
  const partOf = new Map(nodes.map(({ id, callFrame }) => [id, Object.entries(parts).find(([, holds]) => holds(callFrame))?.[0] ?? ""]));
  const spent = new Map(Object.keys(parts).map((part) => [part, 0]));
  for (const [i, sample] of samples.entries()) {
    const part = partOf.get(sample) ?? "";
    spent.set(part, (spent.get(part) ?? 0) + (timeDeltas[i] ?? 0));
  }
  return spent;
}

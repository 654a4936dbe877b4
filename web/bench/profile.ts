// Where the time of an awaited append goes, by the browser's own profiler: what is left to be won, and what only the browser could win.
import type { BrowserContext, CDPSession } from "@playwright/test";
import { onFreshPage, openBench } from "./pages.js";
import { profiled } from "./plan.js";
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

/** The floor's and Holdfast's. */
export async function profiles(context: BrowserContext): Promise<Row[]> {
  const rows: Row[] = [];
  for (const name of [floorName, "Holdfast"]) {
    const spent = await onFreshPage(context, async (page, server) => {
      await openBench(page, server);
      await page.evaluate(([peer, appends]) => bench.appendOnly(peer, appends), [name, profiled] as const); // warms up
      const session = await context.newCDPSession(page);
      await session.send("Profiler.enable");
      await session.send("Profiler.setSamplingInterval", { interval: intervalMicroseconds });
      await session.send("Profiler.start");
      await page.evaluate(([peer, appends]) => bench.appendOnly(peer, appends), [name, profiled] as const);
      return spentIn(await stop(session));
    });
    const sum = [...spent.values()].reduce((a, b) => a + b, 0);
    const series = [["all", sum] as const, ...spent].map(([part, microseconds]) => ({ name: part, values: [microseconds / profiled] }));
    rows.push(row(`where the time of an awaited append goes, ${name}`, "µs", series, ""));
  }
  return rows;
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

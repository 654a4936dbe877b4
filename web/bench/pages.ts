// Opens pages of the benchmarks. Each has an origin of its own, and so a storage of its own.
import type { BrowserContext, Page } from "@playwright/test";
import { Server } from "../test/harness/server.js";
import { bundles, type Module } from "./bundle.js";
import type { Isolated } from "./page/isolated.js";
import type { Bench } from "./page/page.js";
import type { Visit } from "./page/start.js";
import type { Durability } from "./peers/peer.js";

declare global {
  /** In the page that has all peers. */
  var bench: Bench;
  /** In the page that is cross-origin isolated. */
  var isolated: Isolated;
}

const head = `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">`;
const wait = 240_000;

/** Runs `work` in a fresh page on a fresh origin, whose storage is emptied afterwards. */
export async function onFreshPage<T>(context: BrowserContext, work: (page: Page, server: Server) => Promise<T>): Promise<T> {
  const server = await Server.start({ "/bench/": bundles });
  const page = await context.newPage();
  page.setDefaultTimeout(wait);
  try {
    if (process.env["BENCH_VERBOSE"] !== undefined) page.on("console", (message) => console.log(`  ${message.text()}`));
    page.on("pageerror", (error) => console.log(`  (uncaught in the page: ${error.message.slice(0, 200)})`));
    return await Promise.race([
      work(page, server),
      new Promise<never>((_, reject) => {
        page.once("crash", () => reject(new Error("the page crashed")));
      }),
    ]);
  } finally {
    await page.close();
    const cleaner = await context.newPage();
    const session = await context.newCDPSession(cleaner);
    await session.send("Storage.clearDataForOrigin", { origin: server.origin, storageTypes: "all" });
    await cleaner.close();
    await server.close();
  }
}

/** Opens the page that has all peers. */
export async function openBench(page: Page, server: Server): Promise<void> {
  await openBundle(page, server, "page", "bench");
}

/** Opens the page that is cross-origin isolated (HTML, section 7.1.3.2). */
export async function openIsolated(page: Page, server: Server): Promise<void> {
  server.headers = { "cross-origin-opener-policy": "same-origin", "cross-origin-embedder-policy": "require-corp" };
  await openBundle(page, server, "isolated", "isolated");
}

async function openBundle(page: Page, server: Server, name: string, global: string): Promise<void> {
  server.answer("/all", { body: `${head}<script type="module" src="/bench/${name}/entry.js"></script>` });
  await page.goto(`${server.origin}/all`);
  await page.waitForFunction((expected) => expected in globalThis, global, { timeout: 20_000 });
}

/** What came of two visits to the page of a peer. */
export interface Starts {
  /** When the first append was acknowledged, and then when the log was recovered, in milliseconds after the navigations began. */
  readonly ms: readonly number[];
  /** The paths that the first visit has fetched. */
  readonly fetched: readonly string[];
}

export async function visit(page: Page, server: Server, module: Module, durability: Durability): Promise<Starts> {
  server.answer(`/${module}`, { body: `${head}<script type="module" src="/bench/${module}/entry.js"></script>` });
  const ms: number[] = [];
  let fetched: readonly string[] = [];
  for (const turn of ["first", "again"] satisfies Visit[]) {
    await page.goto(`${server.origin}/${module}?durability=${durability}&visit=${turn}`);
    ms.push(
      await page.evaluate(async () => {
        if (globalThis.started === undefined) throw new Error("did not start");
        return await globalThis.started;
      }),
    );
    if (turn === "first") fetched = [...server.requests];
  }
  return { ms, fetched };
}

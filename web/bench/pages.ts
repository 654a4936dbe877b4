// Opens pages of the benchmarks. Each has an origin of its own, and so a storage of its own.
import type { BrowserContext, Page } from "@playwright/test";
import { Server } from "../test/harness/server.js";
import { bundles, type Module } from "./bundle.js";
import type { Bench } from "./page/page.js";
import type { Durability } from "./peers/peer.js";

declare global {
  /** In the page that has all peers. */
  var bench: Bench;
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
  server.answer("/all", { body: `${head}<script type="module" src="/bench/page/entry.js"></script>` });
  await page.goto(`${server.origin}/all`);
  await page.waitForFunction(() => "bench" in globalThis, undefined, { timeout: 20_000 });
}

/** When the page of a peer had acknowledged its first append, in milliseconds after the navigation began, and the paths that it fetched. */
export interface Start {
  readonly ms: number;
  readonly fetched: readonly string[];
}

export async function startCold(page: Page, server: Server, module: Module, durability: Durability): Promise<Start> {
  server.answer(`/${module}`, { body: `${head}<script type="module" src="/bench/${module}/entry.js"></script>` });
  await page.goto(`${server.origin}/${module}?durability=${durability}`);
  const ms = await page.evaluate(async () => {
    if (globalThis.started === undefined) throw new Error("did not start");
    return await globalThis.started;
  });
  return { ms, fetched: server.requests };
}

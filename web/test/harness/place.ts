// Tabs and workers as places of which a test opens many, and ends some in the middle of what they do.
import type { BrowserContext, Page, Worker } from "@playwright/test";
import type { Server } from "./server.js";
import { attach, type Tab } from "./tab.js";

export interface Place {
  readonly tab: Tab;
  /** Crashes the tab, or terminates the worker, at once. What it does is cut off. */
  end(): Promise<void>;
}

/** Starts a worker without a script of its own, see {@link attach}. */
export async function startWorker(page: Page, server: Server): Promise<Worker> {
  server.answer("/worker.js", { body: "export {}" });
  const starting = page.waitForEvent("worker");
  await page.evaluate(() => void Object.assign(globalThis, { worker: new Worker("/worker.js", { type: "module" }) }));
  return await starting;
}

/** The address of Holdfast for a worker. */
export const bundled = (server: Server): string => `${server.origin}/bundle/package.js`;

/** A page of its own, or a worker in one, where a conversation is open. */
export async function openPlace(context: BrowserContext, server: Server, kind: "tab" | "worker", id: string): Promise<Place> {
  const page = await context.newPage();
  await page.goto(server.origin);
  if (kind === "tab") {
    const session = await context.newCDPSession(page);
    return {
      tab: await attach(page, id),
      end: async () => {
        const crashed = page.waitForEvent("crash");
        session.send("Page.crash").catch(() => undefined); // who should answer?
        await crashed;
        await page.close();
      },
    };
  }
  const worker = await startWorker(page, server);
  return {
    tab: await attach(worker, id, {}, bundled(server)),
    end: async () => {
      const closed = worker.waitForEvent("close");
      await page.evaluate(() => (globalThis as unknown as { worker: { terminate(): void } }).worker.terminate());
      await closed;
      await page.close();
    },
  };
}

/** Tabs and workers in turn. */
export async function openPlaces(context: BrowserContext, server: Server, count: number, id: string): Promise<Place[]> {
  const places: Place[] = [];
  for (let i = 0; i < count; i++) places.push(await openPlace(context, server, i % 2 === 0 ? "tab" : "worker", id));
  return places;
}

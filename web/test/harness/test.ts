// What the specs import: Playwright's `test` with Holdfast's fixtures.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Browser, type BrowserContext, test as base } from "@playwright/test";
import { type Backend, type Engine, launchBrowser, type LaunchOptions, type RunningBrowser } from "./browser.js";
import { Server } from "./server.js";

export { expect } from "@playwright/test";

export interface Fixtures {
  /** A server of this test alone. Its port makes it a fresh origin, so it has a storage of its own in the shared browser. */
  server: Server;
  /** A fresh profile, removed after the test. */
  profile: string;
  /** Starts a browser of this test alone, on its profile; it is killed after the test at the latest. Such a test has the tag `@launch`. */
  launch: (options?: Partial<LaunchOptions>) => Promise<RunningBrowser>;
  /** The shared browser's context that stores on disk; its pages are closed after the test. */
  context: BrowserContext;
}

export interface WorkerFixtures {
  /** Set by the project. */
  backend: Backend;
  /** Set by `make engines`. The pages of other engines can do what the specs named there need. Default: Chromium. */
  engine: Engine;
  /** Shared by the tests of a worker. */
  browser: Browser;
}

const remove = (folder: string): Promise<void> => rm(folder, { recursive: true, force: true, maxRetries: 5 });

export const test = base.extend<Fixtures, WorkerFixtures>({
  backend: ["leveldb", { option: true, scope: "worker" }],
  engine: [{ launch: launchBrowser }, { option: true, scope: "worker" }],

  browser: [
    async ({ backend, engine }, use) => {
      const userDataDir = await mkdtemp(join(tmpdir(), "holdfast-"));
      const running = await engine.launch({ backend, userDataDir });
      await use(running.browser);
      await running.kill();
      await remove(userDataDir);
    },
    { scope: "worker" },
  ],

  context: async ({ browser }, use) => {
    const context = browser.contexts()[0];
    if (context === undefined) throw new Error("the browser has ended");
    await use(context);
    for (const page of context.pages()) await page.close();
  },

  page: async ({ context }, use) => {
    await use(await context.newPage());
  },

  // oxlint-disable-next-line no-empty-pattern -- Playwright reads the names of the fixtures from this pattern.
  server: async ({}, use) => {
    const server = await Server.start();
    await use(server);
    await server.close();
  },

  // oxlint-disable-next-line no-empty-pattern
  profile: async ({}, use) => {
    const folder = await mkdtemp(join(tmpdir(), "holdfast-"));
    await use(folder);
    await remove(folder);
  },

  launch: async ({ backend, engine, profile }, use, { tags }) => {
    if (!tags.includes("@launch")) throw new Error("`make check` leaves out tests that start a browser by the tag @launch");
    const started: RunningBrowser[] = [];
    await use(async (options) => {
      const running = await engine.launch({ backend, userDataDir: profile, ...options });
      started.push(running);
      return running;
    });
    for (const running of started) await running.kill();
  },
});

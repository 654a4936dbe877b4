import { defineConfig } from "@playwright/test";
import base from "../playwright.config.js";
import type { WorkerFixtures } from "../test/harness/test.js";

// One benchmark at a time. `--project` chooses the backend.
export default defineConfig<object, WorkerFixtures>({
  ...base,
  testDir: ".",
  testMatch: "*.bench.ts",
  outputDir: "../test-results",
  globalSetup: "./setup.ts",
  reporter: "line",
  workers: 1,
  timeout: 1_800_000,
  globalTimeout: 0,
  projects: [
    { name: "leveldb", use: { backend: "leveldb" } },
    { name: "sqlite", use: { backend: "sqlite" } },
  ],
});

import { defineConfig } from "@playwright/test";
import type { WorkerFixtures } from "./test/harness/test.js";

export default defineConfig<object, WorkerFixtures>({
  testDir: "test",
  globalSetup: "./test/harness/setup.ts",
  outputDir: "test-results",
  reporter: "line",
  workers: 2,
  retries: 0,
  forbidOnly: Boolean(process.env["CI"]),
  timeout: 60_000,
  globalTimeout: 2_400_000,
  expect: { timeout: 20_000 },
  projects: [
    { name: "once", testDir: "test/once" },
    { name: "leveldb", testIgnore: "once/**", use: { backend: "leveldb" } },
    { name: "sqlite", testIgnore: "once/**", use: { backend: "sqlite" } },
  ],
});

import { defineConfig } from "@playwright/test";
import type { WorkerFixtures } from "./test/harness/test.js";

/** What is the same with each backend, so that `make test` runs it on one. `make proof` runs everything on both. */
const alike = ["delivery", "ends", "errors-instance", "extension", "garbage", "guide", "guide-replay", "input", "loading", "ownership", "process", "random", "react", "replay", "semantics", "semantics-view", "waits"].map((name) => `${name}.spec.ts`);
const inMemory = /@memory/;

export default defineConfig<object, WorkerFixtures>({
  testDir: "test",
  globalSetup: "./test/harness/setup.ts",
  outputDir: "test-results",
  reporter: [["line"], ["json", { outputFile: "../.build/specs.json" }]],
  workers: 3, // on two cores: most of the time they wait
  retries: 0,
  forbidOnly: Boolean(process.env["CI"]),
  timeout: 180_000, // also on a machine of half the speed
  globalTimeout: 2_400_000,
  expect: { timeout: 60_000 },
  projects: [
    { name: "once", testMatch: "once/**", testIgnore: "once/demo*" },
    { name: "demo", testMatch: "once/demo*" },
    { name: "leveldb", testIgnore: "once/**", use: { backend: "leveldb" } },
    { name: "sqlite", testIgnore: ["once/**", ...alike], grepInvert: inMemory, use: { backend: "sqlite" } },
    { name: "sqlite-alike", testMatch: alike, grepInvert: inMemory, use: { backend: "sqlite" } },
  ],
});

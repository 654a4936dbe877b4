import { defineConfig } from "@playwright/test";
import base from "../playwright.config.js";

// One benchmark at a time, on each backend.
export default defineConfig(base, {
  testDir: ".",
  testMatch: "*.bench.ts",
  outputDir: "../test-results",
  globalSetup: "../test/harness/setup.ts",
  workers: 1,
  timeout: 300_000,
  globalTimeout: 0,
  projects: [
    { name: "leveldb", use: { backend: "leveldb" } },
    { name: "sqlite", use: { backend: "sqlite" } },
  ],
});

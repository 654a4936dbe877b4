import { defineConfig } from "@playwright/test";
import base from "../playwright.config.js";

// One benchmark at a time. `--project` chooses the backend.
export default defineConfig(base, {
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

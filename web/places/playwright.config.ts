import { defineConfig } from "@playwright/test";
import base from "../playwright.config.js";

// One place after the other: each has its tools, which take what there is of the machine.
export default defineConfig({
  ...base,
  testDir: ".",
  globalSetup: "../test/harness/setup.ts",
  outputDir: "../test-results",
  reporter: "list",
  workers: 1,
  timeout: 900_000,
  globalTimeout: 0,
  projects: [{ name: "places" }],
});

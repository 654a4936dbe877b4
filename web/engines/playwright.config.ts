import { defineConfig } from "@playwright/test";
import base from "../playwright.config.js";
import type { WorkerFixtures } from "../test/harness/test.js";
import { launchFirefox } from "./firefox.js";
import { launchWebKit } from "./webkit.js";

// The specs that all engines run, but for tests which take Chromium's own protocol.
const specs = ["semantics", "semantics-values", "semantics-view", "semantics-store", "errors", "errors-storage", "errors-instance", "awaited", "verify"];
const stories = ["durability", "crash", "tabs", "crowd", "process", "ownership", "long", "loading"];

// What is kept in memory is the same everywhere, and `stories` has its own full storage.
const left = [/@chromium/, /@memory/, /quota_exceeded$/];

export default defineConfig<object, WorkerFixtures>({
  ...base,
  testDir: "..",
  testMatch: [...[...specs, ...stories].map((name) => `test/${name}.spec.ts`), "engines/*.spec.ts"],
  grepInvert: left,
  outputDir: "../test-results",
  globalSetup: "../test/harness/setup.ts",
  reporter: [["list"], ["./report.ts"]],
  // Browsers are started and killed many times.
  timeout: 180_000,
  globalTimeout: 0,
  workers: 1,
  projects: [
    { name: "leveldb", use: { backend: "leveldb" } },
    { name: "sqlite", use: { backend: "sqlite" } },
    // While it is driven, Firefox keeps no page to come back to, and hides all but one: a lease of those lasts three minutes.
    { name: "firefox", grepInvert: [...left, /back\/forward cache/, /a lease in the store one tab does/], use: { engine: { launch: launchFirefox } } },
    { name: "webkit", use: { engine: { launch: launchWebKit } } },
  ],
});

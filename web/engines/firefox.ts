// Firefox, through WebDriver BiDi.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { launch, type Page } from "puppeteer-core";
import type { LaunchOptions, RunningBrowser } from "../test/harness/browser.js";
import { Group } from "../test/harness/group.js";
import { type Driver, type Process, running } from "./page.js";

function driver(page: Page): Driver {
  return {
    goto: async (url) => void (await page.goto(url)),
    reload: async () => void (await page.reload()),
    back: async () => void (await page.goBack()),
    read: async (expression) => (await page.evaluate(expression)) as string,
    close: () => page.close(),
  };
}

async function start(profile: string, preferences: Record<string, unknown>): Promise<Process> {
  const executablePath = process.env["FIREFOX"];
  if (executablePath === undefined) throw new Error("FIREFOX is not set; the global setup does that");
  const temporary = join(profile, "tmp");
  mkdirSync(temporary, { recursive: true });
  const browser = await launch({
    browser: "firefox",
    executablePath,
    userDataDir: profile,
    env: { ...process.env, TMPDIR: temporary },
    extraPrefsFirefox: preferences,
  });
  const child = browser.process();
  if (child === null) throw new Error("the browser has no process");
  const group = new Group(child);
  return {
    version: (await browser.version()).replace(/^firefox\//, ""),
    open: async () => driver(await browser.newPage()),
    private: () => start(join(profile, "private"), { ...preferences, "browser.privatebrowsing.autostart": true }),
    close: async () => {
      await browser.close();
      await group.kill();
    },
    kill: () => group.kill(),
  };
}

export async function launchFirefox({ userDataDir, quota }: LaunchOptions): Promise<RunningBrowser> {
  const preferences: Record<string, unknown> = {
    // Nobody is there to be asked whether data may be kept: the answer is no.
    "dom.storageManager.prompt.testing": true,
    "dom.storageManager.prompt.testing.allow": false,
  };
  // In KiB, for all origins together.
  if (quota !== undefined) preferences["dom.quotaManager.temporaryStorage.fixedLimit"] = quota.bytes / 1024;
  return running(await start(userDataDir, preferences));
}

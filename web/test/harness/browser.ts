// A browser process of our own: on a profile that outlives it, and killed the way a crash or a power cut would.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as after } from "node:timers/promises";
import { type Browser, type BrowserContext, chromium, type Page } from "@playwright/test";
import { Group } from "./group.js";

/** What Chromium keeps IndexedDB in. */
export type Backend = "leveldb" | "sqlite";

const feature = "IdbSqliteOnDiskRollout";
/** Pages of the browser's own, under its address bar. They take half of the time of a start. */
const popups = "WebUIOmniboxPopup,WebUIOmniboxAimPopup";
const backendFlags: Record<Backend, readonly string[]> = {
  leveldb: [`--disable-features=${popups},${feature}`],
  sqlite: [`--disable-features=${popups}`, `--enable-features=${feature}:stage/UseSqliteForNewStores`],
};

const flags = [
  "--headless",
  "--remote-debugging-port=0",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-quic",
  "--disable-sync",
  "--no-first-run",
  "--no-default-browser-check",
  // Pages that no window shows must not be slower than the others.
  "--disable-background-timer-throttling",
  "--disable-backgrounding-occluded-windows",
  "--disable-renderer-backgrounding",
  // The keyring of a desktop would ask for a password.
  "--password-store=basic",
  "--use-mock-keychain",
];

const startDeadline = 30_000;
const endDeadline = 10_000;

/** A kind of browser. */
export interface Engine {
  readonly launch: (options: LaunchOptions) => Promise<RunningBrowser>;
}

export interface LaunchOptions {
  /** Of Chromium. */
  readonly backend: Backend;
  /** The profile. Start on the same one again, and what was committed is there. */
  readonly userDataDir: string;
  /** How much an origin may store. */
  readonly quota?: { readonly origin: string; readonly bytes: number };
  /** More flags for the browser. */
  readonly args?: readonly string[];
  /** The command that runs the browser, such as one which traces it. */
  readonly under?: readonly string[];
  /** Pages live as for a user. Playwright's default is that each believes to have the focus, and never freezes. */
  readonly lifelike?: boolean;
}

export interface RunningBrowser {
  readonly browser: Browser;
  /** The one whose data is in the profile; a `newContext()` would be incognito, in memory. */
  readonly context: BrowserContext;
  newPage(): Promise<Page>;
  /** SIGKILL to all processes at once; resolves when they have gone. */
  kill(): Promise<void>;
  /** Ends it in an orderly way. */
  close(): Promise<void>;
}

export async function launchBrowser(options: LaunchOptions): Promise<RunningBrowser> {
  const chrome = process.env["CHROME"];
  if (chrome === undefined) throw new Error("CHROME is not set; the global setup does that");
  const args = [...flags, ...backendFlags[options.backend], `--user-data-dir=${options.userDataDir}`, ...(options.args ?? [])];
  // As root Chromium starts only without its sandbox.
  if (process.getuid?.() === 0) args.push("--no-sandbox");
  args.push("about:blank"); // not the page for new tabs, which loads much
  // What a killed browser leaves in the folder for temporary files goes with its profile.
  const temporary = join(options.userDataDir, "tmp");
  mkdirSync(temporary, { recursive: true });
  const env = process.platform === "linux" ? { ...process.env, TMPDIR: temporary } : process.env;
  const [command = chrome, ...rest] = [...(options.under ?? []), chrome, ...args];
  const child = spawn(command, rest, { detached: true, env, stdio: ["ignore", "ignore", "pipe"] });
  const group = new Group(child);
  try {
    const endpoint = await devtools(child);
    const browser = await chromium.connectOverCDP(endpoint, { noDefaults: options.lifelike ?? false });
    const context = browser.contexts()[0];
    if (context === undefined) throw new Error("the browser has no default context");
    if (options.quota !== undefined) await limit(context, options.quota);
    const kill = async (): Promise<void> => {
      await group.kill();
      await browser.close(); // of this end of the connection
    };
    return {
      browser,
      context,
      newPage: () => context.newPage(),
      kill,
      close: async () => {
        const session = await browser.newBrowserCDPSession();
        await session.send("Browser.close").catch(() => undefined); // the answer may be lost with the browser
        await Promise.race([group.ended, after(endDeadline, undefined, { ref: false })]);
        await kill();
      },
    };
  } catch (error) {
    await group.kill();
    throw error;
  }
}

/** What the profile's IndexedDB is kept in, by what is on the disk; undefined while there is nothing. */
export function backendOnDisk(userDataDir: string): Backend | undefined {
  const folder = join(userDataDir, "Default", "IndexedDB");
  const found = new Set<Backend>();
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isDirectory() && entry.name.endsWith(".indexeddb.leveldb")) found.add("leveldb");
    if (entry.isFile() && readFileSync(join(entry.parentPath, entry.name)).subarray(0, 16).toString("latin1") === "SQLite format 3\0") {
      found.add("sqlite");
    }
  }
  if (found.size > 1) throw new Error("the profile has stores of both backends");
  return [...found][0];
}

/** Holds as long as the connection to the page that the browser started with. */
async function limit(context: BrowserContext, { origin, bytes }: NonNullable<LaunchOptions["quota"]>): Promise<void> {
  const [page] = context.pages();
  if (page === undefined) throw new Error("the browser has started without a page");
  const session = await context.newCDPSession(page);
  await session.send("Storage.overrideQuotaForOrigin", { origin, quotaSize: bytes });
}

/** The address on which the browser can be driven. It says so on its standard error; the profile's file could be an old one. */
function devtools(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = "";
    const fail = (why: string): void => reject(new Error(`the browser ${why}; it said:\n${said}`));
    const timer = setTimeout(() => fail("has not started in time"), startDeadline);
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      said = (said + text).slice(-10_000);
      const address = /DevTools listening on (ws:\/\/\S+)/.exec(said)?.[1];
      if (address === undefined) return;
      clearTimeout(timer);
      resolve(address);
    });
    child.once("error", (error) => fail(`could not be started: ${error.message}`));
    child.once("exit", (code, signal) => fail(`ended with ${signal ?? code}`));
  });
}

// A browser process of our own: on a profile that outlives it, and killed the way a crash or a power cut would.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as after } from "node:timers/promises";
import { type Browser, type BrowserContext, chromium, type Page } from "@playwright/test";

/** What Chromium keeps IndexedDB in. */
export type Backend = "leveldb" | "sqlite";

const feature = "IdbSqliteOnDiskRollout";
const backendFlags: Record<Backend, string> = {
  leveldb: `--disable-features=${feature}`,
  sqlite: `--enable-features=${feature}:stage/UseSqliteForNewStores`,
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

export interface LaunchOptions {
  readonly backend: Backend;
  /** The profile. Start on the same one again, and what was committed is there. */
  readonly userDataDir: string;
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
  const args = [...flags, backendFlags[options.backend], `--user-data-dir=${options.userDataDir}`, ...(options.args ?? [])];
  // As root Chromium starts only without its sandbox.
  if (process.getuid?.() === 0) args.push("--no-sandbox");
  args.push("about:blank"); // not the page for new tabs, which loads much
  // What a killed browser leaves in the folder for temporary files goes with its profile.
  const temporary = join(options.userDataDir, "tmp");
  mkdirSync(temporary, { recursive: true });
  const env = process.platform === "linux" ? { ...process.env, TMPDIR: temporary } : process.env;
  const [command = chrome, ...rest] = [...(options.under ?? []), chrome, ...args];
  const child = spawn(command, rest, { detached: true, env, stdio: ["ignore", "ignore", "pipe"] });
  const gone = exit(child);
  // A run that is broken off must not leave browsers behind.
  const abandoned = (): void => killGroup(child);
  process.once("exit", abandoned);
  void gone.then(() => process.off("exit", abandoned));
  try {
    const endpoint = await devtools(child);
    const browser = await chromium.connectOverCDP(endpoint, { noDefaults: options.lifelike ?? false });
    const context = browser.contexts()[0];
    if (context === undefined) throw new Error("the browser has no default context");
    const kill = async (): Promise<void> => {
      killGroup(child);
      await gone;
      await until(() => groupIsGone(child), endDeadline, "the killed browser has processes left");
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
        await Promise.race([gone, after(endDeadline, undefined, { ref: false })]);
        await kill();
      },
    };
  } catch (error) {
    killGroup(child);
    await gone;
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

function exit(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    child.once("exit", () => resolve());
    child.once("error", () => resolve());
  });
}

function killGroup(child: ChildProcess): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
  } catch {
    // Gone already.
  }
}

/** Whether no process of the group runs. Zombies do not count: in a container nobody may ever fetch them. */
function groupIsGone(child: ChildProcess): boolean {
  if (process.platform === "linux") {
    return readdirSync("/proc").every((pid) => {
      if (!/^\d+$/.test(pid)) return true;
      try {
        // pid (name) state parent group …
        const [state, , group] = readFileSync(`/proc/${pid}/stat`, "latin1").replace(/^.*\) /s, "").split(" ");
        return state === "Z" || state === "X" || group !== String(child.pid);
      } catch {
        return true;
      }
    });
  }
  try {
    process.kill(-(child.pid ?? 0), 0);
    return false;
  } catch {
    return true;
  }
}

/** Waits for a condition, looking again every few milliseconds. */
export async function until(condition: () => boolean | Promise<boolean>, deadline: number, otherwise: string): Promise<void> {
  const end = performance.now() + deadline;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`${otherwise} after ${deadline} ms`);
    await after(5);
  }
}

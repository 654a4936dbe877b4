// WebKitGTK, through classic WebDriver: a handful of HTTP calls (https://www.w3.org/TR/webdriver2).
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, statfsSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { LaunchOptions, RunningBrowser } from "../test/harness/browser.js";
import { Group, until } from "../test/harness/group.js";
import { type Driver, type Process, running } from "./page.js";

const browser = fileURLToPath(new URL("webkit.py", import.meta.url));
const deadline = 30_000;

/** A session with one browser. Its commands have one tab at a time, so they go one after the other. */
class Session {
  readonly #address: string;
  #path = "/session";
  #tab = "";
  #turn: Promise<unknown> = Promise.resolve();

  constructor(address: string) {
    this.#address = address;
  }

  /** Begins it, and returns the version of the browser. */
  async begin(args: readonly string[]): Promise<string> {
    await until(() => this.#send("GET", "/status").then(() => true, () => false), deadline, "WebKitWebDriver does not answer");
    const capabilities = { alwaysMatch: { "webkitgtk:browserOptions": { binary: browser, args } } };
    const { sessionId, capabilities: found } = (await this.#send("POST", this.#path, { capabilities })) as {
      readonly sessionId: string;
      readonly capabilities: { readonly browserVersion: string };
    };
    this.#path += `/${sessionId}`;
    return found.browserVersion;
  }

  /** Sends a command, in a tab if one is given. */
  command(tab: string | undefined, method: string, path: string, body?: object): Promise<unknown> {
    const turn = this.#turn.then(async () => {
      if (tab !== undefined && tab !== this.#tab) {
        await this.#send("POST", `${this.#path}/window`, { handle: tab });
        this.#tab = tab;
      }
      return await this.#send(method, this.#path + path, body);
    });
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  async #send(method: string, path: string, body?: object): Promise<unknown> {
    const response = await fetch(this.#address + path, { method, body: body === undefined ? null : JSON.stringify(body) });
    const { value } = (await response.json()) as { readonly value: unknown };
    if (!response.ok) throw new Error(`${method} ${path}: ${JSON.stringify(value)}`);
    return value;
  }
}

function driver(session: Session, tab: string): Driver {
  return {
    goto: async (url) => void (await session.command(tab, "POST", "/url", { url })),
    reload: async () => void (await session.command(tab, "POST", "/refresh", {})),
    back: async () => void (await session.command(tab, "POST", "/back", {})),
    read: async (expression) => (await session.command(tab, "POST", "/execute/sync", { script: `return ${expression}`, args: [] })) as string,
    close: async () => void (await session.command(tab, "DELETE", "/window")),
  };
}

async function start(profile: string, args: readonly string[]): Promise<Process> {
  const temporary = join(profile, "tmp");
  mkdirSync(temporary, { recursive: true });
  const screen = spawn("Xvfb", ["-displayfd", "3", "-nolisten", "tcp"], { detached: true, stdio: ["ignore", "ignore", "ignore", "pipe"] });
  const port = await freePort();
  const child = spawn("WebKitWebDriver", [`--port=${port}`], {
    detached: true,
    stdio: "ignore",
    env: {
      ...process.env,
      DISPLAY: `:${await display(screen)}`,
      GDK_BACKEND: "x11",
      NO_AT_BRIDGE: "1", // there is no bus for accessibility
      TMPDIR: temporary,
      XDG_CACHE_HOME: temporary,
      // The sandbox needs rights that a container lacks, and compositing a graphics card.
      WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: "1",
      WEBKIT_DISABLE_COMPOSITING_MODE: "1",
    },
  });
  const [group, screens] = [new Group(child), new Group(screen)];
  const kill = async (): Promise<void> => {
    await group.kill();
    screen.kill(); // it removes its lock
    await screens.ended;
  };
  const session = new Session(`http://127.0.0.1:${port}`);
  try {
    const version = await session.begin(args);
    // A window is opened from another one, so the first stays.
    const first = (await session.command(undefined, "GET", "/window")) as string;
    return {
      version,
      open: async () => {
        const { handle } = (await session.command(first, "POST", "/window/new", { type: "tab" })) as { readonly handle: string };
        return driver(session, handle);
      },
      private: () => start(join(profile, "private"), []),
      close: async () => {
        // It ends with its last window; the driver stays.
        for (const handle of (await session.command(undefined, "GET", "/window/handles")) as string[]) await driver(session, handle).close();
        await until(() => group.size() <= 1, deadline, "the browser has not ended");
        await kill();
      },
      kill,
    };
  } catch (error) {
    await kill();
    throw error;
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** The number that the X server has found for itself. */
function display(screen: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    screen.once("error", reject);
    screen.once("exit", () => reject(new Error("Xvfb has ended")));
    let said = "";
    screen.stdio[3]?.on("data", (text: Buffer) => {
      said += String(text);
      if (said.endsWith("\n")) resolve(said.trim());
    });
  });
}

export async function launchWebKit({ userDataDir, quota }: LaunchOptions): Promise<RunningBrowser> {
  const args = [userDataDir];
  if (quota !== undefined) {
    mkdirSync(userDataDir, { recursive: true });
    const { blocks, bsize } = statfsSync(userDataDir);
    args.push(String(quota.bytes / (blocks * bsize)));
  }
  return running(await start(userDataDir, args));
}

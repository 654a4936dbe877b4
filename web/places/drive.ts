// Makes an application in a folder of its own from the packed package and the tools of a place, and uses it.
import { spawn, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { BrowserContext, Page } from "@playwright/test";
import type { LaunchOptions, RunningBrowser } from "../test/harness/browser.js";
import { readDocument } from "../test/harness/document.js";
import { until } from "../test/harness/group.js";
import { Model } from "../test/harness/model.js";
import { Server } from "../test/harness/server.js";
import { expect } from "../test/harness/test.js";
import type { Place } from "./table.js";

const web = fileURLToPath(new URL("..", import.meta.url));

/** Runs a command in a folder, whose tools it finds. */
function run(folder: string, command: string): string {
  const { status, stdout, stderr } = spawnSync(command, { cwd: folder, shell: true, encoding: "utf8", env: environment(folder) });
  if (status !== 0) throw new Error(`${command}\n${stdout}${stderr}`);
  return stdout;
}

const environment = (folder: string): NodeJS.ProcessEnv => ({
  ...process.env,
  PATH: `${join(folder, "node_modules", ".bin")}${delimiter}${process.env["PATH"] ?? ""}`,
  NODE_ENV: undefined,
  NO_COLOR: "1",
  // None of them may tell its makers of this.
  DO_NOT_TRACK: "1",
  NEXT_TELEMETRY_DISABLED: "1",
  NUXT_TELEMETRY_DISABLED: "1",
  NG_CLI_ANALYTICS: "false",
});

/** Packs the package into a folder, and returns the tarball. */
export function pack(folder: string): string {
  const [{ filename }] = JSON.parse(run(web, `npm pack --json --pack-destination ${folder}`)) as [{ filename: string }];
  return join(folder, filename);
}

type Launch = (options: Partial<LaunchOptions>) => Promise<RunningBrowser>;

/** An application in a place, installed. */
export class Application {
  readonly #folder: string;
  readonly #place: Place;

  constructor(place: Place, tarball: string) {
    this.#place = place;
    this.#folder = mkdtempSync(join(tmpdir(), "holdfast-place-"));
    cpSync(join(web, "places", "app"), this.#folder, { recursive: true });
    this.#write("package.json", JSON.stringify({ name: "place", private: true, type: "module" }));
    if (place.tests !== undefined) for (const [path, text] of readDocument("test-your-handler.md").files) this.#write(path, text);
    for (const [path, text] of Object.entries(place.files ?? {})) this.#write(path, text);
    const packages = Object.entries(place.packages).map(([name, version]) => `${name}@${version}`);
    run(this.#folder, `npm install --save-exact --ignore-scripts --prefer-offline --no-audit --no-fund ${[tarball, ...packages].join(" ")}`);
  }

  #write(path: string, text: string): void {
    mkdirSync(dirname(join(this.#folder, path)), { recursive: true });
    writeFileSync(join(this.#folder, path), text);
  }

  /** Builds it, and returns the folder of what a server has to serve. */
  #build(): string {
    const { commands, folder } = this.#place.build ?? { commands: [], folder: "." };
    for (const command of commands) run(this.#folder, command);
    return join(this.#folder, folder);
  }

  /** Uses it in every way that its place has. */
  async use(context: BrowserContext, launch?: Launch): Promise<void> {
    if (this.#place.tests !== undefined) run(this.#folder, this.#place.tests);
    if (this.#place.extension === true && launch !== undefined) await this.#useExtension(launch);
    else if (this.#place.build !== undefined) await this.#useBuilt(await context.newPage());
    if (this.#place.serve !== undefined) await this.#useServed(await context.newPage());
  }

  /** Builds it, and uses it from a server. */
  async #useBuilt(page: Page): Promise<void> {
    const server = await Server.start({ "/app/": this.#build() });
    await use(page, `${server.origin}/app/${this.#place.build?.page ?? ""}`);
    await server.close();
  }

  /** Builds it, an extension, and uses its page in a browser that has loaded it. */
  async #useExtension(launch: Launch): Promise<void> {
    const folder = this.#build();
    // The switch is one for developers, which Chrome ignores without this; the last list of features counts.
    const running = await launch({ args: ["--disable-features=DisableLoadExtensionCommandLineSwitch", `--load-extension=${folder}`] });
    const worker = running.context.serviceWorkers()[0] ?? (await running.context.waitForEvent("serviceworker"));
    await use(await running.newPage(), new URL(this.#place.build?.page ?? "", worker.url()).href);
  }

  /** Uses it on its development server. */
  async #useServed(page: Page): Promise<void> {
    const { command = "", path = "/" } = this.#place.serve ?? {};
    const port = await freePort();
    const server = spawn(command.replaceAll("PORT", String(port)), { cwd: this.#folder, shell: true, detached: true, env: environment(this.#folder) });
    let printed = "";
    for (const output of [server.stdout, server.stderr]) output.on("data", (data: Buffer) => (printed += data.toString()));
    const ended = new Promise<void>((resolve) => server.once("close", () => resolve()));
    const address = `http://127.0.0.1:${port}${path}`;
    const answers = (): Promise<boolean> => fetch(address).then(async (answer) => (await answer.text()) !== "" && answer.ok, () => false);
    try {
      await until(answers, 180_000, "the development server does not answer");
      await use(page, address);
    } catch (error) {
      throw new Error(`${command}\n${printed}`, { cause: error });
    } finally {
      if (server.exitCode === null && server.pid !== undefined) process.kill(-server.pid, "SIGTERM");
      await ended;
    }
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Asks a question, reloads the page in the middle of the streamed answer, and sees it end. */
export async function use(page: Page, address: string): Promise<void> {
  const model = await Model.start("");
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && complaints.push(`${message.location().url}: ${message.text()}`));
  const asked: string[] = [];
  const next = async (): ReturnType<Model["next"]> => {
    const call = await model.next();
    asked.push(call.path === "/search" ? "search" : call.body.stream === true ? "answer" : "plan");
    return call;
  };
  try {
    await page.goto(`${address}?model=${model.origin}`);
    const message = page.locator("li");
    await expect(page.locator("form button, #failure")).toBeVisible({ timeout: 120_000 });
    expect(await page.locator("#failure").allTextContents(), "why it does not start").toEqual([]);
    await page.locator("form input").fill("How tall are trees?");
    await page.locator("form button").click();
    (await next()).say("tallest tree");
    (await next()).say("some facts");
    (await next()).stream("116 ", "metres ");
    await expect(message).toHaveText("How tall are trees? | processing | 116 metres ");
    await page.reload();
    const again = await next();
    again.stream("116 ", "metres, ");
    again.stream("by Hyperion");
    again.done();
    await expect(message).toHaveText("How tall are trees? | finished | 116 metres, by Hyperion");
    expect(asked).toEqual(["plan", "search", "answer", "answer"]);
    expect(model.waiting, "requests that nobody expected").toBe(0);
    expect(complaints).toEqual([]);
  } finally {
    await model.close();
  }
}

// Browser extensions: bundled as their authors do it, with the package installed, and loaded into a browser.
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type BrowserContext, expect, type Page } from "@playwright/test";
import { build } from "vite";
import { dist } from "./server.js";

const web = fileURLToPath(new URL("../..", import.meta.url));

/** A folder that the browser can load. */
export interface Extension {
  readonly source: string;
  readonly folder: string;
  /** Its origin in any browser that has loaded it. */
  readonly origin: string;
  remove(): void;
}

/** Bundles an application of these files, one of which is its configuration of Vite. */
export async function bundle(files: ReadonlyMap<string, string>): Promise<Extension> {
  const source = realpathSync(mkdtempSync(join(tmpdir(), "holdfast-extension-")));
  for (const [name, code] of files) {
    mkdirSync(dirname(join(source, name)), { recursive: true });
    writeFileSync(join(source, name), code);
  }
  writeFileSync(join(source, "package.json"), JSON.stringify({ private: true, type: "module" }));
  const installed = join(source, "node_modules", "@holdfast-dev", "holdfast");
  cpSync(dist, join(installed, "dist"), { recursive: true });
  cpSync(join(web, "package.json"), join(installed, "package.json"));
  cpSync(join(web, "node_modules", "@msgpack"), join(source, "node_modules", "@msgpack"), { recursive: true });
  symlinkSync(join(web, "node_modules", "vite"), join(source, "node_modules", "vite"));
  await build({ root: source, logLevel: "warn" });
  const folder = join(source, "dist");
  return { source, folder, origin: `chrome-extension://${idOf(folder)}`, remove: () => rmSync(source, { recursive: true, force: true }) };
}

/** The id that Chromium gives to an extension without a key: of its folder. */
function idOf(folder: string): string {
  const hash = createHash("sha256").update(folder).digest("hex").slice(0, 32);
  return hash.replaceAll(/./g, (digit) => String.fromCodePoint(97 + Number.parseInt(digit, 16)));
}

/** Opens a page of an extension, which the browser may still be loading. */
export async function openPage(context: BrowserContext, { origin }: Extension, name: string): Promise<Page> {
  const page = await context.newPage();
  await expect(() => page.goto(`${origin}/${name}`)).toPass();
  return page;
}

/** Ends the service workers of all extensions, as the browser does it. */
export async function endWorkers(page: Page): Promise<void> {
  const session = await page.context().newCDPSession(page);
  await session.send("ServiceWorker.enable");
  await session.send("ServiceWorker.stopAllWorkers");
  await session.detach();
}

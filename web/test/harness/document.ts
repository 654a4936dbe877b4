// The code of a document in docs, as it stands there: bundled, served, and type-checked.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Page } from "@playwright/test";
import { build } from "vite";
import { Model } from "./model.js";
import { Server } from "./server.js";
import { test as base } from "./test.js";

const web = fileURLToPath(new URL("../..", import.meta.url));

/** What web/sdks/package.json has. */
const sdks = ["ai", "@ai-sdk/openai-compatible", "openai"];

/** Where an application finds what it imports by name, for Vite. */
export const resolving = {
  resolve: {
    alias: [
      { find: "@holdfast-dev/holdfast/react", replacement: join(web, "dist", "react.js") },
      { find: "@holdfast-dev/holdfast", replacement: join(web, "dist", "index.js") },
      ...sdks.map((name) => ({ find: new RegExp(`^${name}$`), replacement: join(web, "sdks", "node_modules", name) })),
      ...["react-dom", "react"].map((name) => ({ find: new RegExp(`^${name}(?=$|/)`), replacement: join(web, "node_modules", name) })),
    ],
  },
};

export interface Document {
  readonly text: string;
  /** The code blocks that are whole files, by name. */
  readonly files: ReadonlyMap<string, string>;
  /** Those that are the bodies of handlers. */
  readonly handlers: ReadonlyMap<string, string>;
  /** Those that are a step of a handler, with a library; each ends with an `answer`. */
  readonly recipes: ReadonlyMap<string, string>;
}

export function readDocument(name: string): Document {
  const text = readFileSync(join(web, "docs", name), "utf8");
  const blocks = (kind: string): Map<string, string> =>
    new Map([...text.matchAll(new RegExp(`^\`\`\`\\w+ ${kind}=(\\S+)\\n(.*?)^\`\`\`$`, "gms"))].map(([, block = "", code = ""]) => [block, code]));
  return { text, files: blocks("file"), handlers: blocks("handler"), recipes: blocks("recipe") };
}

export interface Fixtures {
  /** The server of the application, with the model. */
  model: Model;
}

export interface WorkerFixtures {
  /** The folder of the application. */
  application: string;
}

/** Tests of an application that is made of these files, some of which are pages. */
export function applicationTest(files: ReadonlyMap<string, string>): ReturnType<typeof base.extend<Fixtures, WorkerFixtures>> {
  return base.extend<Fixtures, WorkerFixtures>({
    application: [
      // oxlint-disable-next-line no-empty-pattern -- Playwright reads the names of the fixtures from this pattern.
      async ({}, use) => {
        const folder = mkdtempSync(join(tmpdir(), "holdfast-document-"));
        for (const [name, code] of files) writeFileSync(join(folder, name), code);
        const pages = [...files.keys()].filter((name) => name.endsWith(".html"));
        await build({
          configFile: false,
          root: folder,
          logLevel: "warn",
          ...resolving,
          build: { target: "es2022", chunkSizeWarningLimit: 2000, rolldownOptions: { input: pages.map((page) => join(folder, page)) } },
        });
        await use(folder);
        rmSync(folder, { recursive: true, force: true });
      },
      { scope: "worker" },
    ],

    model: async ({ application }, use) => {
      const server = await Server.start({ "/": join(application, "dist") });
      const model = await Model.start(server.origin);
      await use(model);
      await model.close();
      await server.close();
    },
  });
}

/** What the type checker of an application says of some of its files; nothing if all is well. */
export function typeErrors(application: string, files: readonly string[]): string {
  for (const [name, folder] of [["@holdfast-dev/holdfast", "."], ...["vite", "react", "react-dom", "@types"].map((one) => [one, `node_modules/${one}`]), ...sdks.map((one) => [one, `sdks/node_modules/${one}`])] as const) {
    const place = join(application, "node_modules", name);
    mkdirSync(dirname(place), { recursive: true });
    if (!existsSync(place)) symlinkSync(join(web, folder), place);
  }
  const compilerOptions = { target: "ES2022", lib: ["ES2022", "DOM"], types: [], module: "ESNext", moduleResolution: "bundler", jsx: "react-jsx", strict: true, noUnusedLocals: true, skipLibCheck: true, noEmit: true };
  writeFileSync(join(application, "tsconfig.json"), JSON.stringify({ compilerOptions, files }));
  const { status, stdout } = spawnSync(join(web, "node_modules", ".bin", "tsc"), ["-p", application], { encoding: "utf8" });
  return status === 0 ? stdout : stdout || "the type checker did not run";
}

export async function visit(page: Page, { origin }: Model, path = "/index.html"): Promise<Page> {
  await page.goto(`${origin}${path}`);
  return page;
}

/** What the guide says to type into the address bar. */
export async function crash(page: Page): Promise<void> {
  const crashed = page.waitForEvent("crash");
  await page.goto("chrome://crash").catch(() => undefined); // who should answer?
  await crashed;
  await page.close();
}

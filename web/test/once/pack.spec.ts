// The npm package as its users get it: packed, installed in a fresh Vite application, type-checked, bundled, and run.
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { Page } from "@playwright/test";
import { version as reactVersion } from "react";
import { type createServer, version as viteVersion } from "vite";
import { Server } from "../harness/server.js";
import { expect, test } from "../harness/test.js";

const web = fileURLToPath(new URL("../..", import.meta.url));

function run(cwd: string, command: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, encoding: "utf8" });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")}\n${stdout}${stderr}`);
  return stdout;
}

let consumer: string;
let packed: readonly string[];

function install(...packages: string[]): void {
  run(consumer, "npm", "install", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund", ...packages);
}

/** Imports an entry where there is no browser. Says what `name` is, and how many globals have been added. */
function importInNode(entry: string, name: string): string {
  const script = `
    const before = Reflect.ownKeys(globalThis).length;
    const entry = await import("${entry}");
    console.log(typeof entry["${name}"] + " " + (Reflect.ownKeys(globalThis).length - before));`;
  return run(consumer, process.execPath, "--input-type=module", "-e", script).trim();
}

test.beforeAll(() => {
  consumer = mkdtempSync(join(tmpdir(), "holdfast-consumer-"));
  const [tarball] = JSON.parse(run(web, "npm", "pack", "--json", "--pack-destination", consumer)) as [
    { filename: string; files: { path: string }[] },
  ];
  packed = tarball.files.map((file) => file.path);
  cpSync(join(web, "test", "consumer"), consumer, { recursive: true });
  writeFileSync(join(consumer, "package.json"), JSON.stringify({ private: true, type: "module" }));
  install(`./${tarball.filename}`, `vite@${viteVersion}`);
});

test.afterAll(() => rmSync(consumer, { recursive: true, force: true }));

/** Each visit goes on where the one before it has stopped. */
async function visit(page: Page, address: string): Promise<void> {
  await page.goto(address);
  await expect(page).toHaveTitle("start: part 0; 3 events");
  await page.reload();
  await expect(page).toHaveTitle("resume: part 0, part 1; 4 events");
  await page.reload();
  await expect(page).toHaveTitle("resume: part 0, part 1, part 2; 6 events");
  await page.reload();
  await expect(page).toHaveTitle("skip: part 0, part 1, part 2; 6 events");
}

test("the tarball has what it needs and nothing else", () => {
  const names = new Set(packed.map((path) => path.replace(/^dist\/.*\.(js|d\.ts)$/, "dist/*.$1").replace(/^docs\/.*\.md$/, "docs/*.md")));
  expect([...names].sort()).toEqual([
    "LICENSE",
    "README.md",
    "dist/*.d.ts",
    "dist/*.js",
    "dist/THIRD_PARTY_LICENSES.txt",
    "dist/build.json",
    "dist/holdfast.wasm",
    "docs/*.md",
    "package.json",
  ]);
  expect(packed).toEqual(expect.arrayContaining(["dist/holdfast.js", "dist/index.js", "dist/index.d.ts", "dist/react.js", "dist/react.d.ts", "dist/bridge/go.js", "dist/bridge/go.d.ts"]));
});

test("the links in its README and its documents are addresses of what the repository has, or of documents beside them", () => {
  const folder = join(consumer, "node_modules/@holdfast-dev/holdfast");
  const documents = readdirSync(join(folder, "docs")).filter((name) => name.endsWith(".md"));
  expect(documents.length).toBeGreaterThan(5);
  for (const name of ["README.md", ...documents.map((document) => join("docs", document))]) {
    const prose = readFileSync(join(folder, name), "utf8").split("```").filter((_, i) => i % 2 === 0).join("");
    const links = [...prose.matchAll(/\]\(([^)]*)\)/g)].map(([, address = ""]) => address);
    expect(links.length, name).toBeGreaterThan(0);
    for (const address of links) {
      const [, path] = /^https:\/\/(?:github\.com\/holdfast-dev\/holdfast\/blob|raw\.githubusercontent\.com\/holdfast-dev\/holdfast)\/main\/([^#]*)/.exec(address) ?? [];
      if (path !== undefined) expect(existsSync(join(web, "..", path)), `${name}: ${address}`).toBe(true);
      else if (name === "README.md") expect(address).toMatch(/^https:\/\//);
      else if (!/^(?:https:\/\/|#)/.test(address)) expect(existsSync(join(folder, "docs", address.replace(/#.*/, ""))), `${name}: ${address}`).toBe(true);
    }
  }
});

for (const resolution of ["bundler", "nodenext"]) {
  test(`its types satisfy a strict application with module resolution ${resolution}`, () => {
    const module = resolution === "nodenext" ? "nodenext" : "esnext";
    run(consumer, join(web, "node_modules/.bin/tsc"), "--moduleResolution", resolution, "--module", module, "-p", ".");
  });
}

test("it can be imported where there is no browser and no React, and does nothing then", () => {
  expect(existsSync(join(consumer, "node_modules", "react")), "npm installs an optional peer only when asked").toBe(false);
  expect(importInNode("@holdfast-dev/holdfast", "open")).toBe("function 0");
  expect(importInNode("@holdfast-dev/holdfast/extension", "keepAwake")).toBe("function 0");
});

test("tools that know no conditions find it, and its hash is that of its WebAssembly", () => {
  const script = `
    const { createHash } = require("node:crypto");
    const { readFileSync } = require("node:fs");
    const wasm = readFileSync(require.resolve("@holdfast-dev/holdfast/holdfast.wasm"));
    for (const entry of Object.keys(require("@holdfast-dev/holdfast/package.json").exports)) require.resolve("@holdfast-dev/holdfast" + entry.slice(1));
    console.log(typeof require("@holdfast-dev/holdfast").open + " " + require.resolve("@holdfast-dev/holdfast/react").slice(-13) + " " +
      (require("@holdfast-dev/holdfast/build.json").wasmIntegrity === "sha256-" + createHash("sha256").update(wasm).digest("base64")));`;
  expect(run(consumer, process.execPath, "--no-warnings", "--input-type=commonjs", "-e", script).trim()).toBe("function dist/react.js true");
});

test("vite builds it for production, and the conversation outlives reloads", async ({ page }) => {
  run(consumer, join(consumer, "node_modules/.bin/vite"), "build", "--base", "./", "--target", "es2022", "--logLevel", "warn");
  const server = await Server.start({ "/app/": join(consumer, "dist") });
  await visit(page, `${server.origin}/app/`);
  await server.close();
});

test("it runs on vite's development server", async ({ page }) => {
  const module = pathToFileURL(join(consumer, "node_modules/vite/dist/node/index.js")).href;
  const vite = (await import(module)) as { createServer: typeof createServer };
  const server = await vite.createServer({ root: consumer, logLevel: "warn", server: { host: "127.0.0.1" } });
  await server.listen();
  await visit(page, server.resolvedUrls?.local[0] ?? "");
  await server.close();
});

test("its React entry works with the React of the application", () => {
  install(`react@${reactVersion}`);
  expect(importInNode("@holdfast-dev/holdfast/react", "useConversation")).toBe("function 0");
});

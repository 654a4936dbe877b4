// The npm package as its users get it: packed, installed elsewhere, type-checked, bundled, and run.
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Page } from "@playwright/test";
import { build, createServer } from "vite";
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

test.beforeAll(() => {
  consumer = mkdtempSync(join(tmpdir(), "holdfast-consumer-"));
  const [tarball] = JSON.parse(run(web, "npm", "pack", "--json", "--pack-destination", consumer)) as [
    { filename: string; files: { path: string }[] },
  ];
  packed = tarball.files.map((file) => file.path);
  cpSync(join(web, "test", "consumer"), consumer, { recursive: true });
  writeFileSync(join(consumer, "package.json"), JSON.stringify({ private: true, type: "module" }));
  run(consumer, "npm", "install", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund", `./${tarball.filename}`);
});

test.afterAll(() => rmSync(consumer, { recursive: true, force: true }));

/** Visits the application twice: the second visit finds what the first has stored. */
async function visitTwice(page: Page, address: string): Promise<void> {
  await page.goto(address);
  await expect(page).toHaveTitle("visits: 1");
  await page.reload();
  await expect(page).toHaveTitle("visits: 2");
}

test("the tarball has what it needs and nothing else", () => {
  const names = new Set(packed.map((path) => path.replace(/^dist\/.*\.(js|d\.ts)$/, "dist/*.$1")));
  expect([...names].sort()).toEqual([
    "LICENSE",
    "README.md",
    "dist/*.d.ts",
    "dist/*.js",
    "dist/THIRD_PARTY_LICENSES.txt",
    "dist/build.json",
    "dist/holdfast.wasm",
    "package.json",
  ]);
  expect(packed).toEqual(expect.arrayContaining(["dist/index.js", "dist/index.d.ts", "dist/go.js", "dist/go.d.ts"]));
});

for (const resolution of ["bundler", "nodenext"]) {
  test(`its types satisfy a strict application with module resolution ${resolution}`, () => {
    const module = resolution === "nodenext" ? "nodenext" : "esnext";
    run(consumer, join(web, "node_modules/.bin/tsc"), "--moduleResolution", resolution, "--module", module, "-p", ".");
  });
}

test("it can be imported where there is no browser, and does nothing then", () => {
  const script = `
    const before = Reflect.ownKeys(globalThis).length;
    const { open } = await import("@holdfast-dev/holdfast");
    console.log(typeof open + " " + (Reflect.ownKeys(globalThis).length - before));`;
  expect(run(consumer, process.execPath, "--input-type=module", "-e", script).trim()).toBe("function 0");
});

test("vite bundles it, and the bundle runs in a folder of a server", async ({ page }) => {
  await build({ root: consumer, base: "./", configFile: false, logLevel: "warn", build: { target: "es2022" } });
  const server = await Server.start({ "/app/": join(consumer, "dist") });
  await visitTwice(page, `${server.origin}/app/`);
  await server.close();
});

test("it runs on vite's development server", async ({ page }) => {
  const vite = await createServer({ root: consumer, configFile: false, logLevel: "warn", server: { host: "127.0.0.1" } });
  await vite.listen();
  await visitTwice(page, vite.resolvedUrls?.local[0] ?? "");
  await vite.close();
});

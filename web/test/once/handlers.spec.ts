// The tests of a handler, as docs/test-your-handler.md has them: run by their own runner, without a browser.
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "@playwright/test";
import { dist } from "../../scripts/build-info.mjs";
import { readDocument } from "../harness/document.js";

const web = fileURLToPath(new URL("../..", import.meta.url));
const { files } = readDocument("test-your-handler.md");
let folder: string;

test.beforeAll(() => {
  // Within the package, where its own name and the tools are found.
  mkdirSync(join(web, "test-results"), { recursive: true });
  folder = mkdtempSync(join(web, "test-results", "handlers-"));
  for (const [name, code] of files) writeFileSync(join(folder, name), code);
});

test.afterAll(() => rmSync(folder, { recursive: true, force: true }));

const tests = [...files.keys()].filter((name) => name.endsWith(".test.ts"));

function vitest(environment: string): void {
  const { stdout, stderr } = spawnSync(join(web, "node_modules/.bin/vitest"), ["run", "--root", folder, "--environment", environment, "--testTimeout", "120000", "--reporter", "json"], { encoding: "utf8" });
  const report = JSON.parse(stdout === "" ? "{}" : stdout) as { readonly numPassedTests?: number; readonly numTotalTests?: number };
  expect(report, stdout + stderr).toMatchObject({ numPassedTests: tests.length, numTotalTests: tests.length });
}

test("the tests of the guide pass under Vitest with the environment happy-dom, and with the package linked, as in a workspace", () => {
  vitest("happy-dom");
});

test("they pass with the environment node, and with the package installed", () => {
  const installed = join(folder, "node_modules/@holdfast-dev/holdfast");
  cpSync(dist, join(installed, "dist"), { recursive: true });
  cpSync(join(web, "package.json"), join(installed, "package.json"));
  vitest("node");
});

test("they are strict TypeScript", () => {
  const compilerOptions = { target: "ES2022", lib: ["ES2022", "DOM"], module: "ESNext", moduleResolution: "bundler", strict: true, noEmit: true, skipLibCheck: true };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["*.ts"] }));
  const { status, stdout } = spawnSync(join(web, "node_modules/.bin/tsc"), ["-p", folder], { encoding: "utf8" });
  expect(stdout).toBe("");
  expect(status).toBe(0);
});

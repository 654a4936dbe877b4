// A place that needs no tools: a page without a bundler. `make places` tries the others.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Application, pack } from "../../places/drive.js";
import { rows, unbundled } from "../../places/table.js";
import { expect, test } from "../harness/test.js";

test(`the packed package works in ${unbundled.name}: an answer goes on after a reload`, async ({ context }) => {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-packed-"));
  const application = new Application(unbundled, pack(folder));
  try {
    await application.use(context);
  } finally {
    application.remove();
    rmSync(folder, { recursive: true, force: true });
  }
});

test("docs/install.md has each place, with its versions and what it needs", () => {
  const text = readFileSync(fileURLToPath(new URL("../../docs/install.md", import.meta.url)), "utf8");
  const [, table] = /^\| place \|.*\n.*\n((?:\|.*\n)*)/m.exec(text) ?? [];
  expect(table?.trimEnd().split("\n")).toEqual(rows);
});

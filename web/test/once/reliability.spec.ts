// RELIABILITY.md names tests, which must exist.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "@playwright/test";

const root = fileURLToPath(new URL("../../..", import.meta.url));

interface Suite {
  readonly suites?: readonly Suite[];
  readonly specs?: readonly { readonly file: string; readonly title: string }[];
}

/** The tests of a suite, as `file: title`. */
function titles({ specs = [], suites = [] }: Suite): string[] {
  return [...specs.map(({ file, title }) => `${file}: ${title}`), ...suites.flatMap(titles)];
}

/** Whether a file in Go has a test function of this name, or a story of the contract of stores. */
function isInGo(file: string, title: string): boolean {
  const source = readFileSync(join(root, file), "utf8");
  return source.includes(`\nfunc ${title}(`) || source.includes(`\t{"${title}", func(`);
}

test("every promise and every fault names its tests, and they exist", () => {
  const list = execFileSync(process.execPath, [join(root, "web/node_modules/@playwright/test/cli.js"), "test", "--list", "--reporter=json"], {
    cwd: join(root, "web"),
    encoding: "utf8",
    maxBuffer: 2 ** 26,
  });
  const inChromium = new Set((JSON.parse(list) as { readonly suites: readonly Suite[] }).suites.flatMap(titles));
  const rows = (readFileSync(join(root, "RELIABILITY.md"), "utf8").split("## Twelve promises")[1] ?? "")
    .split("\n")
    .filter((line) => line.startsWith("| ") && !/^\| (promise|fault) \|/.test(line));
  expect(rows.length).toBeGreaterThanOrEqual(12 + 25);
  for (const row of rows) {
    const [cell = ""] = row.split(" |").slice(-2);
    const named = [...cell.matchAll(/(`+)(.+?)\1(?!`)/g)].map(([, , name = ""]) => name.trim());
    expect(named, row.slice(0, 60)).not.toEqual([]);
    for (const name of named) {
      const [, file = "", title = ""] = /^([\w./-]+): (.+)$/.exec(name) ?? [];
      expect.soft(file.endsWith(".go") ? isInGo(file, title) : inChromium.has(name), name).toBe(true);
    }
  }
});

// The table of `make engines`: prints it at the end, and keeps it in results.md if all of them took part.
import { writeFileSync } from "node:fs";
import { basename, relative } from "node:path";
import { fileURLToPath } from "node:url";
import type { Reporter, Suite, TestCase } from "@playwright/test/reporter";

const names: Readonly<Record<string, string>> = { leveldb: "Chromium, LevelDB", sqlite: "Chromium, SQLite", firefox: "Firefox ESR", webkit: "WebKitGTK" };

/** What each spec is about, in the order of the table. */
const subjects: Readonly<Record<string, string>> = {
  "semantics.spec.ts": "decisions, sequences, conflicts",
  "semantics-values.spec.ts": "values of all kinds",
  "semantics-view.spec.ts": "state and subscriptions",
  "semantics-store.spec.ts": "listing, deleting, names, reading the log, health",
  "errors.spec.ts": "each error, limits",
  "errors-storage.spec.ts": "what the storage can do to an open store",
  "errors-instance.spec.ts": "death of the WebAssembly instance",
  "awaited.spec.ts": "awaited appends and their shorter way",
  "verify.spec.ts": "damage, and an end that is lost",
  "process.spec.ts": "the runner; resuming after a reload",
  "ownership.spec.ts": "one runner among tabs, by Web Locks and by lease",
  "tabs.spec.ts": "several tabs; back/forward cache",
  "crowd.spec.ts": "four tabs that come and go",
  "long.spec.ts": "compaction and snapshots",
  "loading.spec.ts": "loading; worker; Content-Security-Policy",
  "durability.spec.ts": "durability asked for; private window",
  "crash.spec.ts": "reload, closing and SIGKILL between any two events",
  "stories.spec.ts": "restart, SIGKILL amid appends, full storage, a worker as runner, figures",
  "go.spec.ts": "the contract of stores, from Go",
};

class Table implements Reporter {
  #root: Suite | undefined;

  onBegin(_config: unknown, root: Suite): void {
    this.#root = root;
  }

  printsToStdio(): boolean {
    return false; // the list is another reporter's
  }

  onEnd(): void {
    const engines = (this.#root?.suites ?? []).map((suite) => ({ id: suite.title, tests: suite.allTests() })).filter(({ tests }) => tests.length > 0);
    const row = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
    const each = (cell: (engine: { readonly tests: TestCase[] }) => string): string[] => engines.map(cell);
    const versions = engines.map(({ id, tests }) => `${names[id] ?? id} ${annotations(tests, "version")[0] ?? ""}`.trim());
    const lines = [row(["", ...versions]), row(["---", ...versions.map(() => "---")])];
    for (const [file, subject] of Object.entries(subjects)) {
      const of = (tests: TestCase[]): TestCase[] => tests.filter(({ location }) => basename(location.file) === file);
      if (!engines.some(({ tests }) => of(tests).length > 0)) continue;
      lines.push(row([subject, ...each(({ tests }) => `${of(tests).filter((test) => test.outcome() === "expected").length} of ${of(tests).length}`)]));
    }
    const figures = new Set(engines.flatMap(({ tests }) => tests.flatMap((test) => test.annotations).map(({ type }) => type)).filter((type) => type.startsWith("figure: ")));
    for (const figure of figures) lines.push(row([figure.slice("figure: ".length), ...each(({ tests }) => annotations(tests, figure)[0] ?? "")]));
    const differences = engines.flatMap(({ id, tests }) => [...new Set(annotations(tests, "differs"))].map((text) => `- ${names[id] ?? id}: ${text}`));
    const failed = engines.flatMap(({ id, tests }) =>
      tests.filter((test) => !test.ok()).map((test) => `- ${names[id] ?? id}: ${relative(process.cwd(), test.location.file)}: ${test.title}`),
    );
    const text = [...lines, ...section("What differs", differences), ...section("What failed", failed), ""].join("\n");
    console.log(`\n${text}`);
    if (engines.length === Object.keys(names).length && engines.every(({ tests }) => annotations(tests, "version").length > 0)) {
      writeFileSync(fileURLToPath(new URL("results.md", import.meta.url)), `<!-- Written by \`make engines\`. -->\n\n${text}`);
    }
  }
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : ["", `${title}:`, "", ...lines];
}

function annotations(tests: readonly TestCase[], type: string): string[] {
  return tests.flatMap((test) => test.annotations.filter((one) => one.type === type).map(({ description = "" }) => description));
}

export default Table;

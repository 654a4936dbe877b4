// No panic, no unhandled rejection and no other error than ours can be reached from JavaScript by any argument.
import { expect, onEachStore, test } from "./harness/holdfast.js";
import type * as Attack from "./pages/attack.js";

const attack = "/bundle/attack.js";

test("every public function is attacked", async ({ home }) => {
  expect(await home.evaluate(async (path) => ((await import(path)) as typeof Attack).uncovered(), attack)).toEqual([]);
});

onEachStore(() => {
  test("every argument of every method refuses or takes every value", { tag: "@slow" }, async ({ home, storage }) => {
    test.setTimeout(600_000); // thousands of commits
    const report = await home.evaluate(async ([path, storage]) => ((await import(path)) as typeof Attack).attackStore(storage), [attack, storage] as const);
    expect(report.faults).toEqual([]);
    expect(report.calls).toBeGreaterThan(3000);
    expect(report.accepted).toBeGreaterThan(300);
  });

  test("every option of open", { tag: "@slow" }, async ({ home, storage, complaints }) => {
    const report = await home.evaluate(async ([path, storage]) => ((await import(path)) as typeof Attack).attackOpen(storage), [attack, storage] as const);
    expect(report.faults).toEqual([]);
    expect(report.calls).toBeGreaterThan(500);
    expect(report.accepted).toBeGreaterThan(20);
    // The browser itself reports what it was told to fetch and could not.
    const unfetched = /^console: (Failed to load resource|Fetch API cannot load|Not allowed to load|Access to fetch)/;
    expect(complaints.splice(0).filter((text) => !unfetched.test(text))).toEqual([]);
  });

  test("close", async ({ home, storage }) => {
    const report = await home.evaluate(async ([path, storage]) => ((await import(path)) as typeof Attack).attackClose(storage), [attack, storage] as const);
    expect(report.faults).toEqual([]);
  });
});

// No panic, no unhandled rejection and no other error than ours can be reached from JavaScript by any argument.
import { expect, onEachStore, test } from "./harness/holdfast.js";
import type * as Attack from "./pages/attack.js";

const attack = "/bundle/attack.js";

test("every public function is attacked", async ({ home }) => {
  expect(await home.evaluate(async (path) => ((await import(path)) as typeof Attack).uncovered(), attack)).toEqual([]);
});

test("a name that an argument has not is refused, with those that it has, and nothing is stored", async ({ holdfast }) => {
  const told = await holdfast.evaluate(async (holdfast) => {
    const c = holdfast.create("c");
    const other = holdfast.create("other");
    const misspelt = { text: "hi" } as never;
    const { open } = await import("@holdfast-dev/holdfast");
    const problem = async (call: () => unknown): Promise<string> => {
      const failure = await globalThis.told.failure(async () => await call());
      return failure === undefined ? "accepted" : `${failure.code} ${failure.operation} ${/: (\w+ must .*)/.exec(failure.message)?.[1]}`;
    };
    const inSteps = new Promise<string[]>((resolve) =>
      other.process(async ({ step }) => {
        const ask = step.wait("ask", misspelt);
        const calls = [() => step("a", () => 1, misspelt), () => step("b", () => 1, { resume: true } as never), () => step.stream("c", async function* () {}, misspelt), () => ask, () => step.sleep("d", 0, { timeout: 1 } as never)];
        const problems: string[] = [];
        for (const call of calls) problems.push(await problem(call));
        resolve(problems);
      }),
    );
    await other.send({ id: "m" });
    const message = other.state.message("m");
    const calls = [
      () => open(misspelt),
      () => holdfast.list(misspelt),
      () => holdfast.process(() => 1, misspelt),
      () => c.process(() => 1, misspelt),
      () => c.process(() => 1, { backoff: misspelt }),
      () => c.receiveMessage({ id: "m", ...(misspelt as object) }),
      () => c.recordMessageReceived({ id: "m", after: null } as never),
      () => c.send(misspelt),
      () => c.send({ ...message, id: "a copy" }),
      () => c.note("type", 1, misspelt),
      () => c.setMetadata({ title: "T" }, misspelt),
      () => c.retry("m", misspelt),
      () => c.events(misspelt),
    ];
    const problems: string[] = [];
    for (const call of calls) problems.push(await problem(call));
    return { problems: [...problems, ...(await inSteps)], head: c.expectedSeq };
  });
  const process = "maxAttempts, backoff, timeout, maxStarts, onError, signal, rehearse";
  const step = "maxAttempts, backoff, timeout, sideEffect, key";
  expect(told.problems).toEqual([
    'invalid_argument open options must not have "text", only database, storage, durability, timeout, wasm',
    'invalid_argument list options must not have "text", only prefix, order, limit, after, ids',
    `invalid_argument process options must not have "text", only ${process}, prefix, concurrency`,
    `invalid_argument process options must not have "text", only ${process}`,
    'invalid_argument process backoff must not have "text", only initial, max',
    'invalid_argument receiveMessage message must not have "text", only id, body, receivedAt',
    'invalid_argument recordMessageReceived message must not have "after", only id, body, receivedAt',
    'invalid_argument send message must not have "text", only id, body, receivedAt, onlyIf, after, interrupt',
    expect.stringMatching(/^invalid_argument send message must not have "\w+", only id/),
    'invalid_argument note options must not have "text", only id, ifLast, onlyIf',
    'invalid_argument setMetadata options must not have "text", only onlyIf',
    'invalid_argument retry options must not have "text", only from',
    'invalid_argument events range must not have "text", only from, limit',
    `invalid_argument step options must not have "text", only ${step}`,
    `invalid_argument step options must not have "resume", only ${step}`,
    `invalid_argument step options must not have "text", only ${step}, resume`,
    'invalid_argument step.wait options must not have "text", only prompt, timeout, pass, key',
    'invalid_argument step.sleep options must not have "timeout", only pass, key',
  ]);
  expect(told.head).toBe(0);
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

// What the other specs tell of Chromium only, or not at all, told so that every engine can take part.
import type { Holdfast } from "@holdfast-dev/holdfast";
import type { Page } from "@playwright/test";
import type { RunningBrowser } from "../test/harness/browser.js";
import { listen } from "../test/harness/holdfast.js";
import { remembered } from "../test/harness/memory.js";
import { recordKey } from "../test/harness/record.js";
import { append, attach, expectedSeq, log, refresh, type Tab } from "../test/harness/tab.js";
import { expect, test } from "../test/harness/test.js";
import { become, join, send, words } from "../test/harness/work.js";

const epoch = (tab: Tab): Promise<string> => tab.evaluate(async ({ holdfast }) => (await holdfast.health()).epoch);

test("a browser that is closed and started again has everything, and knows the store", { tag: "@launch" }, async ({ launch, server }) => {
  const epochs = new Set<string>();
  for (let visit = 0; visit < 3; visit++) {
    const running = await launch();
    const page = await running.newPage();
    await page.goto(server.origin);
    const tab = await attach(page, "chat");
    expect((await log(tab)).length).toBe(10 * visit);
    for (let step = 0; step < 10; step++) expect(await append(tab, `visit ${visit}`, step)).toEqual({ sequence: 10 * visit + step });
    epochs.add(await epoch(tab));
    await running.close();
  }
  expect(epochs.size).toBe(1);
});

test("a lost end is noticed, also after a SIGKILL if the engine has files", { tag: "@launch" }, async ({ launch, server }) => {
  const visit = async (): Promise<[RunningBrowser, Page]> => {
    const running = await launch();
    const page = await running.newPage();
    await page.goto(server.origin);
    return [running, page];
  };
  const [first, page] = await visit();
  const tab = await attach(page, "chat");
  for (let step = 0; step < 5; step++) expect(await append(tab, "m", step)).toEqual({ sequence: step });
  await expect.poll(() => remembered(page)).toEqual({ chat: 5 });
  if (await page.evaluate(() => "storage" in navigator)) await first.kill();
  else await first.close(); // localStorage is written then
  const [, again] = await visit();
  const lost = await again.evaluate(async (key) => {
    const opening = indexedDB.open("holdfast");
    await new Promise((resolve) => (opening.onsuccess = resolve));
    const writing = opening.result.transaction("records", "readwrite");
    writing.objectStore("records").delete(new Uint8Array(key));
    await new Promise((resolve) => (writing.oncomplete = resolve));
    opening.result.close();
    const { HoldfastError, open } = await import("@holdfast-dev/holdfast");
    const holdfast = await open();
    const failure = await holdfast.recover("chat").catch((error: unknown) => error);
    const left = await holdfast.recover("chat");
    return [failure instanceof HoldfastError && failure.code, left.expectedSeq, (await holdfast.verify("chat")).damage.map(({ from, to }) => [from, to])];
  }, [...recordKey("chat", 5)]);
  expect(lost).toEqual(["gap", 4, [[4, 4]]]);
});

test("what was acknowledged is there after a SIGKILL in the middle of appends, whoever appended", { tag: "@launch" }, async ({ launch, server }) => {
  const acknowledged: Record<string, number> = { a: 0, b: 0, c: 0 };
  const writers = Object.keys(acknowledged);
  for (let round = 0; round < 3; round++) {
    const running = await launch();
    let reached = (): void => undefined;
    const enough = new Promise<void>((resolve) => (reached = resolve));
    let acks = 0;
    const endless = await Promise.all(
      writers.map(async (writer) => {
        const page = await running.newPage();
        await page.exposeFunction("acknowledge", (sequence: number) => {
          acknowledged[writer] = sequence + 1;
          if (++acks === 60) reached();
        });
        await page.goto(server.origin);
        const tab = await attach(page, writer);
        const found = (await log(tab)).length;
        expect([acknowledged[writer], (acknowledged[writer] ?? 0) + 1], `${writer}, round ${round}`).toContain(found);
        acknowledged[writer] = found;
        return tab;
      }),
    );
    for (const tab of endless) {
      const appending = tab.evaluate(async ({ conversation }) => {
        for (let step = 0; ; step++) await globalThis.acknowledge(await conversation.recordStepCompleted("without end", step));
      });
      appending.catch(() => undefined); // it ends with its browser
    }
    await enough;
    await running.kill();
  }
  const page = await (await launch()).newPage();
  await page.goto(server.origin);
  for (const writer of writers) {
    const found = (await log(await attach(page, writer))).length;
    expect([acknowledged[writer], (acknowledged[writer] ?? 0) + 1], writer).toContain(found);
  }
});

test("a full storage: quota_exceeded, nothing of it written, reads go on; with room again, so do appends", { tag: "@launch" }, async ({ launch, server }) => {
  const full = await launch({ quota: { origin: server.origin, bytes: 20 * 2 ** 20 } });
  const page = await full.newPage();
  await page.goto(server.origin);
  const filled = await page.evaluate(async () => {
    const { HoldfastError, open } = await import("@holdfast-dev/holdfast");
    const holdfast = await open();
    const c = await holdfast.recover("chat");
    const body = new Uint8Array(4 * 2 ** 20);
    for (let at = 0; at < body.length; at += 65_536) crypto.getRandomValues(body.subarray(at, at + 65_536));
    for (let i = 0; i < 20; i++) {
      const expected = c.expectedSeq;
      try {
        await c.recordMessageReceived({ id: `message ${i}`, body });
      } catch (error) {
        if (!(error instanceof HoldfastError)) throw error;
        const replayed = await holdfast.recover("chat");
        return { expected, code: error.code, outcome: error.outcome, after: c.expectedSeq, replayed: replayed.expectedSeq, size: replayed.state.messages.length };
      }
    }
    return undefined;
  });
  expect(filled, "20 messages of 4 MiB have found room").toBeDefined();
  const { expected = 0, ...rest } = filled ?? {};
  expect(expected, "it is full with the first message").toBeGreaterThan(0);
  expect(rest).toEqual({ code: "quota_exceeded", outcome: "not_written", after: expected, replayed: expected, size: expected });
  await full.close();

  const roomy = await launch();
  const again = await roomy.newPage();
  await again.goto(server.origin);
  const tab = await attach(again, "chat");
  expect(await expectedSeq(tab)).toBe(expected);
  expect(await append(tab, "a", 0)).toEqual({ sequence: expected });
  await roomy.close();
});

/** A worker that recovers the conversation `chat`, and does what it is told. */
const workerScript = `
  import { open, SequenceConflictError } from "/bundle/package.js";
  const holdfast = await open();
  const conversation = await holdfast.recover("chat");
  const does = {
    process: () => void conversation.process(async ({ message, step }) => {
      await step("greet", () => "hello from the worker");
      if (message.id === "n") await new Promise(() => undefined);
    }),
    append: (step) => conversation.recordStepCompleted("worker", step).catch((error) => {
      if (!(error instanceof SequenceConflictError)) throw error;
      return -error.actual;
    }),
    refresh: () => conversation.refresh(),
  };
  onmessage = async ({ data: [what, ...args] }) => postMessage(await does[what](...args));
  postMessage("ready");
`;

declare global {
  var worker: Worker;
  /** Tells the worker to do something, and resolves with its answer. */
  var ask: (...what: unknown[]) => Promise<unknown>;
  var acknowledge: (sequence: number) => Promise<void>;
}

test("a worker is a runner and a writer like any other, and a page goes on when it is terminated", async ({ page, server }) => {
  const complaints: string[] = [];
  listen(page, complaints);
  server.answer("/worker.js", { body: workerScript });
  const tab = await join(page, server, []);
  await page.evaluate(async () => {
    const worker = (globalThis.worker = new Worker("/worker.js", { type: "module" }));
    const next = (): Promise<unknown> => new Promise((resolve) => worker.addEventListener("message", ({ data }) => resolve(data), { once: true }));
    globalThis.ask = (...what) => {
      const answer = next();
      worker.postMessage(what);
      return answer;
    };
    await next();
  });
  // In lock-step: one wins, the other one is told where the head is.
  for (let step = 0, head = 0; step < 10; step++, head++) {
    const [mine, its] = await Promise.all([append(tab, "page", step), page.evaluate((index) => globalThis.ask("append", index), step)]);
    if ("sequence" in mine) expect([mine.sequence, its]).toEqual([head, -(head + 1)]);
    else expect([mine, its]).toEqual([{ expected: head, actual: head + 1 }, head]);
    expect([await refresh(tab), await page.evaluate(() => globalThis.ask("refresh"))]).toEqual([head + 1, head + 1]);
  }

  await page.evaluate(() => globalThis.ask("process"));
  await send(tab, "m", "n");
  await become(tab, "m", "finished");
  await tab.evaluate(({ conversation }) => {
    conversation.process(async ({ step }) => step("greet", () => "hello from the page"));
    return globalThis.when(conversation, () => conversation.state.message("n")?.steps.length === 1);
  });
  await page.evaluate(() => globalThis.worker.terminate());
  await become(tab, "n", "finished");
  expect(await tab.evaluate(({ conversation }) => conversation.state.message("n")?.result)).toBe("hello from the worker");
  expect(await words(tab, "n")).toEqual(["message_received", "processing_started", "greet completed", "processing_started", "processing_finished"]);
  expect(complaints).toEqual([]);
});

const median = (times: readonly number[]): number => times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)] ?? NaN;

test("figures", async ({ page, browser, server }, info) => {
  const note = (type: string, description: string): void => void info.annotations.push({ type, description });
  note("version", browser.version());
  await page.goto(server.origin);
  if (!(await page.evaluate(() => "storage" in navigator))) note("differs", "no StorageManager: health() tells neither usage nor quota, persist() is false");
  const opened: number[] = [];
  for (let visit = 0; visit < 7; visit++) {
    await page.goto(server.origin);
    opened.push(
      await page.evaluate(async () => {
        const { open } = await import("@holdfast-dev/holdfast");
        const start = performance.now();
        const holdfast = await open();
        const time = performance.now() - start;
        await holdfast.close();
        return time;
      }),
    );
  }
  note("figure: open, once loaded, median of 7", `${median(opened).toFixed(0)} ms`);
  for (const durability of ["strict", "default"] as const) {
    const holdfast = await page.evaluateHandle(async (how) => {
      const { open } = await import("@holdfast-dev/holdfast");
      return open({ database: how, durability: how });
    }, durability);
    const time = await holdfast.evaluate(async (store: Holdfast) => {
      const c = store.create("chat");
      for (let i = 0; i < 20; i++) await c.recordStepCompleted("m", i, { i });
      const start = performance.now();
      for (let i = 20; i < 220; i++) await c.recordStepCompleted("m", i, { i });
      return (performance.now() - start) / 200;
    });
    note(`figure: one awaited append, ${durability}, mean of 200`, `${time.toFixed(2)} ms`);
  }
  const tab = await attach(page, "long");
  const long = await tab.evaluate(async ({ holdfast, conversation }) => {
    for (let i = 0; i < 2000; i += 10) {
      const ten = Array.from({ length: 10 }, (_, j) => conversation.recordStepCompleted("m", i + j, { text: `output ${i + j}` }));
      await Promise.all(ten);
    }
    const start = performance.now();
    const recovered = await holdfast.recover("long");
    return { time: performance.now() - start, events: recovered.expectedSeq, last: recovered.state.lastCompletedStep("m") };
  });
  expect([long.events, long.last]).toEqual([2000, 1999]);
  note("figure: recover 2,000 events", `${long.time.toFixed(0)} ms`);
});

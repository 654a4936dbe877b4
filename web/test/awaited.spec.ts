// Appends that are awaited one by one, which take a shorter way: no goroutine waits for them. Nobody can see that.
import type { JSHandle, Page } from "@playwright/test";
import type { Holdfast } from "@holdfast-dev/holdfast";
import { expect, test } from "./harness/holdfast.js";

interface Watched {
  readonly holdfast: Holdfast;
  /** Another connection to the same database. */
  readonly rival: Holdfast;
  /** What has happened since the last call. */
  readonly counts: () => Readonly<Record<string, number>>;
}

/** A page that counts how often the shorter way was taken, and the transactions that write records. */
async function watched(home: Page): Promise<JSHandle<Watched>> {
  return await home.evaluateHandle(async () => {
    let counts: Record<string, number> = {};
    const count = (name: string): void => void (counts[name] = (counts[name] ?? 0) + 1);
    const instantiate = WebAssembly.instantiate as (module: WebAssembly.Module, imports?: WebAssembly.Imports) => Promise<WebAssembly.Instance>;
    WebAssembly.instantiate = (async (module: WebAssembly.Module, imports?: WebAssembly.Imports) => {
      const instance = await instantiate(module, imports);
      const exports = Object.entries(instance.exports).map(([name, value]) => {
        if (!name.startsWith("holdfast")) return [name, value];
        const call = value as (...args: unknown[]) => unknown;
        const counting = (...args: unknown[]): unknown => {
          count(name);
          return call(...args);
        };
        return [name, counting];
      });
      return Object.create(instance, { exports: { value: Object.fromEntries(exports) } }) as WebAssembly.Instance;
    }) as typeof WebAssembly.instantiate;
    const { transaction } = IDBDatabase.prototype; // oxlint-disable-line typescript/unbound-method
    IDBDatabase.prototype.transaction = function (stores, mode, options) {
      const tx = transaction.call(this, stores, mode, options);
      if (mode === "readwrite" && [stores].flat()[0] === "records") {
        count("begun");
        tx.addEventListener("abort", () => count("aborted"));
      }
      return tx;
    };
    const { open } = await import("@holdfast-dev/holdfast");
    const [holdfast, rival] = [await open(), await open()];
    return {
      holdfast,
      rival,
      counts: () => {
        const counted = counts;
        counts = {};
        return counted;
      },
    };
  });
}

test("each is one transaction, and what it was about shows after the await", async ({ home }) => {
  const facts = await (await watched(home)).evaluate(async ({ holdfast, counts }) => {
    const [c, d] = [holdfast.create("c"), holdfast.create("d")];
    counts();
    const seen: unknown[] = [];
    for (let i = 0; i < 10; i++) {
      const sequence = await c.recordStepCompleted("m", i, `output ${i}`);
      seen.push([sequence, c.expectedSeq, c.state.completedStep("m", i)?.output, c.snapshot().lastCompletedStep("m")]);
    }
    const alone = counts();
    for (let i = 0; i < 5; i++) seen.push([await c.recordStepCompleted("m", i), await d.recordStepCompleted("m", i), d.expectedSeq]);
    const inTurn = counts();
    // Nothing of the conversation is looked at in between.
    for (let i = 0; i < 10; i++) await d.recordStepCompleted("n", i);
    const unseen = counts();
    return { seen, alone, inTurn, unseen, end: [c.clone().expectedSeq, d.clone().state.lastCompletedStep("n"), (await holdfast.recover("d")).expectedSeq] };
  });
  const all = { begun: 10, holdfastRecord: 10, holdfastCommitted: 10 };
  expect([facts.alone, facts.inTurn, facts.unseen]).toEqual([all, all, all]);
  expect(facts.seen).toEqual([
    ...Array.from({ length: 10 }, (_, i) => [i, i + 1, `output ${i}`, i]),
    ...Array.from({ length: 5 }, (_, i) => [10 + i, i, i + 1]),
  ]);
  expect(facts.end).toEqual([15, 9, 15]);
});

test("others hear of appends that follow each other closely", async ({ home }) => {
  const facts = await (await watched(home)).evaluate(async ({ holdfast, rival }) => {
    const [c, d] = [holdfast.create("c"), holdfast.create("d")];
    const other = rival.create("c");
    const heard = new Promise<void>((resolve) => {
      const stop = other.subscribe(() => {
        if (other.expectedSeq < 200) return;
        stop();
        resolve();
      });
    });
    for (let i = 0; i < 200; i++) {
      await c.recordStepCompleted("m", i);
      if (i % 10 === 0) await d.recordStepCompleted("n", i);
    }
    await heard;
    return { end: [c.expectedSeq, c.state.lastCompletedStep("m"), d.state.message("n"), d.state.lastCompletedStep("n")], log: (await c.events()).map(({ sequence }) => sequence) };
  });
  expect(facts.end).toEqual([200, 199, undefined, 190]);
  expect(facts.log).toEqual(Array.from({ length: 200 }, (_, i) => i));
});

test("appends that follow each other closely leave a runner its turn", async ({ home }) => {
  const facts = await (await watched(home)).evaluate(async ({ holdfast }) => {
    const c = holdfast.create("c");
    const handled: string[] = [];
    const stop = c.process(async ({ message, step }) => {
      for (const name of ["a", "b", "c"]) {
        await step(name, async () => {
          for (let i = 0; i < 7; i++) await told.task();
          return name;
        });
      }
      handled.push(message.id);
    });
    await c.recordStepCompleted("other", 0);
    await c.send({ id: "m" });
    let appends = 0;
    while (handled.length === 0 && appends < 2000) await c.recordStepCompleted("other", ++appends);
    await stop();
    return { appends, steps: c.state.message("m")?.steps.length };
  });
  expect(facts.appends).toBeLessThan(2000);
  expect(facts.steps).toBe(3);
});

test("who listens hears before the caller does", async ({ home }) => {
  const order = await (await watched(home)).evaluate(async ({ holdfast }) => {
    const c = holdfast.create("c");
    const heard: string[] = [];
    c.subscribe(() => heard.push(`heard of ${c.expectedSeq}`));
    for (let i = 0; i < 3; i++) heard.push(`${await c.recordStepCompleted("m", i)} is done`);
    return heard;
  });
  expect(order).toEqual(["heard of 1", "0 is done", "heard of 2", "1 is done", "heard of 3", "2 is done"]);
});

test("where the head has moved, one writer wins", async ({ home }) => {
  const facts = await (await watched(home)).evaluate(async ({ holdfast, rival, counts }) => {
    const c = holdfast.create("c");
    await c.recordStepCompleted("m", 0);
    const other = await rival.recover("c");
    await other.recordStepCompleted("m", 1).then(() => other.expectedSeq);
    counts();
    const { code, expected, actual } = (await told.failure(c.recordStepCompleted("m", 2))) ?? {};
    const lost = [counts(), c.expectedSeq, c.state.lastCompletedStep("m")];
    await c.refresh();
    const won = [await c.recordStepCompleted("m", 3), counts()];
    await other.refresh();
    await holdfast.delete("c");
    const gone = await told.failure(c.recordStepCompleted("m", 4));
    await c.refresh();
    const anew = await c.recordStepCompleted("m", 5);
    await other.refresh();
    return { failure: [code, expected, actual], lost, won, gone: [gone?.code, gone?.expected, gone?.actual], anew: [anew, other.expectedSeq, other.state.lastCompletedStep("m")] };
  });
  expect(facts).toEqual({
    failure: ["sequence_conflict", 1, 2],
    lost: [{ begun: 1, aborted: 1, holdfastRecord: 1 }, 1, 0],
    won: [2, { begun: 1, holdfastRecord: 1, holdfastCommitted: 1 }],
    gone: ["sequence_conflict", 3, 4],
    anew: [4, 5, 5],
  });
});

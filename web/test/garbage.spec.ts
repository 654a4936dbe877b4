// What is let go of: the memory of a program, handles, and what a page that works on and on has used.
import type { CDPSession, Page } from "@playwright/test";
import { expect, test } from "./harness/holdfast.js";

/** Reads what is alive in a page, after a garbage collection. */
class Heap {
  private constructor(readonly session: CDPSession) {}

  static async of(page: Page): Promise<Heap> {
    return new Heap(await page.context().newCDPSession(page));
  }

  /** The sizes of the memories of WebAssembly, in bytes. */
  async programs(): Promise<number[]> {
    return this.#alive<number[]>("WebAssembly.Memory", "function () { return this.map((memory) => memory.buffer.byteLength); }");
  }

  /** How many objects of a class there are. */
  async count(expression: string): Promise<number> {
    return this.#alive<number>(expression, "function () { return this.length; }");
  }

  /** What JavaScript uses, in bytes. */
  async used(): Promise<number> {
    for (let i = 0; i < 4; i++) await this.session.send("HeapProfiler.collectGarbage"); // what a finalizer lets go of is seen by the next
    return (await this.session.send("Runtime.getHeapUsage")).usedSize;
  }

  async #alive<T>(expression: string, functionDeclaration: string): Promise<T> {
    await this.session.send("HeapProfiler.collectGarbage");
    const { result } = await this.session.send("Runtime.evaluate", { expression: `${expression}.prototype` });
    const { objects } = await this.session.send("Runtime.queryObjects", { prototypeObjectId: result.objectId ?? "", objectGroup: "alive" });
    const alive = await this.session.send("Runtime.callFunctionOn", { objectId: objects.objectId ?? "", functionDeclaration, returnByValue: true });
    await this.session.send("Runtime.releaseObjectGroup", { objectGroup: "alive" });
    return alive.result.value as T;
  }
}

const uses = ["closed", "closed in memory", "closed while it is followed", "closed while it is processed", "that could not be opened"] as const;

for (const use of uses) {
  test(`the program of a store ${use} is let go of`, async ({ home }) => {
    await home.evaluate(async (use) => {
      const { open } = await import("@holdfast-dev/holdfast");
      for (let i = 0; i < 3; i++) {
        if (use === "that could not be opened") {
          await open({ database: "a\0b" }).catch(() => undefined);
          continue;
        }
        const holdfast = await open({ storage: use === "closed in memory" ? "memory" : "indexeddb" });
        const c = await holdfast.recover("c");
        if (use === "closed while it is followed") c.subscribe(() => undefined);
        if (use === "closed while it is processed") c.process(() => undefined);
        await c.send({ body: "x" });
        await holdfast.close();
      }
    }, use);
    const heap = await Heap.of(home);
    await expect.poll(() => heap.programs()).toEqual([]);
  });
}

test("handles that nobody holds are let go of", async ({ home, holdfast }) => {
  await holdfast.evaluate(async (holdfast) => {
    for (let i = 0; i < 200; i++) {
      const c = await holdfast.recover("c");
      (globalThis as { kind?: unknown }).kind = c.constructor;
    }
  });
  const heap = await Heap.of(home);
  await expect.poll(() => heap.count("kind")).toBeLessThan(5);
});

test("a page that works on and on does not grow", async ({ home, holdfast }) => {
  const round = (id: string): Promise<void> =>
    holdfast.evaluate(async (holdfast, id) => {
      const c = await holdfast.recover(id);
      const unsubscribe = c.subscribe(() => void c.state.messages.length);
      const stop = c.process(async ({ message, step }) => {
        await step("answer", () => "x".repeat(100));
        if ((message.body as number) % 10 > 0) return;
        await step.stream("tell", async function* () {
          for (let i = 0; i < 5; i++) yield "token";
        });
      });
      const sent = await Promise.all(Array.from({ length: 100 }, (_, i) => c.send({ body: i })));
      await c.cancel(sent.at(-1) ?? "");
      while (c.state.messages.some(({ status }) => status === "received" || status === "processing")) await globalThis.told.task();
      await stop();
      unsubscribe();
      await holdfast.delete(id);
    }, id);
  const heap = await Heap.of(home);
  const used: number[] = [];
  const programs: number[] = [];
  for (let i = 0; i < 6; i++) {
    await round(`c${i}`);
    used.push(await heap.used());
    programs.push(...(await heap.programs()));
  }
  expect(Math.min(...used.slice(3)), `JavaScript: ${used.join()}`).toBeLessThan(1.2 * Math.min(...used.slice(0, 3)));
  expect(Math.max(...programs.slice(3)), `programs: ${programs.join()}`).toBeLessThan(1.2 * Math.max(...programs.slice(0, 3)));
});

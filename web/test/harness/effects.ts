// What the steps of an agent did to the world, and what it was told, written down outside the browser.
import type { Message } from "@holdfast-dev/holdfast";
import type { Page } from "@playwright/test";
import type { Tab } from "./tab.js";
import { expect } from "./test.js";

declare global {
  /** Writes into the effect log. */
  var witness: (what: "effect" | "completed" | "finished", message: string, step: number, run: string) => Promise<void>;
}

export const steps = 6;

/** What a step returns: who ran it, and which run of the step before it has used. */
export interface Output {
  readonly run: string;
  readonly from: string | undefined;
  /** The run again, many times: an output that is mixed from two runs shows. */
  readonly filling: readonly string[];
}

interface Entry {
  readonly life: number;
  readonly what: "effect" | "completed" | "finished";
  readonly step: number;
  readonly run: string;
}

export class Effects {
  /** How often the browser was started. */
  life = 0;
  readonly #messages = new Map<string, Entry[]>();
  #count = 0;
  readonly #awaited = new Map<() => void, () => boolean>();

  async watch(page: Page): Promise<void> {
    await page.exposeFunction("witness", (what: Entry["what"], message: string, step: number, run: string) => {
      const entries = this.#messages.get(message) ?? [];
      if (what === "finished" && entries.some((entry) => entry.what === what)) return; // every tab tells of it in every life
      entries.push({ life: this.life, what, step, run });
      this.#messages.set(message, entries);
      this.#count++;
      for (const [resolve, condition] of this.#awaited) if (condition() && this.#awaited.delete(resolve)) resolve();
    });
  }

  /** Resolves with the `count`-th entry from now. */
  async reach(count: number): Promise<void> {
    const wanted = this.#count + count;
    await this.#until(() => this.#count >= wanted);
  }

  /** Resolves when a message has finished. */
  async finished(message: string): Promise<void> {
    await this.#until(() => this.#messages.get(message)?.some(({ what }) => what === "finished") ?? false);
  }

  async #until(condition: () => boolean): Promise<void> {
    if (condition()) return;
    await new Promise<void>((resolve) => this.#awaited.set(resolve, condition));
  }

  /** How many effects were done again, each after a kill. */
  get repeated(): number {
    let count = 0;
    for (const entries of this.#messages.values()) count += entries.filter(({ what }) => what === "effect").length - steps;
    return count;
  }

  /** What is promised: of a message that has finished, with what the log has of it. */
  expectPaidOnce({ id, status, steps: completed, result }: Message): void {
    const entries = this.#messages.get(id) ?? [];
    expect({ id, status }).toEqual({ id, status: "finished" });
    const outputs = completed.map(({ output }) => output as Output);
    expect(completed.map(({ index }) => index), id).toEqual(Array.from({ length: steps }, (_, i) => i));
    for (const [step, { run, from, filling }] of outputs.entries()) {
      const own = entries.filter((entry) => entry.step === step);
      const told = own.findIndex(({ what }) => what === "completed");
      const effects = own.filter(({ what }) => what === "effect");
      expect(own.slice(told).filter(({ what }) => what === "effect"), `${id}: effects of step ${step} after it was told that it has completed`).toEqual([]);
      expect(new Set(effects.map(({ life }) => life)).size, `${id}: step ${step}: one effect in one life`).toBe(effects.length);
      // Its result is that of one run, which had used the result that is stored of the step before.
      expect(effects.map((effect) => effect.run), `${id}: who ran step ${step}`).toContain(run);
      expect(run, `${id}: the last run of step ${step} counts`).toBe(effects.at(-1)?.run);
      expect(new Set(filling), `${id}: the output of step ${step}`).toEqual(new Set([run]));
      expect(from, `${id}: what step ${step} has used`).toBe(outputs[step - 1]?.run);
    }
    // A life ends in one step at most: what is done again is what was under way.
    const lives = Math.max(0, ...entries.map(({ life }) => life));
    for (let life = 0; life <= lives; life++) {
      const done = entries.filter((entry) => entry.life === life && entry.what === "effect").map(({ step }) => step);
      expect(done, `${id}: effects of life ${life}`).toEqual(done.map((_, i) => (done[0] ?? 0) + i));
    }
    expect(result, id).toEqual(outputs.map(({ run }) => run));
  }
}

/** Lets a tab process its conversation. */
export async function work(tab: Tab, name: string): Promise<void> {
  await tab.evaluate(
    ({ conversation }, [tabName, total]) => {
      conversation.process(async ({ message, step }) => {
        const runs: string[] = [];
        for (let index = 0; index < total; index++) {
          const from = runs.at(-1);
          const output = await step(`step ${index}`, async () => {
            const run = `${tabName} ${crypto.randomUUID()}`;
            await globalThis.witness("effect", message.id, index, run);
            return { run, from, filling: Array.from({ length: 100 }, () => run) };
          });
          // Told once in each attempt: that a stored step is stored has been told before.
          await globalThis.witness("completed", message.id, index, output.run);
          runs.push(output.run);
        }
        return runs;
      }, { maxStarts: 1000 }); // how often it is killed before a step has ended is chance
      const told = new Set<string>();
      const tell = (): void => {
        for (const { id, status } of conversation.state.messages) {
          if (status !== "finished" || told.has(id)) continue;
          told.add(id);
          void globalThis.witness("finished", id, -1, tabName);
        }
      };
      conversation.subscribe(tell);
      tell();
    },
    [name, steps] as const,
  );
}

// Random handlers out of all shapes, which are killed, stopped and retried at random. `make handlers` draws many more.
import type * as Replay from "./pages/replay.js";
import { listen, test } from "./harness/holdfast.js";
import { expect } from "./harness/test.js";

const count = Number(process.env["HANDLERS_IN_BROWSER"] ?? 60);
const seed = Number(process.env["HANDLERS_SEED"] ?? 0) || Math.floor(Math.random() * 1_000_000);
/** How many crashes each handler gets. */
const kills = count > 60 ? 1000 : 5;
/** Handlers of one page. */
const part = 20;

/** What becomes of which share of them. */
const plan = [
  { kind: "det", what: "killed", share: 0.4 },
  { kind: "det", what: "stopped", share: 0.15 },
  { kind: "det", what: "retried", share: 0.1 },
  { kind: "det", what: "retried from a step", share: 0.1 },
  { kind: "foreign", what: "killed", share: 0.125 },
  { kind: "nd", what: "killed", share: 0.125 },
] as const;

for (const { kind, what, share } of plan) {
  for (let from = 0; from < count * share; from += part) {
    test(`random handlers, ${kind}, ${what}${from === 0 ? "" : `, from ${from}`}`, { tag: "@long" }, async ({ page, server, complaints }) => {
      test.setTimeout(60_000 + part * kills * 3000);
      listen(page, complaints);
      await page.goto(server.origin);
      const seeds = Array.from({ length: Math.min(part, Math.ceil(count * share) - from) }, (_, i) => seed + from + i);
      const report = await page.evaluate(
        async ([bundle, kind, what, seeds, most]) => {
          const { here, Killer, random, randomShape } = (await import(bundle)) as typeof Replay;
          const holdfast = await import("@holdfast-dev/holdfast");
          const killer = new Killer(await holdfast.open({ durability: "default", storage: what === "killed" ? "indexeddb" : "memory" }), holdfast);
          const judge = (seed: number): Promise<void> => {
            const next = random(seed);
            const shape = randomShape(`${kind} ${seed}`, next, kind, what.startsWith("retried"));
            if (what === "killed") return killer.judge(shape, here(next, most));
            return what === "stopped" ? killer.stops(shape, next) : killer.retries(shape, next, what !== "retried");
          };
          await Promise.all(seeds.map(judge));
          return killer.report;
        },
        ["/bundle/replay.js", kind, what, seeds, kills] as const,
      );
      console.log(`result: ${seeds.length} random handlers, ${kind}, ${what}: ${report.lives} lives, ${report.events} events, ${report.told} found out, ${report.faults.length} faults; seed ${seed + from}`);
      expect(report.faults).toEqual([]);
    });
  }
}

// Random handlers out of all shapes, which are killed, stopped, cancelled and retried at random. `make handlers` draws many more.
import type * as Replay from "./pages/replay.js";
import { expect, listen, test } from "./harness/holdfast.js";

const count = Number(process.env["HANDLERS_IN_BROWSER"] ?? 60);
const seed = Number(process.env["HANDLERS_SEED"] ?? 0) || Math.floor(Math.random() * 1_000_000);
/** How many crashes each handler gets. */
const kills = count > 60 ? 1000 : 5;
/** Handlers of one page. */
const part = 20;

/** What becomes of which share of them. */
const plan = [
  { kind: "det", what: "killed", share: 0.35 },
  { kind: "det", what: "stopped", share: 0.1 },
  { kind: "det", what: "cancelled", share: 0.1 },
  { kind: "det", what: "retried", share: 0.1 },
  { kind: "det", what: "retried from a step", share: 0.1 },
  { kind: "foreign", what: "killed", share: 0.125 },
  { kind: "nd", what: "killed", share: 0.125 },
] as const;

for (const { kind, what, share } of plan) {
  test(`random handlers, ${kind}, ${what}`, { tag: "@long" }, async ({ context, server, complaints }) => {
    const seeds = Array.from({ length: Math.ceil(count * share) }, (_, i) => seed + i);
    test.setTimeout(60_000 + seeds.length * (kills > 5 ? 20_000 : 4000));
    const total = { lives: 0, events: 0, told: 0 };
    for (let from = 0; from < seeds.length; from += part) {
      const page = await context.newPage();
      listen(page, complaints);
      await page.goto(server.origin);
      const report = await page.evaluate(
        async ([bundle, kind, what, seeds, most]) => {
          const { here, Killer, random, randomShape } = (await import(bundle)) as typeof Replay;
          const holdfast = await import("@holdfast-dev/holdfast");
          const killer = new Killer(await holdfast.open({ durability: "default", storage: what === "killed" ? "indexeddb" : "memory" }), holdfast);
          const judge = (seed: number): Promise<void> => {
            const next = random(seed);
            const shape = randomShape(`${kind} ${seed}`, next, kind, what.startsWith("retried"));
            if (what === "killed") return killer.judge(shape, here(next, most));
            if (what === "cancelled") return killer.cancels(shape, next);
            return what === "stopped" ? killer.stops(shape, next) : killer.retries(shape, next, what !== "retried");
          };
          await Promise.all(seeds.map(judge));
          return killer.report;
        },
        ["/bundle/replay.js", kind, what, seeds.slice(from, from + part), kills] as const,
      );
      expect(report.faults, `seed ${seed}`).toEqual([]);
      total.lives += report.lives;
      total.events += report.events;
      total.told += report.told;
      await page.close();
    }
    const verdict = { det: "0 wrong", foreign: `0 wrong, ${total.told} were told so`, nd: `none stuck or done twice, ${total.told} were told so` }[kind];
    console.log(`result: ${seeds.length} random handlers in Chromium, ${kind}, ${what}: ${total.lives} lives, ${total.events} events, ${verdict}; seed ${seed}`);
  });
}

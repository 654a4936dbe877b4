// Random handlers out of all shapes, which are killed and stopped at random. `make replay` draws many more.
import type * as Replay from "./pages/replay.js";
import { expect, test } from "./harness/holdfast.js";

const count = Number(process.env["REPLAY_COUNT"] ?? 60);
const seed = Number(process.env["REPLAY_SEED"] ?? Math.floor(Math.random() * 1_000_000));
/** How many crashes each handler gets. */
const kills = count > 60 ? 1000 : 5;
/** Handlers of one page. */
const part = 20;

/** How many of each kind, in each place. */
const plan = [
  { kind: "det", storage: "indexeddb", share: 0.5 },
  { kind: "det", storage: "memory", share: 0.2 },
  { kind: "foreign", storage: "indexeddb", share: 0.15 },
  { kind: "nd", storage: "indexeddb", share: 0.15 },
] as const;

for (const { kind, storage, share } of plan) {
  for (let from = 0; from < count * share; from += part) {
    test(`random handlers see after a crash what they had seen before it: ${kind}, ${storage}${from === 0 ? "" : `, from ${from}`}`, async ({ page, server }) => {
      test.setTimeout(60_000 + part * kills * 3000);
      const complaints: string[] = [];
      page.on("pageerror", (error) => complaints.push(String(error)));
      await page.goto(server.origin);
      const seeds = Array.from({ length: Math.min(part, count * share - from) }, (_, i) => seed + from + i);
      const report = await page.evaluate(
        async ([bundle, kind, storage, seeds, most]) => {
          const { here, Killer, random, randomShape } = (await import(bundle)) as typeof Replay;
          const holdfast = await import("@holdfast-dev/holdfast");
          const killer = new Killer(await holdfast.open({ durability: "default", storage }), holdfast);
          await Promise.all(
            seeds.map((seed) => {
              const next = random(seed);
              const shape = randomShape(`${kind} ${seed}`, next, kind);
              return storage === "memory" ? killer.stops(shape, next) : killer.judge(shape, here(next, most));
            }),
          );
          return killer.report;
        },
        ["/bundle/replay.js", kind, storage, seeds, kills] as const,
      );
      console.log(`result: random handlers: ${seeds.length} ${kind} in ${storage}, ${report.lives} lives, ${report.events} events, ${report.told} found out, ${report.faults.length} faults; seed ${seed + from}`);
      expect([...report.faults, ...complaints]).toEqual([]);
    });
  }
}

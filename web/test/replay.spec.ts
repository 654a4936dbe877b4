// What a handler does after a crash is what it had done before it, for every shape of a handler.
import type * as Replay from "./pages/replay.js";
import { random } from "./harness/random.js";
import { expect, test } from "./harness/holdfast.js";

const seed = Number(process.env["HANDLERS_SEED"] ?? 0) || Math.floor(Math.random() * 1_000_000);

for (const group of ["sequences", "failures", "parallel", "races", "nested", "scopes", "foreign", "effects", "waits", "streams", "changed"]) {
  test(`killed after every event, and once more: ${group}`, async ({ home }) => {
    const numbers = Array.from({ length: 4096 }, random(seed));
    const report = await home.evaluate(
      async ([bundle, group, numbers]) => {
        const { everywhere, groups, Killer } = (await import(bundle)) as typeof Replay;
        const holdfast = await import("@holdfast-dev/holdfast");
        const killer = new Killer(await holdfast.open({ durability: "default" }), holdfast);
        let n = 0;
        const kills = everywhere(() => numbers[n++ % numbers.length] ?? 0);
        await Promise.all((groups[group] ?? []).map(([before, after]) => killer.judge(before, kills, after)));
        return killer.report;
      },
      ["/bundle/replay.js", group, numbers] as const,
    );
    console.log(`result: ${group}: ${report.lives} lives, ${report.events} events, ${report.faults.length} faults; seed ${seed}`);
    expect(report.faults).toEqual([]);
  });
}

// Tabs and workers that append, read and delete against each other at random. What they saw is checked for being linearizable by
// .tools/history. `make history` makes many more histories.
import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as after } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type Order, Witness } from "./harness/history.js";
import { random } from "./harness/random.js";
import { openPlace, openPlaces } from "./harness/place.js";
import { expect, test } from "./harness/test.js";

const tools = fileURLToPath(new URL("../../.tools", import.meta.url));
/** Half of them on each backend, in tests of so many: Playwright keeps each call of a test, and gets slower with their number. */
const total = Number(process.env["HISTORY_COUNT"] ?? 4);
const count = Math.min(25, Math.ceil(total / 2));
const seed = Number(process.env["HISTORY_SEED"] ?? Math.floor(Math.random() * 1_000_000));
const places = { least: 4, most: 8 };
const calls = 24; // of each place

/** What a place is to do, as the seed determines it. */
function orders(number: () => number, client: number, streams: readonly string[]): Order[] {
  return Array.from({ length: calls }, (_, n): Order => {
    const stream = streams[Math.floor(number() * streams.length)] ?? "";
    const kind = number();
    if (kind < 0.5) {
      const size = number() < 0.75 ? 1 : 3;
      return { stream, op: "append", events: Array.from({ length: size }, (_, i) => `${client}#${n}.${i}`) };
    }
    if (kind < 0.66) return { stream, op: "refresh" };
    if (kind < 0.72) return { stream, op: "recover" };
    if (kind < 0.87) return { stream, op: "events" };
    if (kind < 0.96) return { stream, op: "heads", prefix: stream.replace(/[^/]*$/, ""), streams };
    return { stream, op: "delete" };
  });
}

for (let part = 0; 2 * count * part < total; part++) {
  test(`histories of tabs and workers are linearizable${part === 0 ? "" : `, part ${part}`}`, { tag: ["@chromium", "@long"] }, async ({ backend, context, profile, server }) => {
    test.setTimeout(120_000 + count * 10_000);
    const number = random(seed + part);
    const all = await openPlaces(context, server, places.most, "home");
    const file = join(profile, "history.jsonl");
    for (let history = 0; history < count; history++) {
      const streams = ["a", "b", "c"].slice(0, 1 + Math.floor(number() * 3)).map((name) => `${history}/${name}`);
      const first = Math.floor(number() * places.most);
      const size = places.least + Math.floor(number() * (places.most - places.least + 1));
      const present = Array.from({ length: size }, (_, i) => (first + i) % places.most);
      // In every other history one place comes to an early end, at or in the middle of a call.
      const doom = history % 2 === 0 ? undefined : { client: Math.floor(number() * size), call: Math.floor(number() * calls), delay: number() * 4 };
      const witnesses = await Promise.all(
        present.map(async (index, client) => {
          const place = all[index];
          if (place === undefined) throw new Error("no such place");
          const witness = new Witness(history, client, place.tab);
          for (const [n, order] of orders(random(Math.floor(number() * 2 ** 31)), client, streams).entries()) {
            if (client !== doom?.client || n !== doom.call) {
              if (await witness.order(order)) await witness.order({ stream: order.stream, op: "refresh" });
              continue;
            }
            const calling = witness.order(order, true);
            await after(doom.delay);
            await place.end();
            await calling;
            all[index] = await openPlace(context, server, index % 2 === 0 ? "tab" : "worker", "home");
            break;
          }
          return witness;
        }),
      );
      // Whatever was appended shows in the end.
      const last = new Witness(history, size, (all[first] ?? (await openPlace(context, server, "tab", "home"))).tab);
      for (const stream of streams) await last.order({ stream, op: "events" });
      const lines = [...witnesses, last].flatMap((witness) => witness.lines());
      await writeFile(file, lines.map((line) => `${line}\n`).join(""), { flag: "a" });
    }
    const { stdout, stderr } = await promisify(execFile)("go", ["run", "./history", file], { cwd: tools, maxBuffer: 2 ** 26 }).catch((failure: { stdout?: string; stderr?: string }) => failure);
    console.log(`result: history: ${stdout?.trim()}; ${backend}, seed ${seed + part}`);
    expect(stdout, stderr).toContain(`${count} histories, ${count} ok`);
  });
}

// In which order outcomes are delivered, whenever two steps are called, stored and reported.
import type * as Module from "../dist/delivery.js";
import { expect, test } from "./harness/test.js";

/** What happens to two steps that are open in the log when an attempt begins, and to the function of a third one. */
type Event = `${"a" | "b"} is ${"called" | "stored" | "reported"}` | "c begins again";

/** An outcome is reported after its call, and once it is stored; that of a is the first in the log. */
const inOrder: readonly (readonly [Event, Event])[] = [
  ["a is stored", "b is stored"],
  ["a is called", "a is reported"],
  ["a is stored", "a is reported"],
  ["b is called", "b is reported"],
  ["b is stored", "b is reported"],
];

function arrangements<T>(items: readonly T[]): T[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((first) => arrangements(items.filter((one) => one !== first)).map((rest) => [first, ...rest]));
}

const possible = arrangements([...new Set(inOrder.flat()), "c begins again" as const]).filter((events) =>
  inOrder.every(([first, then]) => events.indexOf(first) < events.indexOf(then)),
);

test("outcomes come in the order of the log, whenever they are called, stored and reported", async ({ page, server }) => {
  await page.goto(`${server.origin}/unbundled`);
  const delivered = await page.evaluate(
    async ([path, possible]) => {
      const tasks: (() => void)[] = [];
      /** One whose messages are tasks that run when this says so. */
      globalThis.MessageChannel = class {
        readonly port1 = { onmessage: (): void => undefined, close: (): void => undefined };
        readonly port2 = { postMessage: (): void => void tasks.push(() => this.port1.onmessage()) };
      } as unknown as typeof MessageChannel;
      const { Delivery, Run } = (await import(path)) as typeof Module;
      return possible.map((events) => {
        const orders = new Map<string, number>();
        const delivery = new Delivery(() => ["a", "b"].map((path) => ({ path, scope: "", after: 0, unordered: false, order: orders.get(path) })));
        const run = new Run(0, "");
        const calls = new Map<string, Module.Waiting>();
        const delivered: string[] = [];
        for (const event of events) {
          const [step = "", , what] = event.split(" ");
          const call = calls.get(step);
          if (what === "again") delivery.replay("c/");
          else if (what === "stored") orders.set(step, orders.size);
          else if (call !== undefined) delivery.take(call, orders.get(step) ?? -1, () => delivered.push(step));
          else {
            const called = delivery.call(run, "", true);
            calls.set(step, called);
            delivery.identify(called, step);
          }
          for (let task = tasks.shift(); task !== undefined; task = tasks.shift()) task();
        }
        delivery.end();
        return delivered.join();
      });
    },
    ["/dist/delivery.js", possible] as const,
  );
  expect(delivered.length).toBeGreaterThan(0);
  expect(possible.filter((_, i) => delivered[i] !== "a,b")).toEqual([]);
});

// What a handler does after a crash is what it had done before it, for every shape of a handler.
import type { Page } from "@playwright/test";
import type * as Replay from "./pages/replay.js";
import { random } from "./harness/random.js";
import { expect, test } from "./harness/holdfast.js";

const seed = Number(process.env["HANDLERS_SEED"] ?? 0) || Math.floor(Math.random() * 1_000_000);

for (const group of ["sequences", "failures", "parallel", "races", "nested", "scopes", "foreign", "effects", "waits", "streams", "changed"]) {
  test(`killed after every event, and once more: ${group}`, { tag: ["sequences", "parallel", "nested"].includes(group) ? [] : ["@slow"] }, async ({ home }) => {
    const numbers = Array.from({ length: 4096 }, random(seed));
    const report = await home.evaluate(
      async ([bundle, group, numbers]) => {
        const { everywhere, groups, Killer } = (await import(bundle)) as typeof Replay;
        const holdfast = await import("@holdfast-dev/holdfast");
        const store = await holdfast.open({ durability: "default" });
        const killer = new Killer(store, holdfast);
        let n = 0;
        const kills = everywhere(() => numbers[n++ % numbers.length] ?? 0);
        await Promise.all((groups[group] ?? []).map(([before, after]) => killer.judge(before, kills, after)));
        await store.close();
        const { held = [], pending = [] } = await navigator.locks.query();
        return { ...killer.report, locks: [...held, ...pending].map(({ name }) => name) };
      },
      ["/bundle/replay.js", group, numbers] as const,
    );
    console.log(`killed: ${group}: ${report.lives} lives, ${report.events} events; seed ${seed}`);
    expect(report.lives).toBeGreaterThan(0);
    expect(report.faults).toEqual([]);
    expect(report.locks).toEqual([]);
  });
}

test("pages that crash at random: what handlers had seen is the beginning of what they see in the next page", { tag: ["@chromium", "@slow"] }, async ({ context, server }) => {
  const number = random(seed);
  const lives: Map<string, string[]>[] = [];
  /** Lets all shapes work in a page of its own, writes down what each sees, and stops the page dead after so many. */
  const work = async (seen: Map<string, string[]>, moment = Infinity): Promise<{ page: Page; working: Promise<unknown>; reached: Promise<void> }> => {
    const page = await context.newPage();
    let left = moment;
    let reach = (): void => undefined;
    const reached = new Promise<void>((resolve) => (reach = resolve));
    await page.exposeFunction("see", (name: string, what: string) => {
      seen.set(name, [...(seen.get(name) ?? []), what]);
      if (--left === 0) reach();
    });
    await page.goto(server.origin);
    const working = page.evaluate(
      async ([bundle, life, moment]) => {
        const { groups, id, live, World } = (await import(bundle)) as typeof Replay;
        let left = moment;
        const holdfast = await import("@holdfast-dev/holdfast");
        const store = await holdfast.open();
        const shapes = ["sequences", "failures", "parallel", "races", "nested", "scopes"].flatMap((group) => (groups[group] ?? []).map(([shape]) => shape));
        const one = async (shape: (typeof shapes)[number]): Promise<string[]> => {
          const conversation = await store.recover(shape.name);
          await conversation.send({ id });
          const world = new World(holdfast, life);
          world.onSee = (what) => {
            void (globalThis as unknown as { see: (name: string, what: string) => Promise<void> }).see(shape.name, what);
            if (--left === 0) for (;;); // until it is crashed
          };
          const { end } = await live(conversation, shape, world);
          return [...world.faults, ...(shape.ends.some((wanted) => (typeof wanted === "string" ? wanted === end : wanted.test(end))) ? [] : [`it ends with ${end}`])].map((fault) => `${shape.name}: ${fault}`);
        };
        // Of those that are retried the handler begins again.
        return (await Promise.all(shapes.filter(({ retry }) => retry === undefined).map(one))).flat();
      },
      ["/bundle/replay.js", lives.length, moment] as const,
    );
    return { page, working, reached };
  };
  for (; lives.length < 4; ) {
    const seen = new Map<string, string[]>();
    const { page, working, reached } = await work(seen, 10 + Math.floor(number() * 50));
    lives.push(seen);
    const crashed = page.waitForEvent("crash");
    const session = await context.newCDPSession(page);
    await Promise.race([reached, working]);
    session.send("Page.crash").catch(() => undefined); // nobody is there to answer
    await crashed;
    await working.catch(() => undefined);
    await page.close();
  }
  const last = new Map<string, string[]>();
  const { working } = await work(last);
  expect(await working).toEqual([]);
  lives.push(last);
  let compared = 0;
  for (const [i, life] of lives.entries()) {
    for (const [name, seen] of life) {
      for (const later of lives.slice(i + 1).map((next) => next.get(name) ?? [])) {
        const common = Math.min(seen.length, later.length);
        expect(later.slice(0, common), name).toEqual(seen.slice(0, common));
        compared += common;
      }
    }
  }
  expect(compared).toBeGreaterThan(0);
  console.log(`killed: ${lives.length - 1} crashes of a page, ${compared} calls and outcomes seen again; seed ${seed}`);
});

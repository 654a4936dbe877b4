// Tabs that crash or are closed at random moments while others go on appending. `make crash` runs many rounds of it.
import { setTimeout as after } from "node:timers/promises";
import type { Page } from "@playwright/test";
import { Book, compare, hire, lend, write } from "./harness/killing.js";
import { random } from "./harness/random.js";
import { attach } from "./harness/tab.js";
import { expect, test } from "./harness/test.js";

const rounds = Number(process.env["CRASH_TABS"] ?? 2);
const seed = Number(process.env["CRASH_SEED"] ?? Math.floor(Math.random() * 1_000_000));
const roundDeadline = 30_000;
const roundsOfABook = 10;

/** A writer whose append waits behind that of a crashed tab goes on long before its call gives up. */
const acksBehind = 60;
const goesOnWithin = 10_000;

/** The ways in which a tab ends. Nobody answers the call that ends it. */
const ends: Readonly<Record<string, (page: Page) => Promise<unknown>>> = {
  crash: async (page) => (await page.context().newCDPSession(page)).send("Page.crash"),
  "closed by the browser": async (page) => {
    const session = await page.context().newCDPSession(page);
    const { targetInfo } = await session.send("Target.getTargetInfo");
    return await session.send("Target.closeTarget", { targetId: targetInfo.targetId });
  },
  "closed by its user": (page) => page.close(),
  "left for another page": (page) => page.goto("about:blank"),
};

test("a tab that ends amid its appends leaves none in part, and the others go on", { tag: ["@launch", "@long"] }, async ({ backend, launch, server }) => {
  test.setTimeout((rounds + 2) * roundDeadline);
  const number = random(seed);
  const ways = Object.values(ends);
  const first = Math.floor(number() * ways.length);
  const names = (round: number): string[] => [0, 1].map((i) => `chat ${i} of book ${Math.floor(round / roundsOfABook)}`);
  const book = new Book(names(0));
  const running = await launch();
  const open = async (): Promise<Page> => {
    const page = await running.newPage();
    await lend(book, page);
    await page.goto(server.origin);
    return page;
  };
  const reader = await attach(await open(), "chat");
  let slowest = 0;
  try {
    for (let round = 0; round < rounds; round++) {
      if (round % roundsOfABook === 0) book.turn(names(round));
      const [dying, living] = [await open(), await open()];
      const others = [await attach(living, "chat"), await hire(living, server, "chat", {})];
      const writers = [await attach(dying, "chat"), await hire(dying, server, "chat", {}), ...others];
      let ending = false;
      let over = false;
      const all = writers.map((tab, i) =>
        write(tab, `round ${round} writer ${i}`, book.conversations, i % 2 ? 20 : 1).catch((error: unknown) => {
          if (!(i < 2 ? ending : over)) throw error; // the first two end with their tab
        }),
      );
      const writing = Promise.all(all);
      await Promise.race([book.reach(20 + Math.floor(number() * 200)), writing]);
      await after(number() * 10);
      const end = ways[(first + round) % ways.length];
      ending = true;
      const since = performance.now();
      end?.(dying).catch(() => undefined);
      await all[0]; // it has ended
      await Promise.race([book.reach(acksBehind), writing]);
      slowest = Math.max(slowest, performance.now() - since);
      over = true;
      await living.close();
      await dying.close();
      await writing;
      await compare(book, reader);
    }
  } finally {
    const results = Object.entries(book.counts).map(([name, count]) => `${count} ${name}`);
    console.log(
      `result: tabs: ${rounds} ends in ${Math.min(rounds, ways.length)} ways, Chromium ${running.browser.version()}, ${results.join(", ")}; ` +
        `${acksBehind} more acknowledgements took the others ${Math.round(slowest)} ms at most; ${backend}, durability strict, seed ${seed}`,
    );
  }
  const { acks, ...faults } = book.counts;
  expect(faults).toEqual({ lost: 0, gaps: 0, altered: 0, surplus: 0, partial: 0 });
  expect(acks).toBeGreaterThan(20 * rounds);
  expect(slowest).toBeLessThan(goesOnWithin);
});

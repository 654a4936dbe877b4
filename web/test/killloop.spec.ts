// SIGKILL at random moments while two tabs append to three conversations. `make crash` runs many rounds of it.
import { setTimeout as after } from "node:timers/promises";
import type { Durability } from "@holdfast-dev/holdfast";
import { Book, lend, random, write } from "./harness/killing.js";
import { mend } from "./harness/leveldb.js";
import { attach, recover, type Tab } from "./harness/tab.js";
import { expect, test } from "./harness/test.js";

const rounds = Number(process.env["CRASH_ROUNDS"] ?? 3);
const seed = Number(process.env["CRASH_SEED"] ?? Math.floor(Math.random() * 1_000_000));
const durability = (process.env["CRASH_DURABILITY"] ?? "strict") as Durability;
const roundDeadline = 20_000;

/** Compares the logs with the book. */
async function check(book: Book, tab: Tab): Promise<void> {
  for (const id of book.conversations) {
    const log = recover(tab, id).then((chat) => chat.evaluate(({ conversation }) => conversation.events({ limit: 1_000_000 })));
    book.check(id, await log.catch((error: unknown) => String(error)));
  }
}

test("an acknowledged append outlives SIGKILL at any moment", async ({ backend, launch, profile, server }) => {
  test.setTimeout((rounds + 2) * roundDeadline);
  const book = new Book(["chat 0", "chat 1", "chat 2"]);
  const number = random(seed);
  let torn = 0;
  try {
    for (let round = 0; round <= rounds; round++) {
      const running = await launch();
      const pages = [await running.newPage(), await running.newPage()];
      const tabs = await Promise.all(
        pages.map(async (page) => {
          await lend(book, page);
          await page.goto(server.origin);
          return await attach(page, "chat 0", { durability });
        }),
      );
      const [first] = tabs;
      if (first === undefined) throw new Error("no tab");
      await check(book, first);
      if (round === rounds) {
        await running.close();
        break;
      }
      let killed = false;
      const writing = Promise.all(tabs.map((tab, i) => write(tab, `round ${round} tab ${i}`, book.conversations))).catch((error: unknown) => {
        if (!killed) throw error;
      });
      // Every other kill comes with the news of an acknowledgement, which then must have been true; the rest at random.
      await Promise.race([book.reach(10 + Math.floor(number() * 60)), writing]);
      if (round % 2 === 1) await after(number() * 20);
      killed = true;
      await running.kill();
      await writing;
      if (mend(profile)) torn++;
    }
  } finally {
    const { acks, ...faults } = book.counts;
    const counts = { acks, ...faults, "torn by LevelDB": torn };
    const results = Object.entries(counts).map(([name, count]) => `${count} ${name}`);
    console.log(`crash: ${rounds} rounds, ${results.join(", ")}; ${backend}, durability ${durability}, seed ${seed}`);
  }
  const { acks, ...faults } = book.counts;
  expect(faults).toEqual({ lost: 0, gaps: 0, altered: 0, surplus: 0 });
  expect(acks).toBeGreaterThan(0);
});

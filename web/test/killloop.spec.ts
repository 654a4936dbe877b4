// SIGKILL at random moments while two tabs and a worker append, each to a conversation of its own and to two that they share.
// `make crash` runs many rounds of it.
import { setTimeout as after } from "node:timers/promises";
import type { Durability } from "@holdfast-dev/holdfast";
import { Book, compare, hire, lend, write } from "./harness/killing.js";
import { mend } from "./harness/leveldb.js";
import { random } from "./harness/random.js";
import { attach } from "./harness/tab.js";
import { expect, test } from "./harness/test.js";

const rounds = Number(process.env["CRASH_ROUNDS"] ?? 2);
const seed = Number(process.env["CRASH_SEED"] ?? Math.floor(Math.random() * 1_000_000));
const durability = (process.env["CRASH_DURABILITY"] ?? "strict") as Durability;
const roundDeadline = 30_000;

/** Then there are new conversations, so that reading them back does not take longer and longer. */
const roundsOfABook = 10;
/** How many events each of the writers appends at once. */
const sizes = [1, 20, 50];
const shared = ["one chat", "another chat"];
const own = (size: number): string => `chat of the writer of ${size}`;

test("an acknowledged append outlives SIGKILL at any moment, and an append is there wholly or not at all", { tag: ["@launch", "@long"] }, async ({ backend, launch, profile, server }) => {
  test.setTimeout((rounds + 2) * roundDeadline);
  const names = (round: number, writers = sizes): string[] => [...shared, ...writers.map(own)].map((chat) => `${chat} of book ${Math.floor(round / roundsOfABook)}`);
  const book = new Book(names(0));
  const number = random(seed);
  let torn = 0;
  let version = "";
  try {
    for (let round = 0; round <= rounds; round++) {
      const running = await launch();
      version = running.browser.version();
      const pages = [await running.newPage(), await running.newPage()] as const;
      for (const page of pages) {
        await lend(book, page);
        await page.goto(server.origin);
      }
      const tab = await attach(pages[0], "chat", { durability });
      await compare(book, tab);
      if (round === rounds) {
        await running.close();
        break;
      }
      if (round % roundsOfABook === 0) book.turn(names(round));
      const tabs = [tab, await attach(pages[1], "chat", { durability }), await hire(pages[1], server, "chat", { durability })];
      let killed = false;
      const writing = Promise.all(sizes.map((size, i) => write(tabs[i] ?? tab, `round ${round} writer ${i}`, names(round, [size]), size))).catch((error: unknown) => {
        if (!killed) throw error;
      });
      // Every other kill comes with the news of an acknowledgement, which then must have been true; the rest at random.
      await Promise.race([book.reach(100 + Math.floor(number() * 700)), writing]);
      if (round % 2 === 1) await after(number() * 20);
      killed = true;
      await running.kill();
      await writing;
      if (mend(profile)) torn++;
    }
  } finally {
    const counts = { ...book.counts, "torn by LevelDB": torn };
    const results = Object.entries(counts).map(([name, count]) => `${count} ${name}`);
    console.log(`result: kills: ${rounds} of Chromium ${version}, ${results.join(", ")}; ${backend}, durability ${durability}, seed ${seed}`);
  }
  const { acks, ...faults } = book.counts;
  expect(faults).toEqual({ lost: 0, gaps: 0, altered: 0, surplus: 0, partial: 0 });
  expect(acks).toBeGreaterThan(100 * rounds - 1);
});

// Tabs and workers that append to one conversation as fast as they can. `make history` has more of them do so for longer.
import { openPlaces } from "./harness/place.js";
import { attach, log } from "./harness/tab.js";
import { expect, test } from "./harness/test.js";

const writers = Number(process.env["CROWD_TABS"] ?? 4);
const appends = Number(process.env["CROWD_APPENDS"] ?? 100);
/** How many events a writer appends at once. Of appends that end in different places IndexedDB itself refuses none: only the head tells. */
const size = (writer: number): number => 1 + (writer % 3);

test(`${writers} tabs and workers get ${appends} appends each into one log`, { tag: ["@chromium", "@long"] }, async ({ backend, context, page, server }) => {
  test.setTimeout(60_000 + writers * appends * 200);
  const places = await openPlaces(context, server, writers, "chat");
  const results = await Promise.all(
    places.map(({ tab }, i) =>
      tab.evaluate(
        async ({ conversation, Conflict }, [writer, size, count]) => {
          const sequences: number[] = [];
          let conflicts = 0;
          while (sequences.length < size * count) {
            try {
              sequences.push(...(await Promise.all(Array.from({ length: size }, (_, n) => conversation.recordStepCompleted(writer, sequences.length + n)))));
            } catch (error) {
              if (!(error instanceof Conflict)) throw error;
              conflicts++;
              await conversation.refresh();
            }
          }
          return { sequences, conflicts };
        },
        [`writer ${i}`, size(i), appends] as const,
      ),
    ),
  );
  const conflicts = results.reduce((sum, result) => sum + result.conflicts, 0);
  console.log(`result: race: ${writers} tabs and workers, ${appends} appends each, ${conflicts} conflicts; ${backend}`);
  expect(conflicts, "they did race").toBeGreaterThan(0);

  await page.goto(server.origin);
  const events = await log(await attach(page, "chat"));
  const found = events.map((event) => (event.kind === "step_completed" ? `${event.messageId} ${event.step}` : event.kind));
  const acknowledged: string[] = [];
  for (const [i, { sequences }] of results.entries()) for (const [step, sequence] of sequences.entries()) acknowledged[sequence] = `writer ${i} ${step}`;
  expect(found, "each event is where it was acknowledged, and there is no other").toEqual(acknowledged);
  expect(found.length).toBe(results.reduce((sum, _, i) => sum + size(i) * appends, 0));
});

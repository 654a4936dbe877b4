// Tabs and workers that append to one conversation as fast as they can. `make history` has more of them do so for longer.
import { openPlaces } from "./harness/place.js";
import { attach, log } from "./harness/tab.js";
import { expect, test } from "./harness/test.js";

const writers = Number(process.env["CROWD_TABS"] ?? 4);
const appends = Number(process.env["CROWD_APPENDS"] ?? 250);

test(`${writers} tabs and workers get ${appends} appends each into one log`, { tag: "@chromium" }, async ({ backend, context, page, server }) => {
  test.setTimeout(60_000 + writers * appends * 200);
  const places = await openPlaces(context, server, writers, "chat");
  const results = await Promise.all(
    places.map(({ tab }, i) =>
      tab.evaluate(
        async ({ conversation, Conflict }, [writer, count]) => {
          const sequences: number[] = [];
          let conflicts = 0;
          while (sequences.length < count) {
            try {
              sequences.push(await conversation.recordStepCompleted(writer, sequences.length));
            } catch (error) {
              if (!(error instanceof Conflict)) throw error;
              conflicts++;
              await conversation.refresh();
            }
          }
          return { sequences, conflicts };
        },
        [`writer ${i}`, appends] as const,
      ),
    ),
  );
  const conflicts = results.reduce((sum, result) => sum + result.conflicts, 0);
  console.log(`race: ${writers} tabs and workers, ${appends} appends each, ${conflicts} conflicts; ${backend}`);
  expect(conflicts, "they did race").toBeGreaterThan(0);

  await page.goto(server.origin);
  const events = await log(await attach(page, "chat"));
  const found = events.map((event) => (event.kind === "step_completed" ? `${event.messageId} ${event.step}` : event.kind));
  const acknowledged: string[] = [];
  for (const [i, { sequences }] of results.entries()) for (const [step, sequence] of sequences.entries()) acknowledged[sequence] = `writer ${i} ${step}`;
  expect(found, "each event is where it was acknowledged, and there is no other").toEqual(acknowledged);
  expect(found.length).toBe(writers * appends);
});

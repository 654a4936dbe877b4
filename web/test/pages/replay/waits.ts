// Waits for people and for a time.
import type { Storable } from "@holdfast-dev/holdfast";
import { result, type Shape } from "./shape.js";
import { pause } from "./world.js";

/** People who answer each prompt after a while, and then once more: the first answer counts. */
const answering = (ms: (prompt: unknown) => number): Pick<Shape, "people"> => ({
  people: (conversation, { id, openSteps }, act, world) => {
    for (const { index, waiting } of openSteps) {
      if (waiting?.for !== "answer") continue;
      act(`answer ${index}`, async () => {
        await pause(ms(waiting.prompt));
        const counts = await conversation.answer(id, index, { yes: waiting.prompt as Storable });
        world.expect(counts || conversation.state.message(id)?.status !== "waiting", "a first answer does not count");
        world.expect(!(await conversation.answer(id, index, "too late")), "a second answer counts");
      });
    }
  },
});

export const waits: readonly Shape[] = [
  // The program hears of the answer, and of the outcome that comes after it, in another order.
  ...[1, 2, 3].map(
    (count): Shape => ({
      name: `${count} answers just before the outcome of a step`,
      handler: async (step, world, { message: { id } }) => {
        const work = step("work", async () => {
          const open = (): readonly number[] => world.conversation?.state.message(id)?.openSteps.map(({ index }) => index) ?? [];
          while (world.life === 0 && open().length < count) await pause(1);
          for (const index of open()) void world.conversation?.answer(id, index, index);
          return "work";
        });
        const winners: unknown[] = [];
        const asked = Array.from({ length: count }, (_, i) => step.wait("allow", { key: `${i}` }).then(() => winners.push(i)));
        await Promise.all([work.then(() => winners.push("work")), ...asked.toReversed()]);
        return [winners.length, await step(`use ${winners.join()}`, world.does("use"))];
      },
      ends: [result([count + 1, "use"])],
      varies: true,
      ...answering(() => 200),
    }),
  ),
  // After a second it is parked.
  ...[0, 30, 1300].map(
    (ms): Shape => ({
      name: `a question that is answered after ${ms} ms`,
      handler: async (step, world) => [await step("plan", world.does("plan")), await step.wait("allow", { prompt: "read?" }), await step("read", world.does("read"))],
      ends: [result(["plan", { yes: "read?" }, "read"])],
      ...answering(() => ms),
    }),
  ),
  {
    name: "a question that nobody answers",
    handler: async (step, world) => [await step.wait("allow", { prompt: "read?", timeout: 60 }).catch(String), await step("end", world.does("end"))],
    ends: [result(["TimeoutError: nobody has answered allow in time", "end"])],
  },
  {
    name: "a question in a race with a sleep",
    handler: async (step, world) => {
      const winner = await Promise.race([step.wait<object>("allow", { prompt: "read?" }), step.sleep("patience", 40).then(() => "nobody")]);
      return [winner, await step("end", world.does("end"))];
    },
    ends: [result([{ yes: "read?" }, "end"]), result(["nobody", "end"])],
    varies: true,
    ...answering(() => 35),
  },
  {
    name: "questions at the same time, answered in another order",
    handler: async (step, world) => {
      const answers = await Promise.all([30, 10, 20].map(async (ms) => [await step.wait("ask", { prompt: ms, key: `${ms}` }), await step("use", world.does(`use ${ms}`), { key: `${ms}` })]));
      return [...answers, await step.wait("ask", { prompt: 5 })];
    },
    ends: [result([...[30, 10, 20].map((ms) => [{ yes: ms }, `use ${ms}`]), { yes: 5 }])],
    ...answering(Number),
  },
  {
    name: "a question within a step",
    handler: (step, world) => step("agent", async ({ step: inner }) => [await inner("plan", world.does("plan")), await inner.wait("allow", { prompt: 1 }), (await inner.sleep("rest", 5)) ?? "rested"]),
    ends: [result(["plan", { yes: 1 }, "rested"])],
    ...answering(() => 10),
  },
  ...[25, 1200].map(
    (ms): Shape => ({
      name: `a sleep of ${ms} ms`,
      handler: async (step, world) => {
        const begun = await step("begin", () => Date.now());
        await step.sleep("rest", ms);
        world.expect(Date.now() - begun >= ms - 1, `it has slept ${Date.now() - begun} ms`);
        return step("end", world.does("end"));
      },
      ends: [result("end")],
    }),
  ),
  {
    name: "a wait that is long between two attempts",
    handler: (step, world) => step("flaky", world.does("flaky", { fails: 1 }), { maxAttempts: 9, backoff: { initial: 2500, max: 2500 } }),
    ends: [result("flaky")],
    varies: true,
  },
];

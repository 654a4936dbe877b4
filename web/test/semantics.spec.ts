// What a delivery is answered with, what each event does to the state, and that a refused append does nothing.
import type { Conversation, Decision, HoldfastError } from "@holdfast-dev/holdfast";
import { expect, onEachStore, type PlainMessage, test } from "./harness/holdfast.js";

const maxStep = 2 ** 32 - 1;

/** A log of one message, and what follows from it. It runs in the page, so it can use nothing from here. */
interface History {
  readonly name: string;
  readonly log: (conversation: Conversation) => unknown;
  readonly decision: Decision | "out_of_range";
  /** The message as the state has it before the delivery; undefined if it was not received. */
  readonly message?: Partial<PlainMessage>;
  readonly inProgress?: boolean;
  readonly lastCompletedStep?: number;
}

const histories: readonly History[] = [
  { name: "never seen", log: () => undefined, decision: { kind: "start" } },
  {
    name: "received",
    log: (c) => c.recordMessageReceived({ id: "m", body: "hello", receivedAt: 5 }),
    decision: { kind: "resume", step: 0 },
    message: { status: "received", receivedAt: 5, body: "hello", error: undefined, steps: [] },
  },
  {
    name: "received twice: the first counts",
    log: (c) =>
      Promise.all([
        c.recordMessageReceived({ id: "m", body: 1, receivedAt: 1 }),
        c.recordMessageReceived({ id: "m", body: 2, receivedAt: 2 }),
      ]),
    decision: { kind: "resume", step: 0 },
    message: { status: "received", receivedAt: 1, body: 1 },
  },
  {
    name: "started",
    log: (c) => Promise.all([c.receiveMessage({ id: "m" }), c.recordProcessingStarted("m")]),
    decision: { kind: "resume", step: 0 },
    message: { status: "processing" },
    inProgress: true,
  },
  {
    name: "one step completed",
    log: (c) => Promise.all([c.receiveMessage({ id: "m" }), c.recordProcessingStarted("m"), c.recordStepCompleted("m", 0, "a")]),
    decision: { kind: "resume", step: 1 },
    message: { status: "processing", steps: [{ index: 0, output: "a" }] },
    inProgress: true,
    lastCompletedStep: 0,
  },
  {
    name: "steps 0 then 2: nobody checks, and the last one is 2",
    log: (c) => Promise.all([c.receiveMessage({ id: "m" }), c.recordStepCompleted("m", 0, "a"), c.recordStepCompleted("m", 2, "c")]),
    decision: { kind: "resume", step: 3 },
    message: { status: "received", steps: [{ index: 0, output: "a" }, { index: 2, output: "c" }] },
    lastCompletedStep: 2,
  },
  {
    name: "step 2 before step 1, and again: ordered by index, and its last output counts",
    log: (c) =>
      Promise.all([
        c.receiveMessage({ id: "m" }),
        c.recordStepCompleted("m", 2, "old"),
        c.recordStepCompleted("m", 1, "b"),
        c.recordStepCompleted("m", 2, "new"),
      ]),
    decision: { kind: "resume", step: 3 },
    message: { steps: [{ index: 1, output: "b" }, { index: 2, output: "new" }] },
    lastCompletedStep: 2,
  },
  {
    name: "failed",
    log: (c) => Promise.all([c.receiveMessage({ id: "m" }), c.recordProcessingStarted("m"), c.recordError("m", "no luck")]),
    decision: { kind: "resume", step: 0 },
    message: { status: "failed", error: "no luck" },
  },
  {
    name: "failed after a step, and started again: the error stays",
    log: (c) =>
      Promise.all([
        c.receiveMessage({ id: "m" }),
        c.recordStepCompleted("m", 0),
        c.recordError("m", "no luck"),
        c.recordError("m", "no luck again"),
        c.recordProcessingStarted("m"),
      ]),
    decision: { kind: "resume", step: 1 },
    message: { status: "processing", error: "no luck again", steps: [{ index: 0, output: undefined }] },
    inProgress: true,
    lastCompletedStep: 0,
  },
  {
    name: "finished",
    log: (c) => Promise.all([c.receiveMessage({ id: "m" }), c.recordProcessingStarted("m"), c.recordProcessingFinished("m")]),
    decision: { kind: "skip" },
    message: { status: "finished" },
  },
  {
    name: "finished after an error, which stays",
    log: (c) => Promise.all([c.receiveMessage({ id: "m" }), c.recordError("m", ""), c.recordProcessingFinished("m")]),
    decision: { kind: "skip" },
    message: { status: "finished", error: "" },
  },
  {
    name: "failed and started after it was finished: it stays finished",
    log: (c) =>
      Promise.all([
        c.receiveMessage({ id: "m" }),
        c.recordProcessingFinished("m"),
        c.recordError("m", "late"),
        c.recordProcessingStarted("m"),
      ]),
    decision: { kind: "skip" },
    message: { status: "finished", error: "late" },
    inProgress: true,
  },
  {
    name: "finished before it was received or started",
    log: (c) => Promise.all([c.recordProcessingFinished("m"), c.recordProcessingStarted("m")]),
    decision: { kind: "skip" },
    inProgress: true,
  },
  {
    name: "steps and an error, but never received",
    log: (c) => Promise.all([c.recordStepCompleted("m", 4), c.recordError("m", "lost")]),
    decision: { kind: "start" },
    lastCompletedStep: 4,
  },
  {
    name: "the last step but one",
    log: (c) => Promise.all([c.receiveMessage({ id: "m" }), c.recordStepCompleted("m", 2 ** 32 - 2)]),
    decision: { kind: "resume", step: maxStep },
    message: { status: "received" },
    lastCompletedStep: maxStep - 1,
  },
  {
    name: "the last step there can be",
    log: (c) => Promise.all([c.receiveMessage({ id: "m" }), c.recordStepCompleted("m", 2 ** 32 - 1)]),
    decision: "out_of_range",
    message: { status: "received" },
    lastCompletedStep: maxStep,
  },
];

onEachStore(() => {
  test("what a log makes of a delivery", async ({ holdfast }) => {
    for (const history of histories) {
      const { name, decision, message, inProgress = false, lastCompletedStep } = history;
      const live = await holdfast.evaluateHandle((holdfast, id) => holdfast.create(id), name);
      // Another message around it must make no difference.
      await live.evaluate((c) => c.recordMessageReceived({ id: "other" }));
      await live.evaluate(history.log);
      await live.evaluate((c) => c.recordProcessingStarted("other"));
      const replayed = await holdfast.evaluateHandle((holdfast, id) => holdfast.recover(id), name);

      for (const conversation of [live, replayed]) {
        const known = await conversation.evaluate(({ state }) => ({
          message: told.messages(state).find(({ id }) => id === "m"),
          sameMessage: state.message("m") === state.messages.find(({ id }) => id === "m"),
          sameSteps: state.message("m")?.steps.every((step) => state.completedStep("m", step.index) === step) ?? true,
          isReceived: state.isReceived("m"),
          isInProgress: state.isInProgress("m"),
          isFullyProcessed: state.isFullyProcessed("m"),
          lastCompletedStep: state.lastCompletedStep("m"),
          sameError: state.error("m") === state.message("m")?.error,
        }));
        expect.soft(known, name).toMatchObject({
          ...(message === undefined ? undefined : { message, sameError: true }),
          sameMessage: true,
          sameSteps: true,
          isReceived: message !== undefined,
          isInProgress: inProgress,
          isFullyProcessed: decision !== "out_of_range" && decision.kind === "skip",
          lastCompletedStep,
        });
      }

      // The one that replayed decides first. If that has started the message, the other one resumes it.
      const starts = decision !== "out_of_range" && decision.kind === "start";
      const resumes = { kind: "resume", step: lastCompletedStep === undefined ? 0 : lastCompletedStep + 1 };
      for (const [conversation, expected] of [[replayed, decision], [live, starts ? resumes : decision]] as const) {
        const { answer, appended, moved } = await conversation.evaluate(async (c) => {
          await c.refresh();
          const [before, at] = [await c.events(), c.expectedSeq];
          const answer = await c.receiveMessage({ id: "m", body: "ignored", receivedAt: 9 }).catch((error: HoldfastError) => error.code);
          return { answer, appended: (await c.events()).slice(before.length), moved: c.expectedSeq - at };
        });
        const appends = starts && conversation === replayed;
        expect.soft(answer, name).toEqual(expected);
        expect.soft(moved, name).toBe(appends ? 1 : 0);
        expect.soft(appended, name).toMatchObject(appends ? [{ kind: "message_received", messageId: "m", body: "ignored", receivedAt: 9 }] : []);
      }
    }
  });

  test("queries for a message that no event has named", async ({ holdfast }) => {
    const answers = await holdfast.evaluate((holdfast) => {
      const { state, expectedSeq } = holdfast.create("c");
      return [
        expectedSeq,
        state.messages,
        state.message("m"),
        state.isReceived("m"),
        state.isInProgress("m"),
        state.isFullyProcessed("m"),
        state.lastCompletedStep("m"),
        state.completedStep("m", 0),
        state.error("m"),
      ];
    });
    expect(answers).toEqual([0, [], undefined, false, false, false, undefined, undefined, undefined]);
  });

  test("replaying a log twice gives the same state, which is the one that was built by appending", async ({ holdfast }) => {
    const { live, replays, counts } = await holdfast.evaluate(async (holdfast) => {
      const c = holdfast.create("c");
      for (let i = 0; i < 40; i++) {
        const id = `m${i % 13}`;
        if (i % 3 === 0) await c.receiveMessage({ id, body: { i }, receivedAt: i });
        if (i % 2 === 0) await c.recordProcessingStarted(id);
        if (i % 4 === 0) await c.recordStepCompleted(id, i % 5, [i]);
        if (i % 5 === 0) await c.recordError(id, `error ${i}`);
        if (i % 7 === 0) await c.recordProcessingFinished(id);
      }
      const tell = async (c: Conversation): Promise<unknown> => ({ seq: c.expectedSeq, messages: told.messages(c.state), events: await c.events() });
      const counts = [c.state.messages.length, c.expectedSeq];
      return { live: await tell(c), replays: [await tell(await holdfast.recover("c")), await tell(await holdfast.recover("c"))], counts };
    });
    expect(counts[0]).toBe(11);
    expect(replays).toEqual([live, live]);
  });

  test("messages keep their order of arrival", async ({ holdfast }) => {
    const orders = await holdfast.evaluate(async (holdfast) => {
      const c = holdfast.create("c");
      await c.recordStepCompleted("z", 0); // named first, received last
      for (const id of ["b", "a", "10", "9", "z"]) await c.receiveMessage({ id });
      await c.recordProcessingStarted("a");
      return [c, await holdfast.recover("c")].map(({ state }) => state.messages.map(({ id }) => id));
    });
    expect(orders).toEqual([["b", "a", "10", "9", "z"], ["b", "a", "10", "9", "z"]]);
  });

  test("messages that arrive with one refresh keep their order of arrival, too", async ({ holdfast }) => {
    const orders = await holdfast.evaluate(async (holdfast) => {
      const [writer, reader] = [holdfast.create("c"), holdfast.create("c")];
      await writer.recordStepCompleted("late", 0); // named first, received last
      await writer.receiveMessage({ id: "early" });
      await writer.receiveMessage({ id: "late", body: "text" });
      await reader.refresh();
      const { messages } = reader.state;
      await writer.receiveMessage({ id: "last" });
      await reader.refresh();
      return [messages, reader.state.messages].map((all) => all.map(({ id, body, steps }) => [id, body, steps.length]));
    });
    const two = [["early", undefined, 0], ["late", "text", 1]];
    expect(orders).toEqual([two, [...two, ["last", undefined, 0]]]);
  });

  test("concurrent deliveries of one message append it once", async ({ holdfast }) => {
    const { kinds, events } = await holdfast.evaluate(async (holdfast) => {
      const c = holdfast.create("c");
      const decisions = await Promise.all(Array.from({ length: 20 }, (_, body) => c.receiveMessage({ id: "m", body })));
      return { kinds: decisions.map((d) => (d.kind === "resume" ? d.step : d.kind)), events: await c.events() };
    });
    expect(kinds).toEqual(["start", ...Array<number>(19).fill(0)]);
    expect(events).toMatchObject([{ kind: "message_received", messageId: "m", body: 0 }]);
  });

  test("concurrent appends get contiguous sequences in the order of the calls", async ({ holdfast }) => {
    const { sequences, steps } = await holdfast.evaluate(async (holdfast) => {
      const c = holdfast.create("c");
      const sequences = await Promise.all(Array.from({ length: 200 }, (_, i) => c.recordStepCompleted("m", 200 - i)));
      const steps = (await c.events()).map((event) => (event.kind === "step_completed" ? event.step : -1));
      return { sequences, steps };
    });
    expect(sequences).toEqual(Array.from({ length: 200 }, (_, i) => i));
    expect(steps).toEqual(Array.from({ length: 200 }, (_, i) => 200 - i));
  });

  test("calls that nobody waits for take effect in their order, whatever they are, and each fails for itself", async ({ holdfast }) => {
    const facts = await holdfast.evaluate(async (holdfast) => {
      const c = holdfast.create("c");
      const large = "x".repeat(700_000);
      const outcomes = await Promise.allSettled([
        c.recordMessageReceived({ id: "a", body: "first" }),
        c.recordError("a", "text"),
        c.recordStepCompleted("a\0", 0),
        c.receiveMessage({ id: "a", body: "second" }),
        c.recordStepCompleted("a", 0, large),
        c.recordStepCompleted("a", 1, large),
        c.recordStepCompleted("a", 2, large),
        c.recordProcessingFinished("a"),
        c.send({ id: "b" }),
        c.refresh(),
      ]);
      const told = outcomes.map((outcome) => (outcome.status === "fulfilled" ? outcome.value : (outcome.reason as HoldfastError).code));
      const kinds = (await c.events()).map(({ kind }) => kind);
      const { body, error, steps, status } = c.state.messages[0] ?? {};
      const last = [c.recordProcessingStarted("b"), c.recordStepCompleted("b", 0), holdfast.delete("c")];
      await Promise.all(last);
      return { told, kinds, message: { body, error, status, steps: steps?.map(({ output }) => String(output).length) }, deleted: await c.events() };
    });
    expect(facts.told).toEqual([0, 1, "invalid_argument", { kind: "resume", step: 0 }, 2, 3, 4, 5, "b", 7]);
    expect(facts.kinds).toEqual(["message_received", "error_occurred", "step_completed", "step_completed", "step_completed", "processing_finished", "message_received"]);
    expect(facts.message).toEqual({ body: "first", error: "text", status: "finished", steps: [700_000, 700_000, 700_000] });
    expect(facts.deleted).toMatchObject([{ kind: "deleted", sequence: 9 }]);
  });

  test("calls that were made before the store was closed are carried out", async ({ holdfast }) => {
    const facts = await holdfast.evaluate(async (holdfast) => {
      const c = holdfast.create("c");
      const recorded = [c.recordProcessingStarted("m"), c.recordStepCompleted("m", 0)];
      const closed = holdfast.close();
      const late = c.recordStepCompleted("m", 1).catch((error: HoldfastError) => error.code);
      const sequences = await Promise.all(recorded);
      await closed;
      return { sequences, late: await late };
    });
    expect(facts).toEqual({ sequences: [0, 1], late: "closed" });
  });

  test("an append that loses leaves state and expected sequence as they were, and wins after a refresh", async ({ holdfast }) => {
    const facts = await holdfast.evaluate(async (holdfast) => {
      const [winner, loser] = [holdfast.create("c"), holdfast.create("c")];
      await winner.receiveMessage({ id: "theirs" });
      await winner.recordProcessingStarted("theirs");
      const before = loser.state;
      const attempts = {
        receiveMessage: () => loser.receiveMessage({ id: "mine" }),
        recordMessageReceived: () => loser.recordMessageReceived({ id: "mine" }),
        recordProcessingStarted: () => loser.recordProcessingStarted("mine"),
        recordStepCompleted: () => loser.recordStepCompleted("mine", 0),
        recordProcessingFinished: () => loser.recordProcessingFinished("mine"),
        recordError: () => loser.recordError("mine", "text"),
      };
      const failures: Record<string, unknown> = {};
      for (const [name, attempt] of Object.entries(attempts)) {
        const failure = await told.failure(attempt);
        failures[name] = [failure?.name, failure?.code, failure?.expected, failure?.actual, failure?.outcome, failure?.stream, loser.expectedSeq, loser.state === before];
      }
      const length = (await winner.events()).length;
      const refreshed = await loser.refresh();
      const decision = await loser.receiveMessage({ id: "mine" });
      return { failures, length, refreshed, decision, ids: loser.state.messages.map(({ id }) => id) };
    });
    const conflict: unknown[] = ["SequenceConflictError", "sequence_conflict", 0, 2, "permanent", "c", 0, true];
    expect(Object.values(facts.failures)).toEqual(Array.from({ length: 6 }, () => conflict));
    expect(facts).toMatchObject({ length: 2, refreshed: 2, decision: { kind: "start" }, ids: ["theirs", "mine"] });
  });

  test("of concurrent appends of two handles each place has one winner", async ({ holdfast }) => {
    const { won, lost, events } = await holdfast.evaluate(async (holdfast) => {
      const [a, b] = [holdfast.create("c"), holdfast.create("c")];
      const settled = await Promise.allSettled([a, b].flatMap((c, who) => [0, 1, 2].map((i) => c.recordStepCompleted(`by ${who}`, i))));
      const won = settled.flatMap((s) => (s.status === "fulfilled" ? [s.value] : []));
      const lost = settled.flatMap((s) => (s.status === "rejected" ? [(s.reason as HoldfastError).code] : []));
      return { won, lost, events: (await a.events()).map(({ sequence }) => sequence) };
    });
    expect(won.sort((a, b) => a - b)).toEqual([0, 1, 2]);
    expect(lost).toEqual(Array(3).fill("sequence_conflict"));
    expect(events).toEqual([0, 1, 2]);
  });
});

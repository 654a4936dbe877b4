// The tree of messages: edits, regenerations, interruptions, and what a handler looks back on.
import type { Conversation, ConversationState, Message, Work } from "@holdfast-dev/holdfast";
import { expect, onEachStore, test } from "./harness/holdfast.js";

onEachStore(() => {
  test("a message follows the last one, another one, or none, and that makes branches", async ({ holdfast }) => {
    const told = await holdfast.evaluate(async (holdfast) => {
      const c = holdfast.create("c");
      // a - b - c - e
      //      \ d - g
      // f - h
      for (const id of ["a", "b", "c"]) await c.send({ id, body: id });
      await c.send({ id: "d", body: "b once more", after: "b" });
      await c.send({ id: "e", after: "c" });
      await Promise.all([c.send({ id: "f", after: null }), c.send({ id: "g", after: "d" })]);
      await c.send({ id: "h", after: "f" });
      await c.send({ id: "h", after: "a" }); // known
      const ids = (messages: readonly Message[]): string => messages.map(({ id }) => id).join(" ");
      const seen = (state: ConversationState): unknown => ({
        messages: ids(state.messages),
        received: ids(state.received),
        spread: ids({ ...state }.received),
        each: ["a", "b", "c", "d", "e", "f", "g", "h", "unknown"].map((id) => [state.message(id)?.after, ids(state.branch(id)), ids(state.siblings(id))]),
      });
      const events = await c.events();
      return {
        live: seen(c.state),
        recovered: seen((await holdfast.recover("c")).state),
        cloned: seen(c.clone().state),
        logged: events.map((event) => event.kind === "message_received" && event.after),
        copy: structuredClone({ ...c.state.message("d") }).after,
        frozen: [c.state.branch("a"), c.state.siblings("a"), c.state.received].every(Object.isFrozen),
      };
    });
    const seen = {
      messages: "f h",
      received: "a b c d e f g h",
      spread: "a b c d e f g h",
      each: [
        [undefined, "a b d g", "a f"],
        ["a", "a b d g", "b"],
        ["b", "a b c e", "c d"],
        ["b", "a b d g", "c d"],
        ["c", "a b c e", "e"],
        [undefined, "f h", "a f"],
        ["d", "a b d g", "g"],
        ["f", "f h", "h"],
        [undefined, "", ""],
      ],
    };
    expect(told).toEqual({ live: seen, recovered: seen, cloned: seen, logged: [undefined, undefined, undefined, "b", "c", null, "d", "f"], copy: "b", frozen: true });
  });

  test("what a message cannot follow is refused, and nothing is stored", async ({ holdfast }) => {
    const told = await holdfast.evaluate(async (holdfast) => {
      const c = holdfast.create("c");
      const other = holdfast.create("c");
      await other.send({ id: "theirs" });
      const failures: unknown[] = [];
      for (const options of [{ after: "unknown" }, { after: "x" }, { after: "" }, { after: 5 }, { after: "unknown", interrupt: true }, { interrupt: "yes" }]) {
        failures.push(await globalThis.told.failure(c.send({ id: "x", ...(options as { after: string }) })));
      }
      await c.send({ id: "mine", after: "theirs" }); // of which this handle has not heard before
      return { failures, ids: c.state.messages.map(({ id }) => id) };
    });
    expect(told.ids).toEqual(["theirs", "mine"]);
    expect(told.failures).toHaveLength(6);
    for (const failure of told.failures) expect(failure).toMatchObject({ name: "HoldfastError", code: "invalid_argument", operation: "send" });
  });

  test("a message that interrupts cancels what is unfinished, and is next", async ({ holdfast }) => {
    const told = await holdfast.evaluate(async (holdfast) => {
      const c = await holdfast.recover("c");
      const reasons: unknown[] = [];
      let begun = (): void => undefined;
      const atWork = new Promise<void>((resolve) => (begun = resolve));
      await c.send({ id: "done" });
      const stop = c.process(async ({ message, signal }: Work) => {
        if (message.id === "done" || message.id === "now") return message.id;
        begun();
        return new Promise((_, reject) => {
          signal.addEventListener("abort", () => {
            reasons.push([message.id, (signal.reason as { code: string }).code]);
            reject(signal.reason as Error);
          });
        });
      });
      await c.ended("done");
      await c.send({ id: "at work" });
      await c.send({ id: "waiting" });
      await atWork;
      const before = c.expectedSeq;
      const [{ length: events }, now] = await Promise.all([c.send({ id: "now", interrupt: true }).then(async () => c.events({ from: before })), c.ended("now")]);
      await stop();
      return { reasons, now: now.result, events: events >= 3, statuses: c.state.received.map(({ id, status }) => `${id} ${status}`) };
    });
    expect(told).toEqual({ reasons: [["at work", "cancelled"]], now: "now", events: true, statuses: ["done finished", "at work cancelled", "waiting cancelled", "now finished"] });
  });

  test("a handler looks back on the same messages and notes in every attempt", async ({ holdfast }) => {
    const told = await holdfast.evaluate(async (holdfast) => {
      const c = await holdfast.recover("c");
      const seen: unknown[] = [];
      let begun = (): void => undefined;
      let mend = false;
      const handler = async ({ message, history, notes, step, signal }: Work): Promise<string> => {
        if (message.id === "first") {
          await step("think", () => "thought");
          if (!mend) throw new Error("boom");
          return "mended";
        }
        if (message.id === "beside") return "not before the last one";
        seen.push([history.map(({ id, body, status, error, result, steps }) => [id, body, status, error, result, steps.map(({ output }) => output)]), notes("draft").map(({ data }) => data)]);
        begun();
        if (seen.length === 4) return "done";
        return new Promise((_, reject) => {
          signal.addEventListener("abort", () => reject(signal.reason as Error));
        });
      };
      const run = (chat: Conversation): (() => Promise<void>) => chat.process(handler, { onError: () => undefined });
      await c.note("draft", 1);
      await c.send({ id: "first", body: "hi" });
      await c.send({ id: "beside", after: null });
      await c.send({ id: "last", after: "first" });
      const attempt = async (chat: Conversation): Promise<void> => {
        const last = new Promise<void>((resolve) => (begun = resolve));
        const stop = run(chat);
        await last;
        await stop();
      };
      await attempt(c);
      await c.note("draft", 2);
      await attempt(c);
      mend = true;
      await c.retry("first");
      await attempt(c);
      const recovered = await holdfast.recover("c");
      const stop = run(recovered);
      await recovered.ended("last");
      await stop();
      return { seen, first: recovered.state.message("first")?.result, notes: recovered.state.notes("draft").length };
    });
    const once = [[["first", "hi", "failed", "Error: boom", undefined, ["thought"]]], [1]];
    expect(told).toEqual({ seen: [once, once, once, once], first: "mended", notes: 2 });
  });
});

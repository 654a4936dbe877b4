// The view of a conversation that a user interface renders: immutable states, identities that tell what changed, listeners.
import type { Conversation, ConversationState } from "@holdfast-dev/holdfast";
import { expect, onEachStore, test } from "./harness/holdfast.js";

onEachStore(() => {
  test("state, messages and steps are frozen", async ({ holdfast }) => {
    const { frozen, changed } = await holdfast.evaluate(async (holdfast) => {
      const c = holdfast.create("c");
      await c.receiveMessage({ id: "m", body: { a: 1 } });
      await c.recordStepCompleted("m", 0, "out");
      const { state } = c;
      const [message] = state.messages;
      const objects = { state, messages: state.messages, message, steps: message?.steps, step: message?.steps[0] };
      const changed: string[] = [];
      for (const [name, object] of Object.entries(objects)) {
        for (const key of ["messages", "id", "body", "status", "length", "0", "index", "output", "added"]) {
          if (Reflect.set(object as object, key, "changed")) changed.push(`${name}.${key}`);
        }
      }
      return { frozen: Object.values(objects).map((object) => Object.isFrozen(object)), changed };
    });
    expect(frozen).toEqual(Array(5).fill(true));
    expect(changed).toEqual([]);
  });

  test("what a message holds cannot be changed by one who reads it, and bytes can be given away", async ({ holdfast }) => {
    const facts = await holdfast.evaluate(async (holdfast) => {
      const c = holdfast.create("c");
      const given = { list: [1], at: new Date(5), bytes: new Uint8Array([1, 2]), inner: [new Uint8Array([3]), new Date(6)] };
      await c.recordMessageReceived({ id: "m", body: given });
      await c.recordMessageReceived({ id: "other", body: "behind it" });
      await c.recordMessageReceived({ id: "bytes", body: new Uint8Array([7, 8]) });
      await c.recordMessageReceived({ id: "date", body: new Date(9) });
      await c.recordStepCompleted("m", 0, given);
      const { state } = await holdfast.recover("c"); // bodies as they are side by side in one answer
      const values = (): unknown[] => [state.message("m")?.body, state.message("m")?.steps[0]?.output];
      const changed: unknown[] = [];
      for (const value of values()) {
        const read = value as typeof given;
        changed.push(Reflect.set(read.list, 1, 2), Reflect.set(read.inner, "length", 0), Reflect.set(read, "at", 0), Reflect.deleteProperty(read, "list"));
        read.at.setTime(0);
        read.bytes.fill(0);
        (read.inner[1] as Date).setTime(0);
        structuredClone([read.bytes, read.inner[0]], { transfer: [read.bytes.buffer, (read.inner[0] as Uint8Array<ArrayBuffer>).buffer] });
      }
      const [bytes, date] = ["bytes", "date"].map((id) => state.message(id)?.body) as [Uint8Array, Date];
      bytes.fill(0);
      date.setTime(0);
      // An output that a handler gets is its own; parts of it are no part of each other.
      let mine = "";
      c.process(async ({ step }) => {
        const output = await step("give", () => given);
        output.list.push(2);
        structuredClone(output.bytes, { transfer: [output.bytes.buffer] });
        mine = JSON.stringify([output.list, [...(output.inner[0] as Uint8Array)]]);
      });
      while (c.state.message("date")?.status !== "finished") await new Promise(requestAnimationFrame);
      const copies = values().map((value) => ({ ...(value as object) }));
      const json = JSON.stringify(values()[0]);
      return { changed, values: structuredClone(values()), copies, json, mine, plain: ["other", "bytes", "date"].map((id) => state.message(id)?.body), same: values()[0] === values()[0] };
    });
    const whole = { list: [1], at: new Date(5), bytes: new Uint8Array([1, 2]), inner: [new Uint8Array([3]), new Date(6)] };
    expect(facts).toEqual({
      changed: Array(8).fill(false),
      values: [whole, whole],
      copies: [whole, whole],
      json: JSON.stringify(whole),
      mine: "[[1,2],[3]]",
      plain: ["behind it", new Uint8Array([7, 8]), new Date(9)],
      same: true,
    });
  });

  test("a change makes a new state and a new object for the changed message alone; nothing else does", async ({ holdfast }) => {
    const facts = await holdfast.evaluate(async (holdfast) => {
      const c = holdfast.create("c");
      await Promise.all(["a", "b", "c"].map((id) => c.receiveMessage({ id, body: [id] })));
      const before = c.state;
      const told: Record<string, unknown> = {
        sameState: c.state === before,
        snapshot: c.snapshot() === before,
        sameBody: before.message("a")?.body === before.message("a")?.body,
      };
      await Promise.all([c.refresh(), c.events(), c.receiveMessage({ id: "a" }), c.recordError("b", "\ud800").catch(() => 0)]);
      told["unchanged"] = c.state === before && c.snapshot() === before;
      await c.recordStepCompleted("b", 0, "out");
      const after = c.state;
      told["newState"] = after !== before && c.snapshot() === after;
      told["newMessages"] = after.messages.map((message, i) => message !== before.messages[i]);
      told["oldKept"] = before.message("b")?.steps.length;
      const step = after.message("b")?.steps[0];
      await c.recordProcessingStarted("b");
      told["oldStatus"] = after.message("b")?.status;
      told["sameOutput"] = c.state.message("b")?.steps[0]?.output === step?.output;
      const { snapshot, subscribe } = c; // need no `this`
      let heard = 0;
      const end = subscribe(() => heard++);
      await c.recordProcessingFinished("b");
      end();
      await c.recordProcessingFinished("c");
      told["unbound"] = snapshot() === c.state && heard === 1;
      return told;
    });
    expect(facts).toEqual({
      sameState: true,
      snapshot: true,
      sameBody: true,
      unchanged: true,
      newState: true,
      newMessages: [false, true, false],
      oldKept: 0,
      oldStatus: "received",
      sameOutput: true,
      unbound: true,
    });
  });

  test("a later change of a message leaves its body, its steps and their outputs the objects they were", async ({ holdfast }) => {
    const told = await holdfast.evaluate(async (holdfast) => {
      const c = holdfast.create("c");
      await c.receiveMessage({ id: "m", body: { large: "body" } });
      await c.recordStepCompleted("m", 3, { a: 3 });
      await c.recordStepCompleted("m", 5, { a: 5 });
      const before = c.state.message("m");
      const [body, outputs] = [before?.body, before?.steps.map((step) => step.output)];
      await c.recordStepCompleted("m", 4, { a: 4 });
      await c.recordStepCompleted("m", 3, { again: 3 });
      await c.recordProcessingFinished("m");
      const after = c.state.message("m");
      return {
        steps: after?.steps.map(({ index, output }) => [index, output]),
        sameBody: after?.body === body,
        kept: after?.steps.map((step) => before?.steps.includes(step)),
        sameOutput: after?.steps[2]?.output === outputs?.[1],
        old: before?.steps.map(({ index, output }) => [index, output]),
        recovered: (await holdfast.recover("c")).state.message("m")?.steps.map(({ index, output }) => [index, output]),
      };
    });
    const steps = [
      [3, { again: 3 }],
      [4, { a: 4 }],
      [5, { a: 5 }],
    ];
    expect(told).toEqual({
      steps,
      sameBody: true,
      kept: [false, false, true],
      sameOutput: true,
      old: [
        [3, { a: 3 }],
        [5, { a: 5 }],
      ],
      recovered: steps,
    });
  });

  test("an old state knows nothing of what came later", async ({ holdfast }) => {
    const told = await holdfast.evaluate(async (holdfast) => {
      const c = holdfast.create("c");
      const states: ConversationState[] = [];
      const keep = (): number => states.push(c.state);
      keep();
      await c.recordStepCompleted("b", 0, "early"); // it was not received
      keep();
      await c.receiveMessage({ id: "a" });
      keep();
      await c.receiveMessage({ id: "b" });
      keep();
      await holdfast.delete("c");
      await c.refresh();
      keep();
      await c.receiveMessage({ id: "b" });
      keep();
      return states.map((state) =>
        [state.messages.map(({ id }) => id).join(), ...["a", "b"].map((id) => `${state.isReceived(id)} ${state.message(id)?.id} ${String(state.completedStep(id, 0)?.output)}`)].join("; "),
      );
    });
    expect(told).toEqual([
      "; false undefined undefined; false undefined undefined",
      "; false undefined undefined; false undefined early",
      "a; true a undefined; false undefined early",
      "a,b; true a undefined; true b early",
      "; false undefined undefined; false undefined undefined",
      "b; false undefined undefined; true b undefined",
    ]);
  });

  test("what is read-only stays as it is", async ({ holdfast }) => {
    const kept = await holdfast.evaluate((holdfast) => {
      const c = holdfast.create("c");
      for (const key of ["state", "expectedSeq"]) Reflect.set(c, key, 7);
      return [c.expectedSeq, c.state.messages.length];
    });
    expect(kept).toEqual([0, 0]);
  });

  test("a message becomes JSON with everything in it", async ({ holdfast }) => {
    const json = await holdfast.evaluate(async (holdfast) => {
      const c = holdfast.create("c");
      await c.recordMessageReceived({ id: "m", body: { a: [1] }, receivedAt: 3 });
      await c.recordStepCompleted("m", 2, "out");
      return JSON.stringify(c.state.messages);
    });
    expect(JSON.parse(json)).toEqual([
      { id: "m", receivedAt: 3, body: { a: [1] }, status: "received", steps: [{ index: 2, output: "out" }], openSteps: [], starts: 0 },
    ]);
  });

  test("listeners hear after the commit, before the call resolves, once for changes that come together", async ({ holdfast }) => {
    const heard = await holdfast.evaluate(async (holdfast) => {
      const c = holdfast.create("c");
      const heard: string[] = [];
      c.subscribe(() => heard.push(`${c.expectedSeq} events, ${c.state.messages.length} messages`));
      const stored = c.receiveMessage({ id: "a" }).then(() => heard.push("resolved"));
      heard.push("called");
      await stored;
      await c.receiveMessage({ id: "a" }); // appends nothing
      await c.refresh();
      // What another handle appends comes with one refresh.
      const other = await holdfast.recover("c");
      const quiet = holdfast.create("quiet");
      quiet.subscribe(() => heard.push("of another conversation"));
      const before = heard.length;
      await Promise.all([other.recordProcessingStarted("a"), other.recordStepCompleted("a", 0), other.recordProcessingFinished("a")]);
      while (c.expectedSeq < 4) await new Promise(requestAnimationFrame);
      return { mine: heard.slice(0, before), theirs: heard.slice(before), status: c.state.message("a")?.status };
    });
    expect(heard.mine).toEqual(["called", "1 events, 1 messages", "resolved"]);
    expect(heard.theirs.at(-1)).toBe("4 events, 1 messages");
    expect(heard.theirs.length).toBeLessThanOrEqual(3);
    expect(heard.status).toBe("finished");
  });

  test("changes that come together are heard once", async ({ holdfast, storage }) => {
    const heard = await holdfast.evaluate(async (holdfast) => {
      const c = holdfast.create("c");
      const heard: number[] = [];
      c.subscribe(() => heard.push(c.expectedSeq));
      await Promise.all([0, 1, 2].map((step) => c.recordStepCompleted("m", step)));
      return heard;
    });
    expect(heard.at(-1)).toBe(3);
    // In memory all three are committed within one turn of the event loop.
    if (storage === "memory") expect(heard).toEqual([3]);
  });

  test("a conversation catches up when it gets a listener, which hears it once", async ({ holdfast }) => {
    const calls = await holdfast.evaluate(async (holdfast) => {
      const [reader, writer] = [holdfast.create("c"), holdfast.create("c")];
      await Promise.all(Array.from({ length: 50 }, (_, i) => writer.receiveMessage({ id: `m${i}` })));
      const seen: number[] = [];
      const hears = new Promise<void>((resolve) => {
        reader.subscribe(() => {
          seen.push(reader.state.messages.length);
          resolve();
        });
      });
      await hears;
      await reader.refresh();
      return seen;
    });
    expect(calls).toEqual([50]);
  });

  test("each subscription ends by itself, even of one function subscribed twice, and ends while it is told", async ({ holdfast }) => {
    const counts = await holdfast.evaluate(async (holdfast) => {
      const c = holdfast.create("c");
      const counts = { twice: 0, once: 0, late: 0 };
      const listener = (): number => counts.twice++;
      const endFirst = c.subscribe(listener);
      const endSecond = c.subscribe(listener);
      const endOnce = c.subscribe(() => {
        counts.once++;
        endOnce();
        c.subscribe(() => counts.late++); // hears from the next change on
      });
      await c.recordProcessingStarted("m");
      const first = { ...counts };
      endFirst();
      endFirst(); // ends nothing else
      await c.recordProcessingStarted("m");
      const second = { ...counts };
      endSecond();
      await c.recordProcessingStarted("m");
      return [first, second, { ...counts }];
    });
    expect(counts).toEqual([
      { twice: 2, once: 1, late: 0 },
      { twice: 3, once: 1, late: 1 },
      { twice: 3, once: 1, late: 2 },
    ]);
  });

  test("who is unsubscribed by a listener before it does not hear", async ({ holdfast }) => {
    const heard = await holdfast.evaluate(async (holdfast) => {
      const c = holdfast.create("c");
      const heard: string[] = [];
      c.subscribe(() => {
        heard.push("first");
        endSecond();
      });
      const endSecond = c.subscribe(() => heard.push("second"));
      await c.recordProcessingStarted("m");
      return heard;
    });
    expect(heard).toEqual(["first"]);
  });

  test("nothing is heard after the last listener has gone, and a new one hears again", async ({ holdfast }) => {
    const { heard, after } = await holdfast.evaluate(async (holdfast) => {
      const [c, other] = [holdfast.create("c"), holdfast.create("c")];
      let heard = 0;
      const end = c.subscribe(() => heard++);
      const pending = c.recordProcessingStarted("m");
      end(); // while an append is under way
      await pending;
      await other.refresh();
      await other.recordProcessingFinished("m");
      await c.refresh();
      const unheard = heard;
      const hears = new Promise<void>((resolve) => c.subscribe(resolve));
      await other.recordError("m", "text");
      await hears;
      return { heard: unheard, after: c.state.error("m") };
    });
    expect(heard).toBe(0);
    expect(after).toBe("text");
  });

  test("a listener that throws is reported, and the others hear", async ({ holdfast, complaints }) => {
    const facts = await holdfast.evaluate(async (holdfast) => {
      const reported: unknown[] = [];
      addEventListener("error", (event) => reported.push((event.error as Error).message));
      const c = holdfast.create("c");
      let heard = 0;
      c.subscribe(() => {
        throw new Error("a fault of the listener");
      });
      c.subscribe(() => heard++);
      const sequences = [await c.recordProcessingStarted("m"), await c.recordProcessingStarted("m")];
      return { sequences, heard, reported };
    });
    expect(facts).toEqual({ sequences: [0, 1], heard: 2, reported: ["a fault of the listener", "a fault of the listener"] });
    await expect.poll(() => complaints).toHaveLength(2);
    expect(complaints.splice(0)).toEqual(Array(2).fill("uncaught: Error: a fault of the listener"));
  });

  test("a clone has the same state, and then goes its own way", async ({ holdfast }) => {
    const facts = await holdfast.evaluate(async (holdfast) => {
      const tellAll = ({ state }: { state: ConversationState }): unknown => told.messages(state);
      const c = holdfast.create("c");
      await c.receiveMessage({ id: "m", body: "b", receivedAt: 1 });
      await c.recordStepCompleted("m", 0, "out");
      let heard = 0;
      c.subscribe(() => heard++);
      const clone: Conversation = c.clone();
      const equal = [clone.id, clone.expectedSeq, tellAll(clone), tellAll(c)];
      await clone.recordProcessingFinished("m");
      const lost = holdfast.create("c").clone();
      const failure = await told.failure(lost.recordProcessingStarted("m"));
      return { equal, clone: clone.state.isFullyProcessed("m"), other: clone !== c && clone.state !== c.state, lost: [failure?.expected, failure?.actual] };
    });
    const messages = [{ id: "m", receivedAt: 1, body: "b", status: "received", steps: [{ index: 0, output: "out" }] }];
    expect(facts).toMatchObject({ equal: ["c", 2, messages, messages], clone: true, other: true, lost: [0, 3] });
  });
});

// What applications do with messages: copy and show them, wait until they have ended, and send them only where they belong.
import { expect, onEachStore, test } from "./harness/holdfast.js";

onEachStore(() => {
  test("a copy of a message has all that it has, and a proxy shows the same", async ({ holdfast }) => {
    const facts = await holdfast.evaluate(async (holdfast) => {
      const c = holdfast.create("c");
      c.process(
        async ({ step }) => {
          await step("plan", () => ({ at: new Date(5), bytes: new Uint8Array([1]) }));
          await step("fail", () => Promise.reject(new TypeError("no"))).catch(() => undefined);
          return await step.wait("ask", { prompt: { question: "Go on?" } });
        },
        { maxAttempts: 1 },
      );
      await c.send({ id: "m", body: { text: "hi" }, receivedAt: 3 });
      while (c.state.message("m")?.openSteps.length !== 1) await new Promise(requestAnimationFrame);
      const { state } = c;
      const { port1, port2 } = new MessageChannel();
      const posted = new Promise<unknown>((resolve) => (port2.onmessage = ({ data }) => resolve(data)));
      port1.postMessage(state.messages);
      const copies = {
        spread: state.messages.map((message) => ({ ...message, steps: message.steps.map((step) => ({ ...step })), openSteps: message.openSteps.map((step) => ({ ...step })) })),
        assigned: state.messages.map((message) => Object.assign({}, message)),
        cloned: structuredClone(state).messages,
        posted: await posted,
        proxied: state.messages.map((message) => new Proxy(message, {})),
      };
      return {
        facts: Object.entries(copies).map(([name, copy]) => {
          const [message] = [copy].flat() as (typeof state.messages)[number][];
          const [plan, failed] = message?.steps ?? [];
          const { error: { message: error } = {}, ...rest } = { ...failed };
          const { calledAt, ...shown } = { ...plan };
          return [name, message?.body, { ...shown, called: calledAt !== undefined }, error, rest.output, message?.openSteps[0]?.waiting, message?.starts, message?.status];
        }),
        json: JSON.parse(JSON.stringify(state)) as unknown,
        same: [state.messages[0] === state.message("m"), state.messages[0]?.steps === state.message("m")?.steps],
        // Vue makes no proxy of what is frozen, or has a name; Svelte none of an instance of a class.
        left: [Object.isFrozen(state.messages[0]), Object.prototype.toString.call(c), Object.prototype.toString.call(holdfast)],
      };
    });
    const plan = { index: 0, name: "plan", output: { at: new Date(5), bytes: new Uint8Array([1]) }, error: undefined, called: true };
    const fact = (name: string): unknown => [name, { text: "hi" }, plan, "no", undefined, { for: "answer", prompt: { question: "Go on?" } }, expect.any(Number), "processing"];
    expect(facts.facts).toEqual(["spread", "assigned", "cloned", "posted", "proxied"].map(fact));
    expect(facts.json).toMatchObject({
      messages: [
        {
          ...{ id: "m", body: { text: "hi" }, receivedAt: 3, status: "processing" },
          steps: [{ name: "plan" }, { name: "fail", error: "TypeError: no" }],
          openSteps: [{ name: "ask", chunks: [], waiting: { for: "answer", prompt: { question: "Go on?" } } }],
        },
      ],
    });
    expect(facts.same).toEqual([true, true]);
    expect(facts.left).toEqual([true, "[object Conversation]", "[object Holdfast]"]);
  });

  test("what there is of an output is one text from the first token to the last, and of a loop the last one", async ({ holdfast }) => {
    const shown = await holdfast.evaluate(async (holdfast) => {
      const c = holdfast.create("c");
      const shown: unknown[] = [];
      const look = (): void => {
        const message = c.state.message("m");
        const all = [message?.output("answer"), message?.output("items"), message?.output("turn"), message?.output("none")];
        if (JSON.stringify(all) !== JSON.stringify(shown.at(-1))) shown.push(all);
      };
      c.subscribe(look);
      const { readable, writable } = new TransformStream<string, string>(undefined, undefined, { highWaterMark: 10 });
      const writer = writable.getWriter();
      const until = async (text: string): Promise<void> => {
        while (JSON.stringify(shown.at(-1)) !== text) await new Promise(requestAnimationFrame);
      };
      c.process(async ({ step }) => {
        await step.stream("answer", () => readable);
        await step.stream("items", async function* () {
          yield { a: 1 };
        });
        for (const turn of [1, 2]) await step("turn", () => turn);
      });
      await c.send({ id: "m" });
      await writer.write("be");
      await until('["be",null,null,null]');
      await writer.write("cause");
      await until('["because",null,null,null]');
      await writer.close();
      await c.ended("m");
      look();
      return { last: shown.at(-1), texts: shown.map((all) => String((all as unknown[])[0])) };
    });
    expect(shown.last).toEqual(["because", [{ a: 1 }], 2, undefined]);
    expect(shown.texts.filter((text, i) => text !== shown.texts[i - 1]), "nothing in between").toEqual(["undefined", "be", "because"]);
  });

  test("a message ends: finished, failed, cancelled, deleted, or with its store", async ({ holdfast }) => {
    const facts = await holdfast.evaluate(async (holdfast) => {
      const c = holdfast.create("c");
      const ends: Record<string, unknown> = {};
      const note = async (name: string, call: Promise<{ status: string; result: unknown; error: string | undefined }>): Promise<void> => {
        ends[name] = await call.then(
          ({ status, result, error }) => [status, result, error],
          async (error: unknown) => (await told.failure(Promise.reject(error)))?.code,
        );
      };
      const stop = c.process(
        async ({ message: { id }, step }) => {
          if (id === "failed") throw new Error("no");
          if (id === "finished") return 7;
          return await step.wait(id, { pass: true });
        },
        { onError: () => undefined },
      );
      for (const id of ["finished", "failed", "cancelled", "left"]) await c.send({ id });
      const cancelled = note("cancelled", c.ended("cancelled"));
      const left = note("deleted", c.ended("left"));
      await note("failed", c.ended("failed"));
      await note("finished", c.ended("finished"));
      await c.cancel("cancelled");
      await cancelled;
      await note("unknown", c.ended("unknown"));
      await stop();
      // A handle that does not know the message yet.
      const other = holdfast.create("c");
      await note("known elsewhere", other.ended("finished"));
      await holdfast.delete("c");
      await left;
      await c.send({ id: "late" });
      const late = note("closed", c.ended("late"));
      await holdfast.close();
      await late;
      await note("after it", c.ended("late"));
      return ends;
    });
    expect(facts).toEqual({
      finished: ["finished", 7, undefined],
      failed: ["failed", undefined, "Error: no"],
      cancelled: ["cancelled", undefined, undefined],
      unknown: "invalid_argument",
      "known elsewhere": ["finished", 7, undefined],
      deleted: "cancelled",
      closed: "closed",
      "after it": "closed",
    });
  });

  test("listeners find in closed why all is over, and nothing before", async ({ holdfast }) => {
    const facts = await holdfast.evaluate(async (holdfast) => {
      const c = holdfast.create("c");
      const heard: unknown[] = [];
      c.subscribe(() => heard.push(c.closed?.code));
      await c.send({ id: "m" });
      const before = c.closed;
      await holdfast.close();
      await told.task();
      return { heard, before, after: c.closed?.code };
    });
    expect(facts).toMatchObject({ heard: [undefined, "closed"], before: undefined, after: "closed" });
  });

  test("send stores nothing if the conversation must exist and does not, also if another tab has deleted it", async ({ holdfast }) => {
    const facts = await holdfast.evaluate(async (holdfast) => {
      const outcomes: unknown[] = [];
      const list = async (): Promise<string> => (await holdfast.conversations()).map(({ id, head }) => `${id} ${head}`).join();
      const [c, stale] = [holdfast.create("c"), holdfast.create("c")];
      const send = async (id: string, of = c): Promise<void> => {
        const failure = await told.failure(of.send({ id, body: id, onlyIf: "exists" }));
        outcomes.push([id, failure?.code, failure?.outcome, await list()]);
      };
      await send("too early");
      await c.send({ id: "first" });
      await send("known elsewhere", stale);
      await send("first"); // it is there
      await holdfast.delete("c");
      await send("too late");
      await send("too late, too", stale);
      await c.send({ id: "anew" });
      await send("after that");
      const refused = await told.failure(c.send({ id: "x", onlyIf: "always" as "exists" }));
      return { outcomes, refused: refused?.code, messages: (await holdfast.recover("c")).state.messages.map(({ id }) => id) };
    });
    expect(facts.outcomes).toEqual([
      ["too early", "cancelled", "not_written", ""],
      ["known elsewhere", undefined, undefined, "c 2"],
      ["first", undefined, undefined, "c 2"],
      ["too late", "cancelled", "not_written", ""],
      ["too late, too", "cancelled", "not_written", ""],
      ["after that", undefined, undefined, "c 5"],
    ]);
    expect(facts.messages).toEqual(["anew", "after that"]);
    expect(facts.refused).toBe("invalid_argument");
  });
});

test("listeners find in closed that the storage was emptied, as long as they listen", async ({ home, server }) => {
  const tab = await home.evaluateHandle(async () => {
    const { open } = await import("@holdfast-dev/holdfast");
    const holdfast = await open();
    const c = await holdfast.recover("c");
    await c.send({ id: "m" });
    const heard: unknown[] = [];
    return { c, heard, stop: c.subscribe(() => heard.push(c.closed?.code)) };
  });
  const cdp = await home.context().newCDPSession(home);
  await cdp.send("Storage.clearDataForOrigin", { origin: server.origin, storageTypes: "indexeddb" });
  await expect.poll(() => tab.evaluate(({ heard }) => heard)).toEqual(["store_reset"]);
  const ended = await tab.evaluate(async ({ c }) => (await told.failure(c.ended("m")))?.code);
  expect(ended).toBe("store_reset");
  expect(await tab.evaluate(({ c, stop }) => [c.closed?.code, stop(), c.closed?.code])).toEqual(["store_reset", undefined, undefined]);
});

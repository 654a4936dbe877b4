// The runner through the package, in one tab: `send`, `process`, `step`, `cancel`, `retry`.
import type { StepContext } from "@holdfast-dev/holdfast";
import { appendByHand } from "./harness/record.js";
import { become, join, send, words } from "./harness/work.js";
import { attach, log, refresh, type Tab } from "./harness/tab.js";
import { expect, test as base } from "./harness/test.js";
import type * as Bundle from "./pages/package.js";

/** What the steps of a test have done, and a tab to do it in. */
const test = base.extend<{ told: string[]; tab: Tab }>({
  // oxlint-disable-next-line no-empty-pattern -- Playwright reads the names of the fixtures from this pattern.
  told: async ({}, use) => use([]),
  tab: async ({ page, server, told }, use) => use(await join(page, server, told)),
});

const received = "message_received";
const started = "processing_started";
const finished = "processing_finished";

test("a message goes through its steps: one commit for each, and its result is stored", async ({ tab, told }) => {
  await send(tab, "m/1");
  await tab.evaluate(({ conversation }) => {
    conversation.process(async ({ message, step }) => {
      const plan = await step("plan", async ({ idempotencyKey, attempt, uncertain }) => {
        await globalThis.tell(`${idempotencyKey} ${attempt} ${uncertain}`);
        return { dish: `soup for ${String(message.body)}`, left: undefined };
      });
      const facts = await step("search", ({ idempotencyKey }) => [plan, idempotencyKey, new Uint8Array([1, 2])]);
      return { facts, sure: true };
    });
  });
  await become(tab, "m/1", "finished");
  expect(told).toEqual([expect.stringMatching(/^[0-9a-f]{32} 1 false$/)]);
  expect(await words(tab)).toEqual([received, started, "plan completed", "search completed", finished]);
  const message = await tab.evaluate(({ conversation }) => {
    return conversation.state.messages.map(({ result, steps, openSteps, starts, status, receivedAt }) => ({
      ...{ result, openSteps, starts, status },
      steps: steps.map(({ index, name, output, error }) => ({ index, name, output, error })),
      called: steps.map(({ calledAt = 0 }) => calledAt >= receivedAt && calledAt <= Date.now()),
    }))[0];
  });
  const plan = { dish: "soup for body of m/1" };
  const facts = [plan, expect.stringMatching(/^[0-9a-f]{32}$/), new Uint8Array([1, 2])];
  expect(message).toEqual({
    ...{ status: "finished", starts: 0, openSteps: [], called: [true, true] },
    result: { facts, sure: true },
    steps: [{ index: 0, name: "plan", output: plan, error: undefined }, { index: 1, name: "search", output: facts, error: undefined }],
  });
});

test("messages are processed in order, one at a time; one that fails does not stop the others; retry brings it back", async ({ tab, told }) => {
  await send(tab, "a", "b", "c");
  await tab.evaluate(({ conversation }) => {
    let broken = true;
    conversation.process(async ({ message, step }) => {
      await globalThis.tell(`begin ${message.id}`);
      await step("first", () => message.id);
      if (message.id === "b" && broken) {
        broken = false;
        throw new TypeError("b is broken");
      }
      await globalThis.tell(`end ${message.id}`);
    });
  });
  await become(tab, "c", "finished");
  expect(told).toEqual(["begin a", "end a", "begin b", "begin c", "end c"]);
  expect(await tab.evaluate(({ conversation }) => conversation.state.messages.map(({ status, error }) => [status, error]))).toEqual([
    ["finished", undefined],
    ["failed", "TypeError: b is broken"],
    ["finished", undefined],
  ]);
  expect(await tab.evaluate(({ conversation }) => Promise.all(["a", "b", "b"].map((id) => conversation.retry(id))))).toEqual([false, true, false]);
  await become(tab, "b", "finished");
  await send(tab, "d"); // later messages are taken up as they come
  await become(tab, "d", "finished");
  expect(told.slice(5)).toEqual(["begin b", "end b", "begin d", "end d"]);
  expect(await words(tab, "b")).toEqual([received, started, "first completed", "error_occurred", "message_retried", started, finished]);
});

test("after a reload completed steps return what was stored, and their functions are not called", async ({ page, tab, told, server }) => {
  await send(tab, "m");
  const run = async (at: Tab, last: boolean): Promise<void> =>
    at.evaluate(({ conversation }, more) => {
      conversation.process(async ({ step }) => {
        const first = await step("first", async () => {
          await globalThis.tell("first");
          return { at: new Date(5), bytes: new Uint8Array([7]) };
        });
        await step("second", async () => {
          await globalThis.tell(`second: ${first.at.getTime()} ${first.bytes[0]}`);
          if (!more) await new Promise(() => undefined);
        });
        return first;
      });
    }, last);
  await run(tab, false);
  await expect.poll(() => told).toEqual(["first", "second: 5 7"]);
  await page.goto("about:blank");
  await page.goto(server.origin);
  const again = await attach(page, "chat");
  expect(await again.evaluate(({ conversation }) => conversation.state.message("m")?.status)).toBe("processing");
  await run(again, true);
  await become(again, "m", "finished");
  expect(told).toEqual(["first", "second: 5 7", "second: 5 7"]);
  expect(await words(again)).toEqual([received, started, "first completed", started, "second completed", finished]);
});

test("a replay waits a second for a step that the handler no longer has", async ({ tab }) => {
  await send(tab, "m");
  await tab.evaluate(({ conversation }) => {
    let removed = false;
    conversation.process(
      async ({ step }) => {
        if (!removed) await step("old", () => "old");
        const from = performance.now();
        await step("kept", () => "kept");
        if (!removed) throw new Error("retry without the old step");
        return performance.now() - from;
      },
      { onError: () => (removed = true) },
    );
  });
  await become(tab, "m", "failed");
  await tab.evaluate(({ conversation }) => conversation.retry("m"));
  await become(tab, "m", "finished");
  const waited = await tab.evaluate(({ conversation }) => conversation.state.message("m")?.result);
  expect(waited).toBeGreaterThan(900);
  expect(waited).toBeLessThan(3000); // a second, on a machine with other work
});

test("a handler that counts its steps otherwise than before is told so: step_mismatch, and what to do", async ({ tab, told }) => {
  await send(tab, "m");
  await tab.evaluate(({ conversation }) => {
    let version = 1;
    conversation.process(
      async ({ step }) => {
        if (version > 1) await step("new", () => version);
        for (const question of ["who", "why"]) await step("ask", () => question);
        if (version++ === 1) throw new Error("once more");
      },
      { onError: (error) => void globalThis.tell(error.message) },
    );
  });
  await become(tab, "m", "failed");
  await tab.evaluate(({ conversation }) => conversation.retry("m"));
  await become(tab, "m", "failed");
  const error = await tab.evaluate(({ conversation }) => conversation.state.message("m")?.error);
  expect(error).toMatch(/step_mismatch: step ask of message "m" .*give the calls of ask keys or scopes, and retry from step 0 to go on/);
  await expect.poll(() => told).toEqual(["once more", error]);
});

for (const what of ["output", "chunks"] as const) {
  test(`what is stored and cannot be decoded ends the attempt and fails the message, though the handler swallows the error: ${what}`, async ({ page, tab, told }) => {
    await send(tab, "m");
    const place = ["", new Uint8Array(), 0, 0, 0, 1];
    const damaged = Uint8Array.of(0xc1);
    await appendByHand(page, "chat", 1, what === "output" ? [3, "m", 0, damaged, "ask", ...place] : [7, "m", 0, "ask", 0, damaged, ...place]);
    await refresh(tab);
    await tab.evaluate(({ conversation }, what) => {
      conversation.process(
        async ({ step, signal }) => {
          const slow = step("slow", (context) => new Promise((resolve) => context.signal.addEventListener("abort", resolve)));
          const ask = what === "output" ? step("ask", () => "asked again") : step.stream("ask", async function* ({ chunks }) {
            yield chunks.length;
          });
          const errors = await Promise.all([ask, slow].map((one) => one.then(String, (error: unknown) => error)));
          await globalThis.tell(`${(errors[0] as { code?: string }).code}, ${errors.every((error) => error === signal.reason)}`);
          return "done";
        },
        { onError: (error) => void globalThis.tell(error.message) },
      );
    }, what);
    await become(tab, "m", "failed");
    const text = "holdfast: step: corrupt: what is stored of step ask is not msgpack; another program may have written it; see retry with from";
    expect(await tab.evaluate(({ conversation }) => conversation.state.message("m")?.error)).toBe(text);
    await expect.poll(() => told.toSorted()).toEqual(["corrupt, true", text]);
    expect((await words(tab)).slice(-2)).toEqual([started, "error_occurred"]);
    if (what === "chunks") return;
    await tab.evaluate(({ conversation }) => conversation.retry("m", { from: 0 }));
    await expect.poll(() => tab.evaluate(({ conversation }) => conversation.state.message("m")?.steps[0]?.output)).toBe("asked again");
  });
}

test("steps that run at the same time are numbered as they come into the log", async ({ tab }) => {
  await send(tab, "m");
  await tab.evaluate(({ conversation }) => {
    conversation.process(async ({ step }) => {
      let release: () => void = () => undefined;
      const held = new Promise<void>((resolve) => (release = resolve));
      const slow = step("slow", () => held.then(() => "slow"));
      const quick = step("quick", () => "quick");
      await quick;
      release();
      return await Promise.all([slow, quick]);
    });
  });
  await become(tab, "m", "finished");
  expect(await words(tab)).toEqual([received, started, "quick completed", "slow completed", finished]);
  expect(await tab.evaluate(({ conversation }) => conversation.state.messages[0]?.steps.map(({ index, name }) => `${index} ${name}`))).toEqual(["0 quick", "1 slow"]);
});

test("a step that fails is tried again, up to its last attempt, unless it fails for good or is too slow", async ({ tab, told }) => {
  await send(tab, "flaky", "hopeless", "terminal", "slow");
  await tab.evaluate(async ({ conversation }) => {
    const { TerminalError } = await import("@holdfast-dev/holdfast");
    conversation.process(
      async ({ message, step }) =>
        step(message.id, async ({ attempt, signal }) => {
          const telling = globalThis.tell(`${message.id} ${attempt}`);
          if (message.id === "slow") {
            await new Promise((resolve) => signal.addEventListener("abort", resolve)); // which may come before the test was told
            void globalThis.tell(String(signal.reason));
          }
          await telling;
          if (message.id === "flaky" && attempt === 3) return "done";
          if (message.id === "terminal") throw new TerminalError("never mind");
          throw new RangeError("too far");
        }, message.id === "slow" ? { timeout: 200, maxAttempts: 2 } : {}),
      { maxAttempts: 3, backoff: { initial: 1, max: 4 } },
    );
  });
  await become(tab, "slow", "failed");
  const timeout = "TimeoutError: step slow took longer than its timeout";
  expect(told).toEqual(["flaky 1", "flaky 2", "flaky 3", "hopeless 1", "hopeless 2", "hopeless 3", "terminal 1", "slow 1", timeout, "slow 2", timeout]);
  expect(await tab.evaluate(({ conversation }) => conversation.state.messages.map(({ status, error }) => `${status} ${error}`))).toEqual([
    "finished undefined",
    "failed RangeError: too far",
    "failed TerminalError: never mind",
    `failed ${timeout}`,
  ]);
});

test("the signal of a handler aborts when it throws, and not when its message finishes", async ({ tab, told }) => {
  const ids = Array.from({ length: 20 }, (_, i) => `m${i}`);
  await send(tab, ...ids, "throws");
  await tab.evaluate(({ conversation }) => {
    conversation.process(async ({ message, step, signal }) => {
      signal.addEventListener("abort", () => void globalThis.tell(`${message.id} is aborted: ${String(signal.reason)}`));
      const id = await step("s", () => message.id);
      if (id === "throws") throw new RangeError("no");
      return id;
    });
  });
  await become(tab, "throws", "failed");
  await expect.poll(() => told).toEqual(["throws is aborted: RangeError: no"]);
});

test("a step whose function was not called before its handler threw is in no doubt: a retry calls it", async ({ tab }) => {
  const results = await tab.evaluate(async ({ conversation }) => {
    let broken = true;
    const stop = conversation.process(async ({ message, step }) => {
      const pay = step("pay", () => "paid", { sideEffect: "skip" });
      pay.catch(() => undefined);
      if (broken && message.id === "cancelled") void conversation.cancel(message.id);
      if (broken) throw new Error("broken");
      return pay;
    }, { onError: () => undefined });
    for (const id of ["failed", "cancelled"]) await conversation.send({ id });
    const before = [(await conversation.ended("failed")).status, (await conversation.ended("cancelled")).status];
    broken = false;
    const after: unknown[] = [];
    for (const id of ["failed", "cancelled"]) {
      await conversation.retry(id);
      after.push((await conversation.ended(id)).result);
    }
    await stop();
    return { before, after };
  });
  expect(results).toEqual({ before: ["failed", "cancelled"], after: ["paid", "paid"] });
});

test("a step whose message is cancelled in the moment in which its function is to be called is in no doubt: a retry calls it", async ({ page, server }) => {
  await page.goto(server.origin);
  const memory = await attach(page, "chat", { storage: "memory" });
  const results = await memory.evaluate(async ({ conversation }) => {
    let first = true;
    const calls: string[] = [];
    const stop = conversation.process(async ({ message: { id }, step }) => {
      const pay = step("pay", () => (calls.push(id), "paid"), { sideEffect: "skip" });
      if (!first) return pay;
      pay.catch(() => undefined);
      // It does not settle, so the next message begins by itself, not with its send.
      return new Promise(() => {
        const unsubscribe = conversation.subscribe(() => {
          const { openSteps = [], steps = [] } = conversation.state.message(id) ?? {};
          if (openSteps.length + steps.length === 0) return;
          unsubscribe();
          void conversation.cancel(id);
        });
      });
    });
    const ids = ["a", "b", "c"];
    for (const id of ids) {
      await conversation.send({ id });
      if ((await conversation.ended(id)).status !== "cancelled") throw new Error("it was not cancelled");
    }
    const before = calls.length;
    first = false;
    for (const id of ids) {
      await conversation.retry(id);
      await conversation.ended(id);
    }
    await stop();
    return { before, calls };
  });
  expect(results.before, "the moment was met").toBeLessThan(3);
  expect(results.calls, "each is called once").toEqual(["a", "b", "c"]);
});

test("what a step throws reaches the handler as it is stored, and can be seen in the message", async ({ tab }) => {
  await send(tab, "m");
  const facts = await tab.evaluate(async ({ conversation }) => {
    const { StepError } = await import("@holdfast-dev/holdfast");
    class Refusal extends RangeError {
      override readonly name = "Refusal";
      readonly status = 402;
    }
    const refuse = (): Promise<never> => Promise.reject(new Refusal("no money", { cause: new TypeError("the card", { cause: "is lost" }) }));
    const seen = (error: unknown): unknown => {
      if (!(error instanceof StepError)) return error;
      const { name, message, step, index, attempts, cause } = error;
      return { name, message, step, index, attempts, causes: [cause, (cause as Error).cause].map(String), status: "status" in error };
    };
    conversation.process(async ({ step }) => step("pay", refuse, { maxAttempts: 2, backoff: { initial: 1 } }).catch(seen));
    await globalThis.when(conversation, () => conversation.state.message("m")?.status === "finished");
    const { result, steps = [] } = conversation.state.message("m") ?? {};
    return { result, stored: steps.map(({ error }) => seen(error)) };
  });
  const error = { name: "Refusal", message: "no money", step: "pay", index: 0, attempts: 2, causes: ["TypeError: the card", "is lost"], status: false };
  expect(facts).toEqual({ result: error, stored: [error] });
  expect(await words(tab)).toEqual([received, started, "pay attempt_failed", "pay failed", finished]);
});

test("what cannot be stored or done fails the message with a clear text, and later messages go on", async ({ tab }) => {
  const ids = ["function", "class", "result", "late", "name", "options", "stream", "hole", "symbol", "proxy", "fine"];
  await send(tab, ...ids);
  await tab.evaluate(({ conversation }) => {
    let late: Promise<unknown> | undefined;
    conversation.process(async ({ message: { id }, step }) => {
      switch (id) {
        case "function":
          return await step(id, () => (() => 1) as never, { maxAttempts: 3 });
        case "class":
          return await step(id, () => new URL("about:blank") as never);
        case "result":
          return new Map();
        case "late":
          queueMicrotask(() => undefined);
          late = Promise.resolve().then(async () => {
            await new Promise((resolve) => setTimeout(resolve)); // the handler has returned by then
            return step(id, () => 1);
          });
          late.catch(() => undefined);
          return id;
        case "name":
          return await step("", () => 1);
        case "options":
          return await step(id, () => 1, { timeout: -1 });
        case "stream":
          return await step.stream(id, (() => "text") as never);
        case "hole":
          return await step.stream(id, async function* () {
            yield undefined;
            yield "all";
            yield undefined;
          });
        case "proxy": {
          const { HoldfastError } = await import("@holdfast-dev/holdfast");
          const hostile = new Proxy(new HoldfastError("closed", "…"), {
            get() {
              throw new Error("do not look");
            },
          });
          return await step(id, () => Promise.reject(hostile), { maxAttempts: 1 });
        }
        case "symbol":
          throw Symbol("odd"); // eslint-disable-line
        default:
          return await late?.catch((error: Error) => error.message);
      }
    });
  });
  await become(tab, "fine", "finished");
  const outcomes = await tab.evaluate(({ conversation }) => conversation.state.messages.map(({ id, error, result }) => `${id}: ${error ?? JSON.stringify(result)}`));
  expect(outcomes).toEqual([
    expect.stringMatching(/^function: .*invalid_argument: the output of function is a value of type function/),
    expect.stringMatching(/^class: .*invalid_argument: the output of class is an instance of/),
    expect.stringMatching(/^result: .*invalid_argument: the result/),
    'late: "late"',
    expect.stringMatching(/^name: .*invalid_argument: .*empty/),
    expect.stringMatching(/^options: .*out_of_range: timeout/),
    expect.stringMatching(/^stream: TerminalError: .*async iterable/),
    'hole: "all"',
    "symbol: Symbol(odd)",
    "proxy: something was thrown that has no text",
    expect.stringMatching(/^fine: ".*the handler has returned; await its steps in it/),
  ]);
});

test.describe("streaming", () => {
  test("text is joined, other chunks are listed, and a run that fails begins anew", async ({ tab }) => {
    await send(tab, "text", "parts", "stream", "nothing", "broken");
    await tab.evaluate(({ conversation }) => {
      conversation.process(async ({ message: { id }, step }) => {
        switch (id) {
          case "text":
            return await step.stream(id, async function* () {
              yield "once ";
              yield "upon";
            });
          case "parts":
            return await step.stream(id, async function* () {
              yield { token: 1 };
              yield "two";
            });
          case "stream":
            return await step.stream(id, () => Promise.resolve(new Blob(["a response"]).stream().pipeThrough(new TextDecoderStream())));
          case "nothing": {
            const all = await step.stream(id, async function* (): AsyncGenerator<number> {
              // No chunk at all.
            });
            // @ts-expect-error -- It may be a text, as it is here.
            return all satisfies readonly number[];
          }
          default:
            return await step.stream(
              id,
              async function* ({ attempt }) {
                yield `attempt ${attempt}`;
                if (attempt === 1) throw new Error("cut");
                yield "!";
              },
              { backoff: { initial: 1 } },
            );
        }
      });
    });
    await become(tab, "broken", "finished");
    expect(await tab.evaluate(({ conversation }) => conversation.state.messages.map(({ result }) => result))).toEqual([
      "once upon",
      [{ token: 1 }, "two"],
      "a response",
      "",
      "attempt 2!",
    ]);
  });

  test("a chunk is what it was when it came, though its object is used again", async ({ tab }) => {
    await send(tab, "bytes", "snapshots", "mixed", "many");
    await tab.evaluate(({ conversation }) => {
      conversation.process(async ({ message: { id }, step }) =>
        step.stream(id, async function* () {
          const buffer = new Uint8Array(1);
          const snapshot = { text: "" };
          switch (id) {
            case "bytes":
              for (buffer[0] = 1; buffer[0] < 3; buffer[0]++) yield buffer;
              return;
            case "snapshots":
              for (const token of ["once ", "upon"]) {
                snapshot.text += token;
                yield snapshot;
              }
              return;
            case "mixed":
              yield* ["text", null, [1], new Date(5)];
              return;
            default:
              for (let i = 0; i < 70_000; i++) yield i;
          }
        }),
      );
    });
    await become(tab, "many", "finished");
    const results = await tab.evaluate(({ conversation }) => conversation.state.messages.map(({ result }) => result as unknown[]));
    expect(results.slice(0, 3)).toEqual([
      [new Uint8Array([1]), new Uint8Array([2])],
      [{ text: "once " }, { text: "once upon" }],
      ["text", null, [1], new Date(5)],
    ]);
    expect(results[3]).toEqual(Array.from({ length: 70_000 }, (_, i) => i));
  });

  test("chunks of one task cross together, in their order, and wait while the program takes no more", async ({ tab }) => {
    const facts = await tab.evaluate(async () => {
      const { streamed } = (await import("@holdfast-dev/holdfast")) as typeof Bundle;
      const run = async (chunks: readonly string[], emit: (part: Uint8Array) => Promise<unknown>): Promise<unknown> =>
        streamed(() => new ReadableStream({ start: (to) => (chunks.forEach((chunk) => to.enqueue(chunk)), to.close()) }), { signal: new AbortController().signal } as StepContext, emit, false, (call) => call())
          .then((output) => new TextDecoder().decode(output?.subarray(3)), String);
      const many = Array.from({ length: 5000 }, (_, i) => `${i} `);
      const sizes: number[] = [];
      const note = async (part: Uint8Array): Promise<void> => void sizes.push(part.byteLength);
      const whole = (await run(many, note)) === many.join("");
      const together = sizes.splice(0).length;
      await run(["a".repeat(50_000), "b".repeat(50_000), "c".repeat(200_000), "d"], note);
      let refusals = 0;
      const refused = await run(many, async () => {
        refusals++;
        throw new Error("no longer at work");
      });
      let taking = 0;
      let most = 0;
      await run(Array.from({ length: 40 }, () => "e".repeat(40_000)), async () => {
        most = Math.max(most, ++taking);
        await new Promise((resolve) => setTimeout(resolve, 5));
        taking--;
      });
      return { whole, together, sizes, refused, refusals, most };
    });
    expect(facts).toEqual({ whole: true, together: 1, sizes: [50_003, 50_003, 200_005, 2], refused: "Error: no longer at work", refusals: 1, most: 1 });
  });

  test("an output that is getting too large ends the step at once", async ({ tab, told }) => {
    await send(tab, "m");
    await tab.evaluate(({ conversation }) => {
      conversation.process(async ({ step }) =>
        step.stream("write", async function* () {
          try {
            for (;;) yield "x".repeat(2 ** 20);
          } finally {
            await globalThis.tell("the generator has ended");
          }
        }),
      );
    });
    await become(tab, "m", "failed");
    expect(await tab.evaluate(({ conversation }) => conversation.state.message("m")?.error)).toContain("too_large: the output is larger than");
    expect(told).toEqual(["the generator has ended"]);
  });

  test("a hundred tokens a second cost about ten commits a second, and can be read after the page is gone", async ({ context, page, tab, server }) => {
    await send(tab, "m");
    await tab.evaluate(({ conversation }) => {
      conversation.process(async ({ step }) =>
        step.stream("write", async function* () {
          for (let i = 0; ; i++) {
            yield `${i} `;
            await new Promise((resolve) => setTimeout(resolve, 10));
          }
        }),
      );
    });
    const length = (at: Tab): Promise<number> => at.evaluate(({ conversation }) => conversation.state.message("m")?.openSteps[0]?.chunks.length ?? 0);
    await expect.poll(() => length(tab)).toBeGreaterThan(150);
    const seen = await length(tab);
    await page.close();
    const reader = await join(await context.newPage(), server, []);
    const open = await reader.evaluate(({ conversation }) => conversation.state.message("m")?.openSteps.map(({ index, name, chunks, uncertain }) => ({ index, name, chunks, uncertain })));
    const chunks = open?.[0]?.chunks ?? [];
    expect(open).toEqual([{ index: 0, name: "write", uncertain: false, chunks: chunks.map((_, i) => `${i} `) }]);
    expect(chunks.length).toBeGreaterThanOrEqual(seen);
    const times = (await log(reader)).flatMap((event) => (event.kind === "step_streamed" ? [event.timestamp] : []));
    const seconds = ((times.at(-1) ?? 0) - (times[0] ?? 0)) / 1000;
    expect((times.length - 1) / seconds).toBeLessThanOrEqual(10.5);
    // A run after that replaces what was left.
    await reader.evaluate(({ conversation }) => {
      conversation.process(async ({ step }) => step.stream("write", async function* () {
        yield "anew";
      }));
    });
    await become(reader, "m", "finished");
    expect(await reader.evaluate(({ conversation }) => [conversation.state.message("m")?.result, conversation.state.message("m")?.openSteps])).toEqual(["anew", []]);
  });
});

test.describe("side effects", () => {
  test("an idempotency key is that of one step of one message, wherever it runs", async ({ tab }) => {
    const keys = await tab.evaluate(async ({ conversation, holdfast }) => {
      const { open } = await import("@holdfast-dev/holdfast");
      const found: string[][] = [];
      const work = async (chat: typeof conversation): Promise<void> => {
        const own: string[] = [];
        const stop = chat.process(async ({ step }) => {
          const note = (attempts: number) => ({ idempotencyKey, attempt }: { idempotencyKey: string; attempt: number }) => {
            own.push(idempotencyKey);
            if (attempt < attempts) throw new Error("once more");
          };
          await step("pay", note(2), { backoff: { initial: 1 } });
          await step("pay", note(1), { key: "pay" });
          await step.scope("pay")("pay", note(1));
          await step("outer", ({ step: inner }) => inner("pay", note(1)));
        });
        await chat.send({ id: `m ${found.length}` });
        await globalThis.when(chat, () => chat.state.messages.at(-1)?.status === "finished");
        await stop();
        found.push(own);
      };
      await work(conversation);
      await work(conversation); // another message
      await holdfast.delete(conversation.id);
      await conversation.refresh();
      found.length = 1;
      await work(conversation); // a message with the same id
      const other = await open({ storage: "memory" });
      await work(other.create(conversation.id));
      return found;
    });
    expect(keys.flat().every((key) => /^[0-9a-f]{32}$/.test(key))).toBe(true);
    expect(keys.map(([first, again]) => first === again)).toEqual([true, true, true]);
    expect(new Set(keys.flat()).size).toBe(3 * 4);
  });

  for (const policy of ["rerun", "skip", "ask"] as const) {
    for (const choice of policy === "ask" ? (["rerun", "skip"] as const) : ([undefined] as const)) {
      test(`of a page that died in the middle: ${policy}${choice === undefined ? "" : `, answered ${choice}`}`, async ({ context, page, tab, told, server }) => {
        const pay = (at: Tab, last = true): Promise<void> =>
          at.evaluate(({ conversation }, [sideEffect, more]) => {
            conversation.process(async ({ step }) => {
              const paid = await step("pay", async ({ uncertain }) => {
                await globalThis.tell(`pay ${uncertain}`);
                if (!more) await new Promise(() => undefined);
                return "paid";
              }, { sideEffect });
              return paid ?? "perhaps paid";
            });
          }, [policy, last] as const);
        await send(tab, "m");
        await pay(tab, false);
        await expect.poll(() => told).toEqual(["pay false"]);
        expect(await words(tab)).toEqual([received, started, "pay started"]);
        await page.close();
        const next = await join(await context.newPage(), server, told);
        await pay(next);
        if (choice !== undefined) {
          const other = await join(await context.newPage(), server, told);
          await become(other, "m", "waiting");
          expect(await other.evaluate(({ conversation }) => conversation.state.message("m")?.openSteps.map(({ uncertain }) => uncertain))).toEqual([true]);
          expect(await other.evaluate(({ conversation }, answer) => conversation.resolveStep("m", 0, answer), choice)).toBe(true);
        }
        await become(next, "m", "finished");
        const again = (choice ?? policy) === "rerun";
        // A decision clears the doubt: the step begins once more.
        expect(told).toEqual(again ? ["pay false", `pay ${choice === undefined}`] : ["pay false"]);
        expect(await next.evaluate(({ conversation }) => conversation.state.message("m")?.result)).toBe(again ? "paid" : "perhaps paid");
        const asked = { rerun: ["processing_stopped", "0 resolved", started, "pay started", "pay completed"], skip: ["processing_stopped", "pay completed", started] };
        expect(await words(next)).toEqual([received, started, "pay started", started, ...(choice === undefined ? ["pay completed"] : asked[choice]), finished]);
      });
    }
  }
});

test("stopping, cancelling and closing mean three things, and the log shows which", async ({ context, page, tab, told, server }) => {
  const work = (at: Tab): Promise<void> =>
    at.evaluate(async ({ conversation }) => {
      const stop = conversation.process(async ({ message, step, signal }) => {
        signal.addEventListener("abort", () => void globalThis.tell(`${message.id} aborted: ${(signal.reason as { code?: string }).code}`));
        await step("wait", ({ signal: own }) => new Promise((_, reject) => own.addEventListener("abort", () => reject(own.reason as Error))));
      });
      Object.assign(globalThis, { stop });
    });
  await send(tab, "m");
  await work(tab);
  await become(tab, "m", "processing");
  await tab.evaluate(() => (globalThis as unknown as { stop: () => Promise<void> }).stop());
  await expect.poll(() => told).toEqual(["m aborted: closed"]);
  expect(await words(tab)).toEqual([received, started, "processing_stopped"]);
  expect(await tab.evaluate(({ conversation }) => [conversation.state.message("m")?.status, conversation.state.message("m")?.starts])).toEqual(["received", 0]);

  await work(tab);
  await become(tab, "m", "processing");
  await page.close();
  const second = await join(await context.newPage(), server, told);
  expect(await words(second)).toEqual([received, started, "processing_stopped", started]);
  expect(await second.evaluate(({ conversation }) => [conversation.state.message("m")?.status, conversation.state.message("m")?.starts])).toEqual(["processing", 1]);

  await work(second);
  await second.evaluate(({ conversation }) => globalThis.when(conversation, () => conversation.state.message("m")?.starts === 2));
  const third = await join(await context.newPage(), server, told);
  expect(await third.evaluate(({ conversation }) => Promise.all([conversation.cancel("m"), conversation.cancel("m")]))).toEqual([true, true]);
  await expect.poll(() => told).toEqual(["m aborted: closed", "m aborted: cancelled"]);
  await send(third, "n");
  await become(second, "n", "processing"); // nobody goes on with m
  expect(await words(third, "m")).toEqual([received, started, "processing_stopped", started, started, "message_cancelled"]);
  expect(await third.evaluate(({ conversation }) => conversation.retry("m"))).toBe(true);
});

test("a handler that was given up is not called again before it has returned, or has had a second for that", async ({ tab }) => {
  await send(tab, "m");
  const calls = await tab.evaluate(async ({ conversation }) => {
    const seen: string[] = [];
    let atWork = 0;
    const work = (): (() => Promise<void>) =>
      conversation.process(async ({ signal }) => {
        const own = seen.push(`begins beside ${atWork++}`);
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
        if (own === 3) await new Promise(() => undefined); // it does not settle
        await new Promise((resolve) => setTimeout(resolve, 100)); // it cleans up
        atWork--;
      });
    const called = async (count: number): Promise<void> => {
      while (seen.length < count) await new Promise((resolve) => setTimeout(resolve));
    };
    const stop = work();
    await called(1);
    await conversation.cancel("m");
    await conversation.retry("m");
    await called(2);
    void stop();
    const stopAgain = work();
    await called(3);
    await conversation.cancel("m");
    await conversation.retry("m");
    await called(4);
    await stopAgain();
    return [...seen, `stopped beside ${atWork}`];
  });
  expect(calls).toEqual(["begins beside 0", "begins beside 0", "begins beside 0", "begins beside 1", "stopped beside 1"]);
});

test("closing the store stops its runners first; so does the option signal; deleting the conversation aborts", async ({ tab, told }) => {
  await send(tab, "m");
  const codes = await tab.evaluate(async ({ holdfast, conversation }) => {
    const aborted = (): Promise<unknown> =>
      new Promise((resolve) => {
        const controller = new AbortController();
        conversation.process(
          async ({ signal, step }) => {
            signal.addEventListener("abort", () => resolve((signal.reason as { code?: string }).code));
            void step("wait", () => new Promise(() => undefined)).catch(() => undefined);
            if (next === "abort") controller.abort();
            if (next === "delete") void holdfast.delete(conversation.id);
            if (next === "close") void holdfast.close();
            await new Promise(() => undefined);
          },
          { signal: controller.signal },
        );
      });
    let next = "abort";
    const codes = [await aborted()];
    await globalThis.when(conversation, () => conversation.state.message("m")?.status === "received");
    next = "delete";
    codes.push(await aborted());
    await conversation.send({ id: "n" });
    next = "close";
    await globalThis.when(conversation, () => conversation.state.message("n")?.status === "processing");
    return codes;
  });
  expect(codes).toEqual(["closed", "cancelled"]);
  expect(told).toEqual([]);
});

test("a message that starts again and again without completing a step is given up", async ({ context, tab, page, told, server }) => {
  await send(tab, "poison", "fine");
  await page.close();
  for (let i = 0; i <= 3; i++) {
    const next = await context.newPage();
    const at = await join(next, server, told);
    await at.evaluate(({ conversation }) => {
      conversation.process(
        async ({ message }) => {
          if (message.id === "fine") return;
          await globalThis.tell("started");
          await new Promise(() => undefined);
        },
        { maxStarts: 3 },
      );
    });
    if (i < 3) await expect.poll(() => told.length).toBe(i + 1);
    else await become(at, "fine", "finished");
    if (i === 3) expect(await at.evaluate(({ conversation }) => conversation.state.message("poison")?.error)).toContain("has started 3 times");
    await next.close();
  }
});

test("arguments that make no sense are refused at once", async ({ tab }) => {
  const codes = await tab.evaluate(async ({ holdfast, conversation }) => {
    const attempts: (() => unknown)[] = [
      () => conversation.process(undefined as never),
      () => conversation.process(() => 1, { maxAttempts: 0 }),
      () => conversation.process(() => 1, { maxStarts: 1.5 }),
      () => conversation.process(() => 1, { backoff: { initial: -1 } }),
      () => conversation.process(() => 1, { onError: 1 as never }),
      () => conversation.process(() => 1, { signal: {} as never }),
      () => conversation.process(() => 1, { signal: Object.create(AbortSignal.prototype) as AbortSignal }),
      () => conversation.send({ id: "" }),
      () => conversation.send(undefined as never),
      () => conversation.cancel("unknown"),
      () => conversation.retry("unknown"),
      () => conversation.retry("unknown", { from: 0 }),
      () => conversation.answer("unknown", 0, "yes"),
      () => conversation.resolveStep("unknown", 0, "skip"),
      () => conversation.resolveStep("unknown", -1, "skip"),
      () => conversation.resolveStep("unknown", 0, "maybe" as never),
      async () => {
        await holdfast.close();
        conversation.process(() => 1);
      },
    ];
    const found: unknown[] = [];
    for (const attempt of attempts) {
      try {
        await attempt();
        found.push("accepted");
      } catch (error) {
        found.push((error as { code?: string }).code);
      }
    }
    return found;
  });
  const invalid = "invalid_argument";
  const beyond = "out_of_range";
  expect(codes).toEqual([invalid, beyond, invalid, beyond, ...Array.from({ length: 10 }, () => invalid), beyond, invalid, "closed"]);
});

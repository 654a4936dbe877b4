// How the processing of a message ends, whatever its handler does: errors that end it, steps nobody awaits, what is thrown.
import type { RunStep, Work } from "@holdfast-dev/holdfast";
import { listen, test as base } from "./harness/holdfast.js";
import { attach, type Tab } from "./harness/tab.js";
import { expect } from "./harness/test.js";
import { become, prepare, send, words } from "./harness/work.js";

/** A conversation in memory, and what is told of it. Nothing goes wrong unseen: no promise is left unhandled. */
const test = base.extend<{ heard: string[]; tab: Tab }>({
  // oxlint-disable-next-line no-empty-pattern -- Playwright reads the names of the fixtures from this pattern.
  heard: async ({}, use) => use([]),
  tab: async ({ page, server, complaints, heard }, use) => {
    listen(page, complaints);
    await prepare(page, heard);
    await page.goto(server.origin);
    await use(await attach(page, "chat", { storage: "memory" }));
  },
});

const errorOf = (tab: Tab, id = "m"): Promise<string | undefined> => tab.evaluate(({ conversation }, id) => conversation.state.message(id)?.error, id);

test.describe("an error that ends the attempt", () => {
  for (const then of ["returns", "throws"] as const) {
    test(`step_mismatch fails the message, though the handler swallows it and ${then}`, async ({ tab, heard }) => {
      await send(tab, "m");
      await tab.evaluate(({ conversation }, then) => {
        let version = 1;
        conversation.process(
          async ({ step, signal }) => {
            const found: unknown[] = [];
            const note = (error: unknown): unknown => found.push(error);
            const slow = step("slow", () => new Promise(() => undefined)).catch(note);
            if (version > 1) await step("new", () => 1);
            for (let turn = 0; turn < 2; turn++) await step("turn", () => turn).catch(note);
            if (version++ === 1) throw new Error("once more");
            await slow;
            await step("later", () => 1).catch(note);
            await globalThis.tell(`${found.length} errors, ${new Set([...found, signal.reason]).size === 1}, ${signal.aborted}`);
            if (then === "throws") throw new Error("something else");
            return "done";
          },
          { onError: () => undefined },
        );
      }, then);
      await become(tab, "m", "failed");
      await tab.evaluate(({ conversation }) => conversation.retry("m"));
      await become(tab, "m", "failed");
      await expect.poll(() => heard).toEqual(["4 errors, true, true"]);
      expect(await errorOf(tab)).toContain("step_mismatch");
      expect(await words(tab)).toEqual(["message_received", "processing_started", "turn completed", "turn completed", "error_occurred", "message_retried", "processing_started", "new completed", "error_occurred"]);
    });

    for (const code of ["cancelled", "closed"] as const) {
      test(`${code} leaves nothing behind, though the handler swallows it and ${then}`, async ({ tab, heard }) => {
        await send(tab, "m");
        const reason = await tab.evaluate(
          async ({ conversation }, [code, then]) => {
            const begun = Promise.withResolvers<Work>();
            const over = Promise.withResolvers<unknown>();
            const stop = conversation.process(async (work) => {
              const { step, signal } = work;
              const pending = [step("hangs", () => new Promise(() => undefined)), step.wait("asks"), step.sleep("sleeps", 60_000)];
              begun.resolve(work);
              const reasons = await Promise.all([...pending, new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error)))].map((one) => one.then(String, (error: unknown) => error)));
              reasons.push(await step("later", () => globalThis.tell("a function is called")).catch((error: unknown) => error));
              over.resolve(reasons.every((one) => one === signal.reason) ? (signal.reason as { code: string }).code : reasons.map(String));
              if (then === "throws") throw new Error("something else");
              return "done";
            });
            await begun.promise;
            await globalThis.when(conversation, () => conversation.state.message("m")?.openSteps.length === 2);
            if (code === "cancelled") await conversation.cancel("m");
            const stopped = stop();
            const reason = await over.promise;
            await stopped;
            return reason;
          },
          [code, then] as const,
        );
        expect(reason).toBe(code);
        expect(heard).toEqual([]);
        expect((await words(tab)).sort()).toEqual([code === "cancelled" ? "message_cancelled" : "processing_stopped", "asks waiting", "message_received", "processing_started", "sleeps waiting"].sort());
        expect(await tab.evaluate(({ conversation }) => conversation.state.message("m")?.status)).toBe(code === "cancelled" ? "cancelled" : "received");
      });
    }
  }

  test("a handler that swallows every error in a loop does not stop the page", async ({ tab }) => {
    await send(tab, "ended", "same key", "bad name");
    const counts = await tab.evaluate(async ({ conversation }) => {
      const calls: Record<string, number> = {};
      conversation.process(async ({ message: { id }, step, signal }) => {
        const call = (): Promise<unknown> => {
          calls[id] = (calls[id] ?? 0) + 1;
          if (id === "bad name") return step("", () => 1);
          const one = (): Promise<unknown> => step("x", () => new Promise(() => undefined), { key: "k" });
          return id === "ended" ? one() : Promise.all([one(), one()]);
        };
        if (id === "ended") queueMicrotask(() => void conversation.cancel(id));
        for (;;) {
          try {
            await call();
          } catch {
            // As frameworks do, which turn exceptions into text for the model.
            if (id !== "ended" && signal.aborted) return;
          }
        }
      });
      const turns = async (id: string, count: number): Promise<void> => {
        while ((calls[id] ?? 0) < count) await new Promise((resolve) => setTimeout(resolve, 1));
        await conversation.cancel(id);
      };
      await globalThis.when(conversation, () => conversation.state.message("ended")?.status === "cancelled");
      for (const id of ["same key", "bad name"]) {
        await globalThis.when(conversation, () => conversation.state.message(id)?.status === "processing");
        await turns(id, 150); // more than are answered after an end
      }
      return calls;
    });
    expect(counts["ended"]).toBeLessThanOrEqual(102);
    expect(counts["ended"]).toBeGreaterThan(10);
  });
});

test.describe("a handler that returns while steps run", () => {
  test("waits for those that nobody awaits, and does not wait for those that somebody does", async ({ tab, heard }) => {
    await send(tab, "detached", "lost", "caught");
    await tab.evaluate(({ conversation }) => {
      conversation.process(async ({ message: { id }, step }) => {
        const slow = (): Promise<unknown> =>
          step("slow", async ({ signal }) => {
            signal.addEventListener("abort", () => void globalThis.tell(`${id}: aborted`));
            await new Promise((resolve) => setTimeout(resolve, id === "detached" ? 30 : 60_000));
            return "slow";
          });
        if (id === "detached") void slow();
        if (id === "lost") return Promise.race([slow(), step("quick", () => "quick")]);
        if (id === "caught") void slow().catch(() => undefined);
        await new Promise((resolve) => setTimeout(resolve)); // its function has begun
        return "done";
      });
    });
    await become(tab, "caught", "finished");
    expect(await tab.evaluate(({ conversation }) => conversation.state.messages.map(({ result, steps }) => [result, ...steps.map(({ output }) => output)]))).toEqual([["done", "slow"], ["quick", "quick"], ["done"]]);
    await expect.poll(() => heard).toEqual(["lost: aborted", "caught: aborted"]);
  });

  test("fails if one of those fails that nobody awaits, and says what to do", async ({ tab }) => {
    await send(tab, "m");
    await tab.evaluate(({ conversation }) => {
      conversation.process(async ({ step }) => {
        // oxlint-disable-next-line typescript/no-floating-promises -- as it happens
        step("log", () => Promise.reject(new Error("no room")), { maxAttempts: 1 });
        return "done";
      });
    });
    await become(tab, "m", "failed");
    expect(await errorOf(tab)).toMatch(/^Error: step log has failed, and the handler did not await it.*; caused by Error: no room$/);
  });

  test("fails if a call was refused that nobody awaits", async ({ tab }) => {
    await send(tab, "m");
    await tab.evaluate(({ conversation }) => {
      conversation.process(
        async ({ step }) => {
          void step("log", () => "first", { key: "k" });
          void step("log", () => "second", { key: "k" });
          return step("end", () => "end");
        },
        { onError: () => undefined },
      );
    });
    await become(tab, "m", "failed");
    expect(await errorOf(tab)).toMatch(/^Error: step log has failed, and the handler did not await it.*; caused by HoldfastError: .*invalid_argument: log is called with a key that another call of it has/);
  });

  test("gets no more steps, and leaves no promise unhandled", async ({ tab, heard }) => {
    await send(tab, "m");
    await tab.evaluate(({ conversation }) => {
      conversation.process(({ step }) => {
        setTimeout(() => {
          void step("unheard", () => 1);
          step("late", () => 1).catch((error: Error) => globalThis.tell(error.message));
        });
        return "done";
      });
    });
    await expect.poll(() => heard).toEqual(["holdfast: step: invalid_argument: the handler has returned; await its steps in it"]);
  });

  test("may never settle: the message is let go by stop and by cancel", async ({ tab, heard }) => {
    await send(tab, "m");
    await tab.evaluate(async ({ conversation }) => {
      const work = (): (() => Promise<void>) =>
        conversation.process(async ({ step }) => {
          await step("first", () => 1);
          await globalThis.tell("begun");
          await new Promise(() => undefined);
        });
      const stop = work();
      Object.assign(globalThis, { again: () => stop().then(work) });
    });
    await expect.poll(() => heard).toEqual(["begun"]);
    await tab.evaluate(() => (globalThis as unknown as { again: () => Promise<unknown> }).again());
    await expect.poll(() => heard).toEqual(["begun", "begun"]);
    await tab.evaluate(async ({ conversation }) => {
      await conversation.cancel("m");
      await conversation.send({ id: "n" });
    });
    await become(tab, "n", "processing");
  });
});

test("the signal of a step's function aborts if the function has thrown or is given up, and not if it has succeeded", async ({ tab, heard }) => {
  await send(tab, "m");
  await tab.evaluate(({ conversation }) => {
    conversation.process(async ({ step }) => {
      const listen = (name: string) => ({ signal, attempt }: { signal: AbortSignal; attempt: number }) => {
        signal.addEventListener("abort", () => void globalThis.tell(`${name} ${attempt}: ${(signal.reason as Error).name}`));
        if (name === "fails") throw new Error("no");
        return name === "late" ? new Promise(() => undefined) : name;
      };
      await step("done", listen("done"));
      await step("fails", listen("fails"), { maxAttempts: 2, backoff: { initial: 1 } }).catch(() => undefined);
      await step("late", listen("late"), { maxAttempts: 1, timeout: 20 }).catch(() => undefined);
    });
  });
  await become(tab, "m", "finished");
  await expect.poll(() => heard).toEqual(["fails 1: Error", "fails 2: Error", "late 1: TimeoutError"]);
});

test("a step of an outer function is refused within the function of a step, and within its generator", async ({ tab, heard }) => {
  await send(tab, "m");
  await tab.evaluate(({ conversation }) => {
    conversation.process(
      async ({ step }) => {
        const refused = (error: Error): Promise<void> => globalThis.tell(error.message);
        await step("function", () => step("first", () => 1)).catch(refused);
        await step
          .stream("generator", async function* () {
            yield await step("second", () => "a");
          })
          .catch(refused);
        await step
          .stream("later", async function* () {
            yield "a";
            yield await step("third", () => "b");
          })
          .catch(refused);
        await step.stream("right", async function* ({ step: inner }) {
          yield await inner("inner", () => "a");
          yield await inner("inner", () => "b");
        });
      },
      { backoff: { initial: 1 } },
    );
  });
  await become(tab, "m", "finished");
  const refusal = (name: string): string => `holdfast: step: invalid_argument: ${name} is called within the function of another step, by the step of an outer one: use context.step`;
  expect(heard).toEqual(["first", "second", "third"].map(refusal));
  const log = (await words(tab)).filter((word) => !word.endsWith("streamed"));
  expect(log).toEqual(["message_received", "processing_started", "function failed", "generator failed", "later failed", "inner completed", "inner completed", "right completed", "processing_finished"]);
});

test("steps within a step end with its function", async ({ tab, heard }) => {
  await send(tab, "m");
  await tab.evaluate(({ conversation }) => {
    conversation.process(async ({ step }) => {
      let late: Promise<unknown> | undefined;
      let begin: (() => Promise<unknown>) | undefined;
      await step("outer", ({ step: inner }) => {
        late = inner("inner", ({ signal }) => new Promise((resolve) => signal.addEventListener("abort", () => resolve(globalThis.tell("inner aborted")))));
        late.catch((error: Error) => globalThis.tell(error.message));
        begin = () => inner("too late", () => 1);
        return new Promise((resolve) => setTimeout(resolve, 20));
      });
      await late?.catch(() => undefined);
      await begin?.().catch((error: Error) => globalThis.tell(error.message));
    });
  });
  await become(tab, "m", "finished");
  const over = "holdfast: step: invalid_argument: the function of the step that calls this one has ended; await its steps in it";
  await expect.poll(() => heard.toSorted()).toEqual([over, over, "inner aborted"]);
});

test("the signal of a generator aborts if its message is cancelled", async ({ tab, heard }) => {
  await send(tab, "m");
  await tab.evaluate(async ({ conversation }) => {
    conversation.process(async ({ step }) =>
      step.stream("write", async function* ({ signal }) {
        yield "Never ";
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
        await globalThis.tell("aborted");
      }),
    );
    await globalThis.when(conversation, () => conversation.state.message("m")?.openSteps[0]?.chunks.length === 1);
    await conversation.cancel("m");
  });
  await expect.poll(() => heard).toEqual(["aborted"]);
});

test("what is thrown is stored with its name, its message and all its causes", async ({ tab }) => {
  const ids = ["object", "without prototype", "cause", "several", "circle", "answer", "event", "reason", "within", "suppressed", "itself", "string", "undefined", "null", "huge", "nothing", "empty", "proxy"];
  await send(tab, ...ids);
  await tab.evaluate(({ conversation }) => {
    const circle = new Error("round");
    circle.cause = circle;
    const thrown: Record<string, unknown> = {
      object: { status: 429, message: "rate limited" },
      "without prototype": Object.assign(Object.create(null) as object, { message: "rate limited" }),
      cause: new TypeError("fetch failed", { cause: new Error("refused", { cause: { code: 7 } }) }),
      several: new AggregateError([new Error("first is down"), "second is down"], "all are down"),
      circle,
      answer: new Response("…", { status: 429, statusText: "Too Many Requests" }),
      event: new ErrorEvent("error", { message: "it broke", error: new TypeError("because") }),
      reason: [{ status: "rejected", reason: new Error("why") }],
      within: { code: 5, error: new TypeError("because") },
      suppressed: Object.assign(new Error("two"), { error: new Error("first"), suppressed: new Error("second") }),
      itself: (() => {
        const itself: Record<string, unknown> = { code: 5 };
        return Object.assign(itself, { itself });
      })(),
      string: "rate limited",
      null: null,
      huge: new Error("x".repeat(100_000)),
      nothing: "",
      empty: Object.create(null),
      proxy: new Proxy(new Error("…"), {
        get() {
          throw new Error("do not look");
        },
      }),
    };
    conversation.process(
      ({ message: { id }, step }) =>
        step("call", () => {
          throw thrown[id]; // oxlint-disable-line typescript/only-throw-error -- as SDKs do
        }),
      { maxAttempts: 1 },
    );
  });
  await become(tab, "proxy", "failed");
  const errors = await tab.evaluate(({ conversation }) => conversation.state.messages.map(({ error }) => error));
  expect(errors).toEqual([
    'rate limited {"status":429,"message":"rate limited"}',
    "rate limited",
    'TypeError: fetch failed; caused by Error: refused; caused by {"code":7}',
    "AggregateError: all are down; caused by Error: first is down; caused by second is down",
    "Error: round",
    "Response default 429 Too Many Requests",
    "it broke ErrorEvent error; caused by TypeError: because",
    '[{"status":"rejected","reason":"Error: why"}]',
    '{"code":5,"error":"TypeError: because"}; caused by TypeError: because',
    "Error: two; caused by Error: first; caused by Error: second",
    '{"code":5}',
    "rate limited",
    "undefined",
    "null",
    expect.stringMatching(/^Error: x{3000,4000}$/),
    ...Array<string>(3).fill("something was thrown that has no text"),
  ]);
});

test("an error of the handler's own code reaches onError with its stack; one of a step does not", async ({ tab, heard, complaints }) => {
  await send(tab, "step", "own");
  await tab.evaluate(({ conversation }) => {
    const stop = conversation.process(
      async function agent({ message: { id, body }, step }) {
        await step("first", () => 1);
        if (id === "step") await step("second", () => Promise.reject(new TypeError("of a step")), { maxAttempts: 1 });
        return (body as { items: string[] }).items.length;
      },
      { onError: (error) => void globalThis.tell(`${error.name}, ${error.stack?.includes("agent")}`) },
    );
    void globalThis.when(conversation, () => conversation.state.message("own")?.status === "failed").then(stop);
  });
  await become(tab, "own", "failed");
  await expect.poll(() => heard).toEqual(["TypeError, true"]);
  // Without onError it is an error of the page, as any other.
  await tab.evaluate(async ({ conversation }) => {
    await conversation.send({ id: "unheard" });
    conversation.process(() => Promise.reject(new RangeError("of the handler")));
  });
  await expect.poll(() => complaints.splice(0)).toEqual(["uncaught: RangeError: of the handler"]);
});

test("errors of another copy of the package are understood", async ({ tab, page, server, heard }) => {
  await send(tab, "terminal", "inner");
  await tab.evaluate(async ({ conversation }, bundle) => {
    const other = (await import(bundle)) as { TerminalError: typeof Error; StepError: new (...of: unknown[]) => Error };
    conversation.process(
      async ({ message: { id }, step }) =>
        step("call", ({ attempt }) => {
          void globalThis.tell(`${id} ${attempt}`);
          throw id === "terminal" ? new other.TerminalError("401") : new other.StepError("inner", 0, 1, ["Error", "402"]);
        }),
      { backoff: { initial: 1 } },
    );
  }, `${server.origin}/bundle/package.js`);
  await become(tab, "inner", "failed");
  expect(heard).toEqual(["terminal 1", "inner 1"]);
  await page.close();
});

test("a rehearsal finds a handler that goes another way by itself, and no other", async ({ tab, heard }) => {
  const ids = ["name", "order", "keys", "count", "shared", "result", "skipped", "race", "failure", "waits", "refused", "nested"];
  await send(tab, ...ids);
  await tab.evaluate(({ conversation }) => {
    let calls = 0;
    conversation.process(
      async ({ message: { id }, step }) => {
        const again = calls++ % 2 === 1; // once for a message, and then once in the rehearsal
        const items = again ? ["b", "a"] : ["a", "b"];
        const pause = (ms: number): Promise<unknown> => new Promise((resolve) => setTimeout(resolve, ms));
        switch (id) {
          case "name":
            return step(`step ${again}`, () => 1);
          case "order":
            return Promise.all(items.map(async (item) => [item, await step("sum", () => item)]));
          case "keys":
            return (await Promise.all(items.map((item) => step("sum", () => item, { key: item })))).sort();
          case "count":
            for (let i = again ? 1 : 0; i < 2; i++) await step("turn", () => i);
            return id;
          case "skipped":
            if (!again) await step("first", () => 1);
            return step("second", () => 2);
          case "shared":
            return again && step("more", () => 1);
          case "result":
            return [await step("one", () => 1), performance.now()];
          case "race":
            return [await Promise.race([step("slow", () => pause(60_000)), step("quick", () => pause(5))]), await step("end", () => 1)].length;
          case "failure":
            await step("fails", () => Promise.reject(new Error("no")), { maxAttempts: 2, backoff: { initial: 1 } }).catch(() => step("falls back", () => 1));
            throw new Error("of its own");
          case "waits":
            return [await step.wait("late", { timeout: 5 }).catch(String), await step.sleep("rest", 5), await step.stream("text", async function* () { yield "x"; })].length;
          case "refused":
            await step("twice", () => 1, { key: "" }).catch(() => 0);
            return Promise.allSettled([1, 2].map((n) => step("once", () => n, { sideEffect: "skip" }))).then(() => 1);
          default:
            return step.scope("s")("outer", ({ step: inner }) => inner("inner", () => 1));
        }
      },
      { rehearse: true, onError: (error) => void globalThis.tell(error.message) },
    );
  });
  await become(tab, "nested", "finished");
  const went = (id: string, how: string): unknown =>
    expect.stringContaining(`holdfast: process: step_mismatch: in a rehearsal of message "${id}" the handler went another way: ${how}`);
  await expect.poll(() => heard).toEqual([
    went("name", "it calls step step true"),
    went("order", "it ends otherwise"),
    went("count", "it does not call step turn"),
    went("shared", "it calls step more"),
    went("result", "it ends otherwise"),
    went("skipped", "it does not call step first"),
    "of its own",
  ]);
});

test("who stops hears first what a rehearsal has found", async ({ tab }) => {
  await send(tab, "m");
  const heard = await tab.evaluate(async ({ conversation }) => {
    const errors: string[] = [];
    let calls = 0;
    const stop = conversation.process(
      async ({ step }) => {
        if (calls++ === 0) await step("first", () => 1);
        return step("second", () => 2);
      },
      { rehearse: true, onError: (error) => errors.push(error.message) },
    );
    await conversation.ended("m");
    await stop();
    return errors;
  });
  expect(heard).toEqual([expect.stringContaining("it does not call step first")]);
});

test("an output or an option that cannot be is refused by its name, with what to do", async ({ tab }) => {
  await send(tab, "m");
  const problems = await tab.evaluate(
    ({ conversation }) =>
      new Promise((resolve) => {
        const problem = (call: () => Promise<unknown>): Promise<string> => call().then(() => "none", (error: Error) => error.message);
        conversation.process(async ({ step }) => {
          const options = { maxAttempts: 1 };
          let called = false;
          const deep = (levels: number): RunStep => (levels === 0 ? step : deep(levels - 1).scope("x".repeat(1000)));
          resolve([
            await problem(() => step("fetch", () => new Response("body") as never, options)),
            await problem(() => step("tokens", (async function* () {}) as unknown as () => string, options)),
            await problem(() => step("rest", () => 1, { sideEffects: "ask" } as never)),
            await problem(() => step.sleep("pause", Number.NaN)),
            await problem(() => deep(20)("bottom", () => 1)),
            await problem(() => deep(9)("bottom", () => (called = true))),
            `${called}`,
          ]);
        });
      }),
  );
  const plain = "which would come back as a plain object";
  expect(problems).toEqual([
    expect.stringContaining(`the output of fetch is an instance of Response, ${plain}; make plain data of it first`),
    expect.stringContaining(`the output of tokens is an instance of a class, ${plain}; store its items by step.stream`),
    expect.stringContaining('options must not have "sideEffects", only maxAttempts, backoff, timeout, sideEffect, key'),
    expect.stringContaining("the time must be an integer, not NaN"),
    expect.stringContaining("the scopes of bottom are too long; nest fewer of them"),
    expect.stringContaining("nest fewer scopes, or give them shorter names"),
    "false",
  ]);
});

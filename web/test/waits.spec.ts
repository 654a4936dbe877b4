// Steps that wait for a person or a time: in other tabs, over reloads, over the end of the browser.
import type { RunningBrowser } from "./harness/browser.js";
import { attach, type Tab } from "./harness/tab.js";
import { expect, test as base } from "./harness/test.js";
import { become, join, prepare, send, words } from "./harness/work.js";

const reloads = Number(process.env["WAIT_RELOADS"] ?? 100);

const test = base.extend<{ told: string[]; tab: Tab }>({
  // oxlint-disable-next-line no-empty-pattern -- Playwright reads the names of the fixtures from this pattern.
  told: async ({}, use) => use([]),
  tab: async ({ page, server, told }, use) => use(await join(page, server, told)),
});

const parked = ["message_received", "processing_started", "allow waiting", "processing_stopped"];

/** Asks, and tells what the answer is. */
async function ask(tab: Tab): Promise<void> {
  await tab.evaluate(({ conversation }) => {
    conversation.process(
      async ({ message: { id }, step }) => {
        const answer = await step.wait("allow", { prompt: { may: id } });
        await globalThis.tell(`${id}: ${String(answer)}`);
        return answer;
      },
      { maxStarts: 2 },
    );
  });
}

const waiting = (tab: Tab, id = "m"): Promise<unknown> =>
  tab.evaluate(({ conversation }, id) => {
    const { status, starts, due, openSteps = [] } = conversation.state.message(id) ?? {};
    return { status, starts, due, open: openSteps.map(({ index, name, waiting, uncertain }) => ({ index, name, waiting, uncertain })) };
  }, id);

test("a message waits for an answer, which any tab can give, once", async ({ context, tab, told, server }) => {
  await send(tab, "m", "n");
  await ask(tab);
  const other = await join(await context.newPage(), server, []);
  await become(other, "m", "waiting");
  const seen = { status: "waiting", starts: 0, due: undefined, open: [{ index: 0, name: "allow", waiting: { for: "answer", prompt: { may: "m" } }, uncertain: false }] };
  expect([await waiting(other), await waiting(tab)]).toEqual([seen, seen]);
  expect(await words(other, "n"), "messages keep their order").toEqual(["message_received"]);
  expect(await other.evaluate(({ conversation }) => Promise.all(["yes", "no"].map((answer) => conversation.answer("m", 0, answer))))).toEqual([true, false]);
  await become(tab, "m", "finished");
  expect(told).toEqual(["m: yes"]);
  expect(await tab.evaluate(({ conversation }) => Promise.all([conversation.answer("m", 0, "late"), conversation.answer("m", 7, "unknown")]))).toEqual([false, false]);
  expect(await words(other, "m")).toEqual([...parked, "allow completed", "processing_started", "processing_finished"]);
  await become(other, "n", "waiting");
});

test("an answer from another tab reaches the handler at once", async ({ context, tab, told, server }) => {
  await send(tab, "m");
  await tab.evaluate(({ conversation }) => {
    conversation.process(async ({ step }) => {
      for (let turn = 0; turn < 20; turn++) {
        await step.wait("allow");
        void globalThis.tell(`${performance.timeOrigin + performance.now()}`);
      }
    });
  });
  const other = await join(await context.newPage(), server, []);
  const answered = await other.evaluate(async ({ conversation }) => {
    const times: number[] = [];
    for (let turn = 0; turn < 20; turn++) {
      const open = (): boolean => conversation.state.message("m")?.openSteps.some(({ index }) => index === turn) === true;
      await globalThis.when(conversation, open);
      await conversation.answer("m", turn);
      times.push(performance.timeOrigin + performance.now());
    }
    return times;
  });
  await become(other, "m", "finished");
  await expect.poll(() => told.length).toBe(20);
  const took = told.map((time, turn) => Number(time) - (answered[turn] ?? 0)).toSorted((a, b) => a - b);
  console.log(`waits: an answer of another tab reaches the handler ${took[10]?.toFixed(1)} ms after its commit (median of 20, worst ${took[19]?.toFixed(1)} ms)`);
  expect(took[10]).toBeLessThan(100);
});

test("reloads while a message waits add no event", { tag: "@long" }, async ({ page, context, tab, told, server }) => {
  test.setTimeout(60_000 + 500 * reloads);
  await send(tab, "m");
  await ask(tab);
  await become(tab, "m", "waiting");
  await tab.evaluate(({ holdfast }) => holdfast.close());
  await page.evaluate(async (count) => {
    const { open } = await import("@holdfast-dev/holdfast");
    const wasm = await WebAssembly.compileStreaming(fetch("/dist/holdfast.wasm"));
    for (let i = 0; i < count; i++) {
      const holdfast = await open({ wasm });
      const conversation = await holdfast.recover("chat");
      conversation.process(() => globalThis.tell("the handler is called"));
      await conversation.refresh();
      await holdfast.close();
    }
  }, reloads);
  await page.close();
  const after = await join(await context.newPage(), server, told);
  expect(await words(after)).toEqual(parked);
  expect(told).toEqual([]);
  console.log(`result: ${reloads} reloads while a message waits: no event`);
  // Nobody works on it when the answer comes.
  expect(await after.evaluate(({ conversation }) => conversation.answer("m", 0, "yes"))).toBe(true);
  await ask(after);
  await become(after, "m", "finished");
  expect(told).toEqual(["m: yes"]);
});

test("a form of an earlier prompt cannot answer a later one", async ({ tab }) => {
  await send(tab, "m");
  await tab.evaluate(({ conversation }) => {
    conversation.process(
      async ({ step }) => {
        const answer = await step.wait("allow", { prompt: "?" });
        await step("fail", () => Promise.reject(new Error(String(answer))), { maxAttempts: 1 });
      },
      { onError: () => undefined },
    );
  });
  const answers = await tab.evaluate(async ({ conversation }) => {
    const open = (): number | undefined => conversation.state.message("m")?.openSteps[0]?.index;
    await globalThis.when(conversation, () => open() !== undefined);
    const first = open() ?? -1;
    const given = [await conversation.answer("m", first, "first")];
    await globalThis.when(conversation, () => conversation.state.message("m")?.status === "failed");
    await conversation.retry("m", { from: first });
    await globalThis.when(conversation, () => open() !== undefined);
    given.push(await conversation.answer("m", first, "from the old form"), await conversation.answer("m", open() ?? -1, "second"));
    await globalThis.when(conversation, () => conversation.state.message("m")?.status === "failed");
    return given;
  });
  expect(answers).toEqual([true, false, true]);
  expect(await tab.evaluate(({ conversation }) => conversation.state.message("m")?.error)).toBe("Error: second");
});

test("later messages go on if the wait lets them pass", async ({ tab, told }) => {
  await send(tab, "waits", "m", "n");
  await tab.evaluate(({ conversation }) => {
    conversation.process(async ({ message: { id }, step }) => {
      if (id === "waits") await Promise.all([step.wait("allow", { pass: true }), step.sleep("patience", 4000).then(() => globalThis.tell("slept"))]);
      await globalThis.tell(id);
    });
  });
  await become(tab, "waits", "waiting");
  // The sleep holds them up.
  expect(await words(tab, "m")).toEqual(["message_received"]);
  const due = await tab.evaluate(async ({ conversation, holdfast }) => [conversation.state.message("waits")?.due, (await holdfast.health()).due]);
  expect(due[0]).toBeGreaterThan(Date.now() - 4000);
  expect(due[1]).toBe(due[0]);
  await become(tab, "n", "finished");
  expect(told).toEqual(["slept", "m", "n"]);
  expect(await tab.evaluate(async ({ holdfast }) => (await holdfast.health()).due)).toBeUndefined();
  await tab.evaluate(({ conversation }) => conversation.answer("waits", 0));
  await become(tab, "waits", "finished");
  expect(told).toEqual(["slept", "m", "n", "waits"]);
});

test("a parked message can be cancelled and retried, and its runner can be stopped", async ({ tab, told }) => {
  await send(tab, "m");
  await ask(tab);
  await become(tab, "m", "waiting");
  expect(await tab.evaluate(async ({ conversation }) => [await conversation.cancel("m"), await conversation.answer("m", 0, "late"), await conversation.retry("m")])).toEqual([true, true, true]);
  await become(tab, "m", "finished");
  expect(told).toEqual(["m: late"]);
});

for (const ms of [200, 2000, 6000]) {
  test(`a sleep of ${ms} ms over a restart of the browser wakes at its time, or at once`, { tag: "@launch" }, async ({ launch, server }) => {
    const begin = async (told: string[]): Promise<[RunningBrowser, Tab]> => {
      const running = await launch();
      const page = await running.newPage();
      await prepare(page, told);
      await page.goto(server.origin);
      const tab = await attach(page, "chat");
      await tab.evaluate(({ conversation }, ms) => {
        conversation.process(async ({ step }) => {
          await step.sleep("rest", ms);
          await globalThis.tell(`${Date.now()}`);
        });
      }, ms);
      return [running, tab];
    };
    const [running, first] = await begin([]);
    await send(first, "m");
    const due = await first.evaluate(async ({ conversation }) => {
      const due = (): number | undefined => conversation.state.message("m")?.openSteps[0]?.due;
      await globalThis.when(conversation, () => due() !== undefined);
      return due() ?? 0;
    });
    await running.kill();
    const told: string[] = [];
    const [, second] = await begin(told);
    const opened = await second.evaluate(() => Date.now());
    await become(second, "m", "finished");
    await expect.poll(() => told.length).toBe(1);
    const late = Number(told[0]) - Math.max(due, opened);
    console.log(`waits: a sleep of ${ms} ms over a restart wakes ${late} ms after its time, or after the store is open`);
    expect(Number(told[0])).toBeGreaterThanOrEqual(due);
    expect(late).toBeLessThan(1000);
    expect((await words(second)).filter((word) => word.startsWith("rest"))).toEqual(["rest waiting", "rest completed"]);
  });
}

test("a sleep keeps later messages back, unless they may pass", async ({ tab, told }) => {
  await send(tab, "remind", "now", "later");
  await tab.evaluate(({ conversation }) => {
    conversation.process(async ({ message: { id }, step }) => {
      await step.sleep("until then", id === "now" ? 1500 : 86_400_000, { pass: id === "remind" });
      await globalThis.tell(id);
    });
  });
  await become(tab, "now", "finished");
  await become(tab, "later", "waiting");
  expect(told).toEqual(["now"]);
  expect((await words(tab, "later"))[0], "it began after that").toBe("message_received");
});

// Several tabs, and a worker, at one conversation.
import type { Page } from "@playwright/test";
import { bundled, startWorker } from "./harness/place.js";
import { appendByHand } from "./harness/record.js";
import { append, attach, expectedSeq, log, messages, recover, refresh, subscribe, type Tab } from "./harness/tab.js";
import type { Server } from "./harness/server.js";
import { expect, test } from "./harness/test.js";

test.beforeEach(({ page, server }) => page.goto(server.origin));

async function openPage(page: Page, server: Server): Promise<Page> {
  const other = await page.context().newPage();
  await other.goto(server.origin);
  return other;
}

/** Appends that messages with these ids have come, so that the state shows what becomes of them. */
async function receive(tab: Tab, ...ids: string[]): Promise<void> {
  await tab.evaluate(async ({ conversation }, list) => {
    for (const id of list) await conversation.receiveMessage({ id, receivedAt: 1 });
  }, ids);
}

/** Two tabs that know the same log append at once, again and again, until each has appended `count` events. */
async function appendInLockStep(tabs: Record<"a" | "b", Tab>, count: number): Promise<void> {
  await receive(tabs.a, "a", "b");
  await refresh(tabs.b);
  const done = { a: 0, b: 0 };
  for (let sequence = 2; done.a + done.b < 2 * count; sequence++) {
    const writers = (["a", "b"] as const).filter((name) => done[name] < count);
    const attempts = await Promise.all(writers.map(async (name) => ({ name, attempt: await append(tabs[name], name, done[name]) })));
    expect(attempts.filter(({ attempt }) => "sequence" in attempt).map(({ attempt }) => attempt), "one wins").toEqual([{ sequence }]);
    for (const { name, attempt } of attempts) {
      if ("sequence" in attempt) {
        done[name]++;
        continue;
      }
      expect(attempt).toEqual({ expected: sequence, actual: sequence + 1 });
      expect(await expectedSeq(tabs[name]), "a conflict changes nothing").toBe(sequence);
      expect(await refresh(tabs[name])).toBe(sequence + 1);
    }
  }
}

/** After they have refreshed, all tabs know the same: that each writer has appended its steps, each once and in order. */
async function expectAgreement(tabs: readonly Tab[], writers: readonly string[], count: number): Promise<void> {
  const steps = Array.from({ length: count }, (_, index) => index);
  const expected = writers.map((id) => ({
    ...{ id, receivedAt: 1, body: undefined, status: "received", error: undefined },
    steps: steps.map((index) => ({ index, output: `${id} ${index}` })),
  }));
  for (const tab of tabs) {
    await refresh(tab);
    expect(await messages(tab)).toEqual(expected);
    const events = await log(tab);
    expect(events.length).toBe(writers.length * (count + 1));
    for (const writer of writers) {
      expect(events.flatMap((event) => (event.kind === "step_completed" && event.messageId === writer ? [event.step] : []))).toEqual(steps);
    }
  }
}

test("two tabs in lock-step: one wins each sequence, the other gets a conflict, refreshes and goes on", async ({ page, server }) => {
  const a = await attach(page, "chat");
  const b = await attach(await openPage(page, server), "chat");
  await appendInLockStep({ a, b }, 20);
  await expectAgreement([a, b], ["a", "b"], 20);
});

test("a tab that knows only the beginning of what another one appended at once gets a conflict", async ({ page, server }) => {
  const a = await attach(page, "chat");
  const b = await attach(await openPage(page, server), "chat");
  expect(await append(a, "a", 0)).toEqual({ sequence: 0 });
  expect(await refresh(b)).toBe(1);
  // Appends that have to wait go together, as one record.
  await a.evaluate(async ({ conversation }) => {
    const refreshing = conversation.refresh();
    await Promise.all([1, 2, 3, 4, 5].map((step) => conversation.recordStepCompleted("a", step)));
    await refreshing;
  });
  expect(await append(b, "b", 0)).toEqual({ expected: 1, actual: 6 });
  expect((await log(b)).length).toBe(6);
});

test("a page and its worker in lock-step", { tag: "@chromium" }, async ({ page, server }) => {
  const a = await attach(page, "chat");
  const b = await attach(await startWorker(page, server), "chat", {}, bundled(server));
  await appendInLockStep({ a, b }, 20);
  await expectAgreement([a, b], ["a", "b"], 20);
});

test("four tabs race, and each gets all of its appends in", async ({ page, server }) => {
  const names = ["a", "b", "c", "d"];
  const tabs = await Promise.all(names.map(async () => await attach(await openPage(page, server), "chat")));
  const [first] = tabs;
  if (first === undefined) throw new Error("no tab");
  await receive(first, ...names);
  const conflicts = await Promise.all(
    tabs.map((tab, i) =>
      tab.evaluate(async ({ conversation, Conflict }, name) => {
        let lost = 0;
        for (let step = 0; step < 100; ) {
          try {
            await conversation.recordStepCompleted(name, step, `${name} ${step}`);
            step++;
          } catch (error) {
            if (!(error instanceof Conflict)) throw error;
            lost++;
            await conversation.refresh();
          }
        }
        return lost;
      }, names[i] ?? ""),
    ),
  );
  expect(Math.max(...conflicts), "they did race").toBeGreaterThan(0);
  await expectAgreement(tabs, names, 100);
});

test("a tab that subscribes sees what another one appends, and no longer does when it unsubscribes", async ({ page, server }) => {
  const a = await attach(page, "chat");
  const b = await attach(await openPage(page, server), "chat");
  const witness = await recover(b, "chat"); // in the same tab
  const [unsubscribe] = [await subscribe(b), await subscribe(witness)];
  // What subscribing itself reads has been read now.
  await refresh(b);
  await refresh(witness);

  await receive(a, "a");
  await append(a, "a", 0);
  await expect.poll(() => expectedSeq(b)).toBe(2);
  expect(await messages(b)).toEqual(await messages(a));
  expect(await append(b, "a", 1), "it appends behind what it saw").toEqual({ sequence: 2 });
  await expect.poll(() => expectedSeq(witness)).toBe(3);
  expect(await refresh(a)).toBe(3);

  await unsubscribe();
  await append(a, "a", 2);
  await expect.poll(() => expectedSeq(witness)).toBe(4);
  expect(await expectedSeq(b)).toBe(3);
  expect(await append(b, "a", 3)).toEqual({ expected: 3, actual: 4 });
});

test("what a tab appended last is heard by others although it leaves at once", { tag: "@chromium" }, async ({ page, server }) => {
  const a = await attach(page, "chat");
  await subscribe(a);
  for (const leave of ["close", "go"] as const) {
    const leaving = await openPage(page, server);
    const b = await attach(leaving, "chat");
    const from = await refresh(b);
    const gone = leave === "close" ? leaving.waitForEvent("close") : leaving.waitForURL(`${server.origin}/plain`);
    await leaving.exposeFunction("leave", () => leaving.close());
    // Closely behind each other, so that the program and other tabs are told of many together.
    await b.evaluate(
      ({ conversation }, how) => {
        void (async () => {
          for (let step = 0; step < 100; step++) await conversation.recordStepCompleted("a", step);
          if (how === "close") (globalThis as unknown as { leave: () => void }).leave();
          else location.href = "/plain";
          for (const end = performance.now() + 300; performance.now() < end; ); // no timer runs before the page leaves
        })();
      },
      leave,
    );
    await gone;
    await expect.poll(() => expectedSeq(a), leave).toBe(from + 100);
    if (leave === "go") await leaving.close();
  }
});

test("a conversation deleted in one tab is empty in the other, and goes on behind what was deleted", async ({ page, server }) => {
  const a = await attach(page, "chat");
  const b = await attach(await openPage(page, server), "chat");
  const live = await recover(b, "chat");
  await subscribe(live);
  await receive(a, "a");
  await append(a, "a", 0);
  await refresh(b);
  await expect.poll(() => expectedSeq(live)).toBe(2);

  await a.evaluate(({ holdfast }) => holdfast.delete("chat"));
  await expect.poll(() => expectedSeq(live)).toBe(3);
  expect(await messages(live)).toEqual([]);
  expect(await append(b, "a", 1)).toEqual({ expected: 2, actual: 3 });
  expect((await messages(b)).length, "it has not looked yet").toBe(1);
  expect(await refresh(b)).toBe(3);
  expect(await messages(b)).toEqual([]);
  expect(await append(b, "a", 1)).toEqual({ sequence: 3 });
  expect((await log(b)).map(({ sequence, kind }) => `${sequence} ${kind}`)).toEqual(["2 deleted", "3 step_completed"]);
  expect(await append(a, "a", 1), "who deleted it knows no better").toEqual({ expected: 2, actual: 4 });
});

test("a page that comes back from the back/forward cache catches up and appends", async ({ page, server }) => {
  // Chromium keeps no page that came with `no-store`.
  server.answer("/", { headers: { "cache-control": "no-cache" } });
  await page.reload();
  await page.evaluate(() => {
    const request = navigator.locks.request.bind(navigator.locks) as (...args: unknown[]) => Promise<never>;
    const locks = { asked: 0, over: 0, left: false };
    navigator.locks.request = async (...args: unknown[]): Promise<never> => {
      if (locks.left) Object.assign(globalThis, { asked: true });
      locks.asked++;
      return request(...args).finally(() => locks.over++);
    };
    addEventListener("pagehide", () => {
      locks.left = true;
      for (const end = performance.now() + 150; performance.now() < end; ); // until the store's timer is due
    });
    for (const event of ["resume", "pageshow"]) addEventListener(event, () => (locks.left = false), true);
    Object.assign(globalThis, { locks });
  });
  const locks = await page.evaluateHandle(() => (globalThis as unknown as { locks: { asked: number; over: number } }).locks);
  const left = await attach(page, "chat");
  await subscribe(left);
  // What the store writes when it is opened is over before the page leaves, and what it writes behind an append is not begun.
  await expect.poll(() => locks.evaluate(({ asked, over }) => over > 0 && over === asked)).toBe(true);
  // Nobody waits here: the answer could come too late.
  await left.evaluate((chat) => {
    addEventListener("pageshow", ({ persisted }) => Object.assign(globalThis, { chat, persisted }));
    void chat.conversation.receiveMessage({ id: "a", receivedAt: 1 }).then(() => location.assign("/plain"));
  });
  await page.waitForURL(`${server.origin}/plain`);

  // Nor does it keep a page which gets a message meanwhile: this tab says nothing.
  const silent = await openPage(page, server);
  await silent.evaluate(() => Reflect.deleteProperty(globalThis, "BroadcastChannel"));
  expect(await append(await attach(silent, "chat"), "a", 0)).toEqual({ sequence: 1 });

  await page.goBack({ waitUntil: "commit" }); // such a page is not loaded
  const back = await page.evaluateHandle(() => globalThis as unknown as { persisted?: boolean; asked?: boolean; chat: Awaited<ReturnType<Tab["jsonValue"]>> });
  await expect.poll(() => back.evaluate(({ persisted }) => persisted)).toBe(true);
  // A lock could be granted to it when it can no longer let go, and then it would not be kept.
  expect(await back.evaluate(({ asked }) => asked), "it asked for a lock when it had been left").toBeUndefined();
  const a: Tab = await back.evaluateHandle(({ chat }) => chat);
  await expect.poll(() => expectedSeq(a)).toBe(2);
  expect(await append(a, "a", 1)).toEqual({ sequence: 2 });
  const b = await attach(await openPage(page, server), "chat");
  expect(await append(b, "a", 2)).toEqual({ sequence: 3 });
  await expect.poll(() => expectedSeq(a)).toBe(4);
  expect(await messages(a)).toEqual(await messages(b));
});

test("a frozen tab keeps nobody waiting, and follows again when it thaws", { tag: ["@chromium", "@launch"] }, async ({ launch, server }) => {
  const running = await launch({ lifelike: true });
  const page = await running.newPage();
  await page.goto(server.origin);
  const a = await attach(page, "chat");
  const freezing = await openPage(page, server);
  const b = await attach(freezing, "chat");
  await subscribe(b);
  await receive(a, "a");
  await expect.poll(() => expectedSeq(b)).toBe(1);
  const seen = await b.evaluateHandle(({ conversation }) => {
    const at: Record<string, number> = {};
    for (const event of ["freeze", "resume"]) document.addEventListener(event, () => (at[event] = conversation.expectedSeq));
    return at;
  });

  const session = await page.context().newCDPSession(freezing);
  await session.send("Page.setWebLifecycleState", { state: "frozen" });
  for (let step = 0; step < 10; step++) expect(await append(a, "a", step)).toEqual({ sequence: step + 1 });
  await session.send("Page.setWebLifecycleState", { state: "active" });
  await expect.poll(() => expectedSeq(b)).toBe(11);
  expect(await seen.jsonValue(), "it was frozen all the time").toEqual({ freeze: 1, resume: 1 });
  expect(await append(b, "a", 10)).toEqual({ sequence: 11 });
  expect(await refresh(a)).toBe(12);
  expect(await messages(b)).toEqual(await messages(a));
  await running.close();
});

const ends: Readonly<Record<string, readonly [code: string, happen: (other: Page) => Promise<unknown>]>> = {
  "the database is deleted": ["store_reset", (other) => other.evaluate(() => new Promise((resolve) => (indexedDB.deleteDatabase("holdfast").onsuccess = resolve)))],
  "what comes next is damaged": ["corrupt", (other) => appendByHand(other, "c", 1, [2, "m"], (bytes) => bytes.fill(0, -8))],
  "what comes next is of a later release": ["unsupported_version", (other) => appendByHand(other, "c", 1, [127, "m"])],
};

for (const [name, [code, happen]] of Object.entries(ends)) {
  test(`listeners and the runner are told when they can follow no more: ${name}`, async ({ page, server }) => {
    const tab = await attach(page, "c");
    await append(tab, "m", 0);
    const heard = await tab.evaluateHandle(async ({ conversation }) => {
      const heard = { calls: 0, state: conversation.state, errors: [] as unknown[] };
      conversation.process(() => undefined, { onError: (error) => heard.errors.push((error as { code?: string }).code) });
      conversation.subscribe(() => heard.calls++);
      await conversation.refresh();
      return heard;
    });
    await happen(await openPage(page, server));
    await expect.poll(() => heard.evaluate(({ calls, errors }) => [calls, errors])).toEqual([1, [code]]);
    const facts = await tab.evaluate(async ({ conversation }, heard) => {
      const codeOf = (error: unknown): unknown => (error as { code?: string }).code;
      const subscribe = (): unknown => {
        try {
          conversation.subscribe(() => undefined)();
          return "subscribed";
        } catch (error) {
          return codeOf(error);
        }
      };
      return [conversation.state === heard.state, subscribe(), await conversation.refresh().catch(codeOf)];
    }, heard);
    expect(facts).toEqual([true, code, code]);
  });
}

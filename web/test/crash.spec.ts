// What a reload, a crash or a kill leaves of a message that is being answered.
import type { Page } from "@playwright/test";
import { answered, decisionAfter, deliver, expectAnswered, steps, story } from "./harness/agent.js";
import { mend } from "./harness/leveldb.js";
import { append, attach, log, recover, refresh, type Tab } from "./harness/tab.js";
import { expect, test } from "./harness/test.js";

declare global {
  /** What the pages call when an append was acknowledged; it answers outside the browser. */
  var acknowledge: (sequence: number) => Promise<void>;
}

const allSteps = Array.from({ length: steps }, (_, i) => i);

test("a message resumes at the right step after a reload behind any of its events, or during one", async ({ page, server }) => {
  await page.goto(server.origin);
  let tab = await attach(page, "behind 0");
  for (let k = 0; k <= answered.length; k++) {
    await test.step(`reload after ${k} events`, async () => {
      const before = await deliver(await recover(tab, `behind ${k}`), { events: k });
      expect(before.acknowledged).toBe(k);
      await deliver(await recover(tab, `during ${k}`), { events: k, begin: true });
      await page.reload();

      tab = await attach(page, `behind ${k}`);
      expect(await story(tab)).toEqual(answered.slice(0, k));
      const after = await deliver(tab);
      expect(after.decision).toEqual(decisionAfter(k));
      expect([...before.worked, ...after.worked], "no step is worked on twice").toEqual(allSteps);
      await expectAnswered(tab);

      const during = await recover(tab, `during ${k}`);
      const found = (await story(during)).length;
      expect([k, k + 1], "the event under way is there or not").toContain(found);
      expect((await deliver(during)).decision).toEqual(decisionAfter(found));
      await expectAnswered(during);
    });
  }
});

test("SIGKILL of the browser between any two events, or during one, loses nothing that was acknowledged", { tag: "@launch" }, async ({ launch, profile, server }) => {
  test.setTimeout(180_000);
  const worked: number[] = [];
  let known = 0; // events of the second conversation
  for (let k = 0; k < answered.length; k++) {
    await test.step(`kill after ${k + 1} events`, async () => {
      const running = await launch();
      const page = await running.newPage();
      await page.goto(server.origin);

      const between = await attach(page, "between");
      expect(await story(between)).toEqual(answered.slice(0, k));
      const report = await deliver(between, { events: 1 });
      expect(report.decision).toEqual(decisionAfter(k));
      expect(report.acknowledged).toBe(1);
      worked.push(...report.worked);

      const during = await recover(between, "during");
      const found = (await story(during)).length;
      expect([known, known + 1], "at most the one that was under way").toContain(found);
      known = found;
      await deliver(during, { events: 0, begin: true });
      await running.kill();
      mend(profile);
    });
  }
  expect(worked).toEqual(allSteps);

  const page = await (await launch()).newPage();
  await page.goto(server.origin);
  const between = await attach(page, "between");
  expect((await deliver(between)).decision).toEqual({ kind: "skip" });
  await expectAnswered(between);
  const during = await recover(between, "during");
  expect([known, known + 1]).toContain((await story(during)).length);
  await deliver(during);
  await expectAnswered(during);
});

/** Appends without end to the conversation of a tab; what was acknowledged is told outside it. */
async function appendWithoutEnd(page: Page, tab: Tab, acknowledge: (sequence: number) => void): Promise<void> {
  await page.exposeFunction("acknowledge", acknowledge);
  const running = tab.evaluate(async ({ conversation }) => {
    for (let step = 0; ; step++) await globalThis.acknowledge(await conversation.recordStepCompleted("without end", step));
  });
  running.catch(() => undefined); // it ends with its tab
}

async function crash(page: Page): Promise<void> {
  const crashed = page.waitForEvent("crash");
  const session = await page.context().newCDPSession(page);
  session.send("Page.crash").catch(() => undefined); // who should answer?
  await crashed;
}

test("a tab that crashes holding a transaction makes way for another one's append", { tag: "@chromium" }, async ({ context, server }) => {
  const [dying, living] = [await context.newPage(), await context.newPage()];
  await dying.goto(server.origin);
  await living.goto(server.origin);
  const lost = await attach(dying, "chat");
  const tab = await attach(living, "chat");
  expect(await append(lost, "dying", 0)).toEqual({ sequence: 0 });
  expect(await append(tab, "living", 0)).toEqual({ expected: 0, actual: 1 });
  await refresh(tab);

  // The dying tab writes its record, and then reads without end where it should commit.
  const acks: number[] = [];
  await dying.exposeFunction("acknowledge", (sequence: number) => acks.push(sequence));
  const held = lost.evaluate(
    ({ conversation }) =>
      new Promise<void>((hold) => {
        IDBTransaction.prototype.commit = function (): void {
          const records = this.objectStore("records");
          const read = (): void => {
            records.count().addEventListener("success", read);
          };
          read();
          hold();
        };
        void conversation.recordStepCompleted("dying", 1).then(globalThis.acknowledge);
      }),
  );
  await held;
  let settled = false;
  const waiting = append(tab, "living", 1).finally(() => (settled = true));
  // Two answers of this page later the append has been sent, and waits.
  await living.evaluate(() => indexedDB.databases());
  await living.evaluate(() => indexedDB.databases());
  expect(settled, "the transaction is held").toBe(false);
  expect(acks, "what is not committed is not acknowledged").toEqual([]);

  const since = performance.now();
  await crash(dying);
  expect(await waiting, "what was not committed is gone").toEqual({ sequence: 1 });
  expect(performance.now() - since, "long before a call gives up").toBeLessThan(15_000);
  expect(await append(tab, "living", 2)).toEqual({ sequence: 2 });
  expect((await log(tab)).length).toBe(3);
});

test("a tab that crashes at work loses nothing acknowledged, and another one goes on meanwhile", { tag: "@chromium" }, async ({ context, server }) => {
  const [dying, living] = [await context.newPage(), await context.newPage()];
  await dying.goto(server.origin);
  await living.goto(server.origin);
  const acks: number[] = [];
  const others: number[] = [];
  await appendWithoutEnd(dying, await attach(dying, "dying"), (sequence) => acks.push(sequence));
  await appendWithoutEnd(living, await attach(living, "living"), (sequence) => others.push(sequence));
  await expect.poll(() => Math.min(acks.length, others.length)).toBeGreaterThan(20);
  await crash(dying);
  const then = others.length;
  await expect.poll(() => others.length).toBeGreaterThan(then + 20);
  await living.reload();
  const found = (await log(await attach(living, "dying"))).length;
  expect(acks).toEqual(acks.map((_, i) => i));
  expect([acks.length, acks.length + 1]).toContain(found);
  expect((await log(await attach(living, "living"))).length).toBeGreaterThanOrEqual(others.length);
});

test("a page closed amid many appends at once leaves the first of them, in order", async ({ context, server }) => {
  const [closing, staying] = [await context.newPage(), await context.newPage()];
  await closing.goto(server.origin);
  await staying.goto(server.origin);
  const acks: number[] = [];
  await closing.exposeFunction("acknowledge", (sequence: number) => acks.push(sequence));
  const tab = await attach(closing, "chat");
  // While one is under way, others wait, and then go together.
  const working = tab.evaluate(async ({ conversation }) => {
    for (let step = 0; ; step += 10) {
      const ten = Array.from({ length: 10 }, (_, i) => conversation.recordStepCompleted("batch", step + i).then(globalThis.acknowledge));
      await Promise.all(ten);
    }
  });
  working.catch(() => undefined); // it ends with its page
  await expect.poll(() => acks.length).toBeGreaterThan(100);
  await closing.close();

  const events = await log(await attach(staying, "chat"));
  expect(events.map((event) => event.kind === "step_completed" && event.step)).toEqual(events.map((_, i) => i));
  expect(Math.max(...acks), "nothing acknowledged is missing").toBeLessThan(events.length);
});

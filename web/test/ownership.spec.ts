// One runner for each conversation, whatever happens to the tabs that have one.
import type { CDPSession, Page } from "@playwright/test";
import type { RunnerPlace } from "@holdfast-dev/holdfast";
import type { LaunchOptions, RunningBrowser } from "./harness/browser.js";
import { attach, log, recover, refresh, type Tab } from "./harness/tab.js";
import type { Server } from "./harness/server.js";
import { expect, test } from "./harness/test.js";
import { become, join, send, words } from "./harness/work.js";

const received = "message_received";
const started = "processing_started";
const finished = "processing_finished";

/** Processes the conversation of a tab: a message waits in its step until it is let go, by `release`. */
async function work(tab: Tab, name: string): Promise<void> {
  await tab.evaluate(({ conversation }, who) => {
    const page = globalThis as unknown as { release: () => void; stop: () => Promise<void> };
    page.stop = conversation.process(
      async ({ message, step, signal }) => {
        signal.addEventListener("abort", () => void globalThis.tell(`${who}: signal ${(signal.reason as { code?: string }).code}`));
        return await step("wait", async () => {
          const released = new Promise<void>((resolve) => (page.release = resolve));
          await globalThis.tell(`${who}: ${message.id}`); // it can be released now
          await released;
          return who;
        }).catch(async (error: { code?: string }) => {
          await globalThis.tell(`${who}: step ${error.code}`);
          throw error;
        });
      },
      { onError: (error) => void globalThis.tell(`${who}: ${(error as { code?: string }).code}`) },
    );
  }, name);
}

const release = (tab: Tab): Promise<void> => tab.evaluate(() => (globalThis as unknown as { release: () => void }).release());
const stop = (tab: Tab): Promise<void> => tab.evaluate(() => (globalThis as unknown as { stop: () => Promise<void> }).stop());

/** Removes Web Locks, as in an insecure context. */
async function withoutLocks(page: Page): Promise<void> {
  await page.addInitScript(() => Reflect.deleteProperty(Navigator.prototype, "locks"));
}

for (const locks of ["Web Locks", "a lease in the store"] as const) {
  test.describe(locks, () => {
    const enter = async (page: Page, server: Server, told: string[]): Promise<Tab> => {
      if (locks !== "Web Locks") await withoutLocks(page);
      return await join(page, server, told);
    };

    test("one tab does the work; the next goes on when it stops or closes", async ({ context, server }) => {
      const told: string[] = [];
      const pages = await Promise.all([1, 2, 3].map(() => context.newPage()));
      const tabs = await Promise.all(pages.map((page) => enter(page, server, told)));
      const [a, b, c] = tabs as [Tab, Tab, Tab];
      await send(a, "m");
      await work(a, "a");
      await expect.poll(() => told).toEqual(["a: m"]);
      await work(b, "b");
      await stop(a);
      await expect.poll(() => told).toContain("b: m");
      expect(told.slice(0, 3).sort()).toEqual(["a: m", "a: signal closed", "a: step closed"]);

      await work(c, "c");
      await pages[1]?.close();
      await expect.poll(() => told.at(-1)).toBe("c: m");
      await release(c);
      await become(c, "m", "finished");
      expect(await words(c)).toEqual([received, started, "processing_stopped", started, started, "wait completed", finished]);
    });

    test("the next one goes on when it crashes", { tag: "@chromium" }, async ({ page, context, server }) => {
      const told: string[] = [];
      const [a, b] = [await enter(page, server, told), await enter(await context.newPage(), server, told)];
      await send(a, "m");
      await work(a, "a");
      await expect.poll(() => told).toEqual(["a: m"]);
      await work(b, "b");
      const session = await context.newCDPSession(page);
      session.send("Page.crash").catch(() => undefined); // nobody is left to answer
      await expect.poll(() => told.at(-1)).toBe("b: m");
      await release(b);
      await become(b, "m", "finished");
      expect(await words(b)).toEqual([received, started, started, "wait completed", finished]);
    });

    test("each tab can tell who processes: here, elsewhere, or nobody, also of an unfinished message", { tag: "@chromium" }, async ({ page, context, server }) => {
      const told: string[] = [];
      const [a, b] = [await enter(page, server, told), await enter(await context.newPage(), server, told)];
      const runners = (): Promise<RunnerPlace[]> => Promise.all([a, b].map((tab) => tab.evaluate(({ conversation }) => conversation.runner())));
      await send(a, "m");
      expect(await runners()).toEqual(["nobody", "nobody"]);
      await work(a, "a");
      await expect.poll(() => told).toEqual(["a: m"]);
      expect(await runners()).toEqual(["here", "elsewhere"]);
      expect(await recover(a, "another").then((other) => other.evaluate(({ conversation }) => conversation.runner()))).toBe("nobody");
      expect(await a.evaluate(({ conversation }) => conversation.clone().runner())).toBe("here");
      await work(b, "b"); // which waits for its turn
      expect(await runners()).toEqual(["here", "elsewhere"]);
      await stop(a);
      await expect.poll(() => told).toContain("b: m");
      expect(await runners()).toEqual(["elsewhere", "here"]);
      const session = await context.newCDPSession(context.pages().at(-1) ?? page);
      session.send("Page.crash").catch(() => undefined); // nobody is left to answer
      const runner = (): Promise<RunnerPlace> => a.evaluate(({ conversation }) => conversation.runner());
      await expect.poll(runner).toBe("nobody");
      await refresh(a);
      expect(await a.evaluate(({ conversation }) => conversation.state.message("m")?.status)).toBe("processing");
    });
  });
}

test("with Web Locks nobody processes as soon as the one that did has stopped", async ({ page, server }) => {
  const a = await join(page, server, []);
  const seen = await a.evaluate(async ({ conversation }) => {
    const seen = new Set<string>();
    for (let i = 0; i < 100; i++) {
      const stop = conversation.process(() => undefined);
      while ((await conversation.runner()) !== "here") await new Promise((resolve) => setTimeout(resolve));
      await stop();
      seen.add(await conversation.runner());
    }
    return [...seen];
  });
  expect(seen).toEqual(["nobody"]);
});

test("in memory nobody is elsewhere", async ({ page, server }) => {
  await page.goto(server.origin);
  const a = await attach(page, "chat", { storage: "memory" });
  const seen = await a.evaluate(async ({ conversation }) => {
    const seen = [await conversation.runner()];
    const stop = conversation.process(() => undefined);
    while ((await conversation.runner()) !== "here") await new Promise((resolve) => setTimeout(resolve));
    await stop();
    return [...seen, await conversation.runner()];
  });
  expect(seen).toEqual(["nobody", "nobody"]);
});

/** Freezes the tab a, in which `before` has run, in the middle of a step, and waits until the tab b has its message. */
async function frozen(
  launch: (options: Partial<LaunchOptions>) => Promise<RunningBrowser>,
  server: Server,
  before: () => void = () => undefined,
): Promise<{ running: RunningBrowser; told: string[]; a: Tab; b: Tab; session: CDPSession }> {
  const running = await launch({ lifelike: true });
  const told: string[] = [];
  const freezing = await running.newPage();
  const a = await join(freezing, server, told);
  const b = await join(await freezing.context().newPage(), server, told);
  await freezing.evaluate(before);
  await send(a, "m");
  await work(a, "a");
  await expect.poll(() => told).toEqual(["a: m"]);
  await work(b, "b");

  const session = await freezing.context().newCDPSession(freezing);
  await session.send("Page.setWebLifecycleState", { state: "frozen" });
  await expect.poll(() => told.at(-1)).toBe("b: m");
  return { running, told, a, b, session };
}

test("a frozen owner loses the conversation; thawed, it cannot append, and says lost_ownership", { tag: ["@chromium", "@launch"] }, async ({ launch, server }) => {
  const { running, told, a, b, session } = await frozen(launch, server);
  await session.send("Page.setWebLifecycleState", { state: "active" });
  await release(a); // its step has a result now
  await expect.poll(() => told.slice(2).sort()).toEqual(["a: lost_ownership", "a: signal lost_ownership", "a: step lost_ownership"]);
  await release(b);
  await become(b, "m", "finished");
  expect(await b.evaluate(({ conversation }) => conversation.state.message("m")?.result)).toBe("b");
  expect(await words(b)).toEqual([received, started, started, "wait completed", finished]);
  await running.close();
});

test("an owner whose document was opened again loses the conversation all the same when it is frozen", { tag: ["@chromium", "@launch"] }, async ({ launch, server }) => {
  const { running } = await frozen(launch, server, () => {
    document.open(); // which removes all listeners of the window
    document.write("<p>new");
    document.close();
  });
  await running.close();
});

test("an owner that nobody has replaced while it was frozen goes on with what it was doing", { tag: ["@chromium", "@launch"] }, async ({ launch, server }) => {
  const running = await launch({ lifelike: true });
  const told: string[] = [];
  const page = await running.newPage();
  const a = await join(page, server, told);
  await send(a, "m");
  await work(a, "a");
  await expect.poll(() => told).toEqual(["a: m"]);
  const session = await page.context().newCDPSession(page);
  await session.send("Page.setWebLifecycleState", { state: "frozen" });
  await session.send("Page.setWebLifecycleState", { state: "active" });
  await release(a);
  await become(a, "m", "finished");
  expect(told).toEqual(["a: m"]);
  expect(await words(a)).toEqual([received, started, "wait completed", finished]);
  await running.close();
});

test("events of elements that are called like the page's own take no conversation away", async ({ page, context, server }) => {
  const told: string[] = [];
  const a = await join(page, server, told);
  const b = await join(await context.newPage(), server, told);
  await send(a, "m");
  await work(a, "a");
  await expect.poll(() => told).toEqual(["a: m"]);
  await work(b, "b");
  const holders = await a.evaluate(async () => {
    const holder = async (): Promise<unknown> => (await navigator.locks.query()).held?.find(({ name }) => name === "holdfast:holdfast\0chat")?.clientId;
    const before = await holder();
    const grid = document.body.appendChild(document.createElement("div"));
    for (const target of [grid, document, globalThis]) {
      for (const event of ["freeze", "pagehide", "visibilitychange"]) target.dispatchEvent(new CustomEvent(event, { bubbles: true, composed: true }));
    }
    // A lock that was given up is another tab's by now: its request was there before.
    return [before, await holder()];
  });
  expect(holders[0]).toBeDefined();
  expect(holders[1]).toBe(holders[0]);
  await release(a);
  await become(a, "m", "finished");
  expect(told).toEqual(["a: m"]);
  expect(await words(a)).toEqual([received, started, "wait completed", finished]);
});

test("the log fences where no lock does: whoever started a message last has it", async ({ page, context, server }) => {
  const told: string[] = [];
  const a = await join(page, server, told);
  const b = await join(await context.newPage(), server, told);
  await send(a, "m");
  await work(a, "a");
  await expect.poll(() => told).toEqual(["a: m"]);
  // Others may append what they like, but for a start of this message.
  await send(b, "n");
  await b.evaluate(async ({ conversation }) => {
    await conversation.refresh();
    await conversation.recordStepCompleted("other", 0, "nothing of yours");
  });
  await b.evaluate(async ({ conversation }) => {
    await conversation.refresh();
    await conversation.recordProcessingStarted("m");
  });
  await expect.poll(() => told.slice(1, 4).sort()).toEqual(["a: lost_ownership", "a: signal lost_ownership", "a: step lost_ownership"]);
  // The lock is its own, so it begins again.
  await expect.poll(() => told.at(-1)).toBe("a: m");
  await release(a);
  await become(a, "m", "finished");
  expect(await words(a, "m")).toEqual([received, started, started, started, "wait completed", finished]);
});

test("a worker is a runner like any other, and a page goes on when it is terminated", { tag: "@chromium" }, async ({ page, server }) => {
  const told: string[] = [];
  const tab = await join(page, server, told);
  server.answer("/worker.js", { body: "export {}" });
  const starting = page.waitForEvent("worker");
  await page.evaluate(() => Object.assign(globalThis, { worker: new Worker("/worker.js", { type: "module" }) }));
  const inside = await attach(await starting, "chat", {}, `${server.origin}/bundle/package.js`);
  await inside.evaluate(({ conversation }) => {
    conversation.process(async ({ message, step }) => {
      await step("greet", () => "hello from the worker");
      if (message.id === "n") await new Promise(() => undefined);
    });
  });
  await send(tab, "m", "n");
  await become(tab, "m", "finished");
  await tab.evaluate(({ conversation }) => {
    conversation.process(async ({ step }) => step("greet", () => "hello from the page"));
    return globalThis.when(conversation, () => conversation.state.message("n")?.steps.length === 1);
  });
  await page.evaluate(() => (globalThis as unknown as { worker: Worker }).worker.terminate());
  await become(tab, "n", "finished");
  expect(await tab.evaluate(({ conversation }) => conversation.state.message("n")?.result)).toBe("hello from the worker");
});

test("senders in four tabs: each message once, whoever else sends it", async ({ context, server }) => {
  const tabs = await Promise.all([1, 2, 3, 4].map(async () => join(await context.newPage(), server, [])));
  const ids = Array.from({ length: 20 }, (_, i) => `message ${i}`);
  const sent = await Promise.all(tabs.map((tab) => tab.evaluate(async ({ conversation }, all) => {
    const random = await conversation.send({ body: "mine" });
    await Promise.all(all.map((id) => conversation.send({ id })));
    return random;
  }, ids)));
  expect(new Set(sent).size).toBe(4);
  const [tab] = tabs;
  if (tab === undefined) throw new Error("no tab");
  const own = (await log(tab)).map((event) => (event.kind === "message_received" ? event.messageId : event.kind));
  expect(own.sort()).toEqual([...ids, ...sent].sort());
});

test("what is committed shows here at once, and in another tab within 100 ms (median)", async ({ page, context, server }) => {
  const a = await join(page, server, []);
  const b = await join(await context.newPage(), server, []);
  // That is within the frame: the listener has heard before the call resolves.
  const heard = await a.evaluate(async ({ conversation }) => {
    let changes = 0;
    conversation.subscribe(() => changes++);
    await conversation.send({ id: "here" });
    return changes;
  });
  expect(heard).toBe(1);
  await b.evaluate(({ conversation }) => {
    const seen: Record<string, number> = {};
    conversation.subscribe(() => {
      for (const { id } of conversation.state.messages) seen[id] ??= performance.timeOrigin + performance.now();
    });
    Object.assign(globalThis, { seen });
  });
  const delays: number[] = [];
  for (let i = 0; i < 50; i++) {
    const id = `there ${i}`;
    const committed = await a.evaluate(async ({ conversation }, name) => {
      await conversation.send({ id: name });
      return performance.timeOrigin + performance.now();
    }, id);
    const at = await b.evaluate(async ({ conversation }, name) => {
      await globalThis.when(conversation, () => conversation.state.isReceived(name));
      return (globalThis as unknown as { seen: Record<string, number> }).seen[name] ?? 0;
    }, id);
    delays.push(at - committed);
  }
  const median = delays.sort((x, y) => x - y)[25] ?? Infinity;
  console.log(`live view: ${median.toFixed(1)} ms from a commit to the listener in another tab (median of 50, worst ${delays.at(-1)?.toFixed(1)} ms)`);
  expect(median).toBeLessThan(100);
});

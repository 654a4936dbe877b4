// The list of conversations, and one call that processes all of them.
import type { Handler, Holdfast, StepOptions } from "@holdfast-dev/holdfast";
import type { RunningBrowser } from "./harness/browser.js";
import { attach, type Tab } from "./harness/tab.js";
import { expect, test as base } from "./harness/test.js";
import { join, prepare } from "./harness/work.js";

/** How many conversations there are when the browser is killed. */
const crowd = Number(process.env["DIRECTORY_CONVERSATIONS"] ?? 300);

const test = base.extend<{ told: string[]; tab: Tab }>({
  // oxlint-disable-next-line no-empty-pattern -- Playwright reads the names of the fixtures from this pattern.
  told: async ({}, use) => use([]),
  tab: async ({ page, server, told }, use) => use(await join(page, server, told, "other")),
});

/** Sends a message to each conversation, in this order, one after the other. */
async function sendTo(tab: Tab, ...ids: string[]): Promise<void> {
  await tab.evaluate(async ({ holdfast }, all) => {
    for (const id of all) {
      const before = Date.now();
      await (await holdfast.recover(id)).send({ id: "m" });
      while (Date.now() === before); // the next one has another time
    }
  }, ids);
}

const ids = (tab: Tab, options?: Parameters<Holdfast["list"]>[0]): Promise<string[]> =>
  tab.evaluate(async ({ holdfast }, given) => (await holdfast.list(given)).rows.map(({ id }) => id), options);

test("the list tells of each conversation what its log says, without reading it", async ({ tab }) => {
  const rows = await tab.evaluate(async ({ holdfast }) => {
    const begun = Date.now();
    const chat = holdfast.create("a");
    const row = async (): Promise<unknown> => {
      const [row] = (await holdfast.list({ ids: ["a"] })).rows;
      if (row === undefined) return "none";
      const { created, updated, ...rest } = row;
      return { ...rest, inTime: begun <= created && created <= updated && updated <= Date.now() };
    };
    const seen = [await row()];
    await chat.send({ id: "m" });
    seen.push(await row());
    await chat.send({ id: "n" });
    seen.push(await row());
    const stop = chat.process(({ message, step }) => (message.id === "m" ? step.wait("allow") : step("plan", () => 1)), { onError: () => undefined });
    await globalThis.when(chat, () => chat.state.message("m")?.status === "waiting");
    seen.push(await row());
    await chat.answer("m", 0);
    await chat.ended("n");
    await stop();
    seen.push(await row());
    return seen;
  });
  const known = { id: "a", inTime: true, metadata: {} };
  expect(rows).toEqual([
    "none",
    { ...known, unfinished: 1, waiting: 0, due: 0 },
    { ...known, unfinished: 2, waiting: 0, due: 0 },
    { ...known, unfinished: 2, waiting: 1, due: undefined },
    { ...known, unfinished: 0, waiting: 0, due: undefined },
  ]);
});

test("it is ordered by time or by id, comes in pages, and forgets what was deleted", async ({ tab }) => {
  await sendTo(tab, "b", "chat/3", "chat/1", "\u{1f980}", "chat/2", "a");
  expect(await ids(tab)).toEqual(["a", "chat/2", "\u{1f980}", "chat/1", "chat/3", "b"]);
  expect(await ids(tab, { order: "id" })).toEqual(["a", "b", "chat/1", "chat/2", "chat/3", "\u{1f980}"]);
  expect(await ids(tab, { prefix: "chat/" })).toEqual(["chat/2", "chat/1", "chat/3"]);
  expect(await ids(tab, { ids: ["b", "nothing", "a"] })).toEqual(["b", "a"]);
  expect(await ids(tab, { ids: [] })).toEqual([]);
  for (const order of ["recent", "id"] as const) {
    const pages = await tab.evaluate(async ({ holdfast }, order) => {
      const pages: string[][] = [];
      for (let after: string | undefined; ; ) {
        const { rows, next } = await holdfast.list({ prefix: "chat/", order, limit: 2, ...(after !== undefined && { after }) });
        pages.push(rows.map(({ id }) => id));
        if (next === undefined) return pages;
        after = next;
      }
    }, order);
    expect(pages).toEqual(order === "id" ? [["chat/1", "chat/2"], ["chat/3"]] : [["chat/2", "chat/1"], ["chat/3"]]);
  }
  await tab.evaluate(({ holdfast }) => holdfast.delete("chat/1"));
  expect(await ids(tab, { limit: 3 })).toEqual(["a", "chat/2", "\u{1f980}"]);
  await sendTo(tab, "b"); // its message is known: nothing is stored
  expect(await ids(tab, { limit: 1 })).toEqual(["a"]);
});

test("bad options of the list are refused", async ({ tab }) => {
  const bad: unknown[] = [{ limit: 0 }, { limit: 1000 }, { order: "new" }, { after: "x" }, { after: "1 " }, { prefix: 1 }, { ids: "a" }, { ids: ["a\0b"] }, { ids: [""] }, { other: 1 }, 7];
  const codes = await tab.evaluate(
    ({ holdfast }, bad) => Promise.all(bad.map((options) => holdfast.list(options as object).then(() => "none", ({ code }: { code: string }) => code))),
    bad,
  );
  expect(codes).toEqual(["out_of_range", "out_of_range", ...bad.slice(2).map(() => "invalid_argument")]);
});

test("who subscribes hears of the conversations whose row has changed, from all tabs, and of no steps", async ({ context, tab, server }) => {
  const other = await join(await context.newPage(), server, []);
  const heard = await other.evaluateHandle(({ holdfast }) => {
    const heard: (readonly string[] | undefined)[] = [];
    const times: number[] = [];
    const stop = holdfast.subscribe((changed) => {
      heard.push(changed);
      times.push(performance.now());
    });
    return { heard, times, stop };
  });
  const told = (): Promise<(readonly string[] | undefined)[]> => heard.evaluate(({ heard }) => heard.splice(0));
  /** All ids that are told until this one is. */
  const until = async (id: string): Promise<(string | undefined)[]> => {
    const all: (string | undefined)[] = [];
    await expect.poll(async () => all.push(...(await told()).flatMap((ids): (string | undefined)[] => [...(ids ?? [undefined])])) && all.includes(id)).toBe(true);
    return all;
  };
  await sendTo(tab, "a");
  expect(await until("a")).toEqual(["a"]);
  await tab.evaluate(async ({ holdfast }) => (await holdfast.recover("a")).setMetadata({ title: "A" }));
  expect(await until("a")).toEqual(["a"]);
  expect(await other.evaluate(async ({ holdfast }) => structuredClone((await holdfast.list()).rows.map(({ metadata }) => metadata)))).toEqual([{ title: "A" }]);
  await tab.evaluate(async ({ holdfast }) => {
    const chat = await holdfast.recover("a");
    for (let step = 0; step < 20; step++) await chat.recordStepCompleted("m", step, "x");
  });
  await sendTo(tab, "b");
  expect(await until("b"), "steps change nothing").toEqual(["b"]);
  await tab.evaluate(async ({ holdfast }) => {
    await (await holdfast.recover("a")).recordProcessingFinished("m");
  });
  await until("a");
  await tab.evaluate(({ holdfast }) => holdfast.delete("a"));
  await until("a");
  await other.evaluate(async ({ holdfast }) => {
    await holdfast.create("own").send({ id: "m" });
  });
  await until("own");

  // A thousand messages elsewhere: once in a frame at most.
  await tab.evaluate(async ({ holdfast }) => {
    for (let i = 0; i < 100; i++) await Promise.all(Array.from({ length: 10 }, (_, k) => holdfast.create(`${i}/${k}`).send({ id: "m" })));
  });
  const changed = new Set<string | undefined>();
  await expect
    .poll(async () => {
      for (const list of await told()) for (const id of list ?? [undefined]) changed.add(id);
      return changed.size;
    })
    .toBe(1000);
  const times = await heard.evaluate(({ times }) => times);
  expect(times.length).toBeGreaterThan(5);
  for (const [i, time] of times.entries()) expect(time - (times[i - 1] ?? -Infinity)).toBeGreaterThan(15);
  await heard.evaluate(({ stop }) => stop());
  await sendTo(tab, "last");
  await other.evaluate(() => new Promise((resolve) => setTimeout(resolve, 100))); // nothing is to come
  expect(await told()).toEqual([]);
});

test("who subscribes hears once that the store is closed, then nothing; and nothing after another listener has unsubscribed it", async ({ tab }) => {
  const facts = await tab.evaluate(async ({ holdfast }) => {
    const subscribing = (): unknown => {
      try {
        return holdfast.subscribe(() => undefined);
      } catch (error) {
        return (error as { code: string }).code;
      }
    };
    const heard: string[] = [];
    let stop = (): void => undefined;
    const round = new Promise<void>((resolve) => {
      holdfast.subscribe((ids) => {
        heard.push(`first ${ids?.join()}`);
        stop();
      });
      stop = holdfast.subscribe(() => heard.push("unsubscribed"));
      holdfast.subscribe((ids) => {
        heard.push(`last ${ids?.join()}`);
        resolve();
      });
    });
    await holdfast.create("a").send({ id: "m" });
    await round;
    await holdfast.create("b").send({ id: "m" });
    const closed = holdfast.close();
    const codes = [subscribing()];
    await closed;
    codes.push(subscribing());
    const atClose = heard.length;
    await new Promise((resolve) => setTimeout(resolve, 50)); // a timer of the listeners would end before
    return { heard: heard.filter((what) => !what.endsWith("b")), codes, late: heard.length - atClose }; // b may come in time
  });
  expect(facts).toEqual({ heard: ["first a", "last a", "first undefined", "last undefined"], codes: ["closed", "closed"], late: 0 });
});

test("what the list has lost is mended by recover", async ({ tab, page, server }) => {
  await sendTo(tab, "a", "b");
  await tab.evaluate(async ({ holdfast }) => (await holdfast.recover("a")).setMetadata({ title: "A" }));
  await page.evaluate(async () => {
    const opening = indexedDB.open("holdfast");
    await new Promise((resolve) => (opening.onsuccess = resolve));
    const tx = opening.result.transaction("directory", "readwrite");
    tx.objectStore("directory").clear();
    await new Promise((resolve) => (tx.oncomplete = resolve));
    opening.result.close();
  });
  expect(await ids(tab)).toEqual([]);
  await page.goto(server.origin);
  const after = await attach(page, "a");
  expect(await ids(after)).toEqual(["a"]);
  expect(await after.evaluate(async ({ holdfast }) => structuredClone((await holdfast.list()).rows[0]?.metadata))).toEqual({ title: "A" });
});

/** Processes all conversations; the handler tells what it does. `asleep` sleeps for that long, in milliseconds. */
async function processAll(tab: Tab, asleep = 0): Promise<void> {
  await tab.evaluate(
    ({ holdfast }, asleep) => {
      const handler: Handler = async ({ message, conversation, step }) => {
        const { id } = conversation;
        await step("first", () => globalThis.tell(`${id} first`));
        if (id === "asleep") await step.sleep("nap", asleep);
        if (message.body === "never") await new Promise(() => undefined);
        await globalThis.tell(`${id} done`);
      };
      holdfast.process(handler);
    },
    asleep,
  );
}

test("of many conversations those with work go on after a kill, the sleeper wakes, and no other is read", { tag: "@launch" }, async ({ launch, server }) => {
  test.setTimeout(180_000 + crowd * 40);
  const begin = async (told: string[]): Promise<[RunningBrowser, Tab]> => {
    const running = await launch();
    const page = await running.newPage();
    await prepare(page, told);
    await page.goto(server.origin);
    return [running, await attach(page, "other", { durability: "default" })];
  };
  const before: string[] = [];
  const [running, tab] = await begin(before);
  await tab.evaluate(async ({ holdfast }, crowd) => {
    for (let i = 0; i < crowd; i += 100) {
      await Promise.all(
        Array.from({ length: Math.min(100, crowd - i) }, async (_, k) => {
          const chat = holdfast.create(`old/${i + k}`);
          await chat.send({ id: "m" });
          await chat.recordProcessingFinished("m");
        }),
      );
    }
    for (const id of ["one", "two", "three"]) await holdfast.create(id).send({ id: "m", body: "never" });
    await holdfast.create("asleep").send({ id: "m" });
  }, crowd);
  await processAll(tab, 8000);
  await expect.poll(() => [...before].toSorted()).toEqual(["asleep first", "one first", "three first", "two first"]);
  await expect.poll(async () => (await tab.evaluate(({ holdfast }) => holdfast.list({ ids: ["asleep"] }))).rows[0]?.waiting).toBe(1);
  await running.kill();

  const after: string[] = [];
  const [, again] = await begin(after);
  const reads = await again.evaluateHandle(() => {
    const names = new Set<string>();
    const { getAll } = IDBObjectStore.prototype; // oxlint-disable-line typescript/unbound-method
    IDBObjectStore.prototype.getAll = function (range, count) {
      if (this.name === "records" && range instanceof IDBKeyRange) {
        const key = new Uint8Array(range.lower as ArrayBuffer);
        names.add(new TextDecoder().decode(key.subarray(0, key.indexOf(0))));
      }
      return getAll.call(this, range, count);
    };
    return names;
  });
  const slept = Date.now();
  await again.evaluate(({ holdfast }) => {
    const handler: Handler = async ({ conversation: { id }, step }) => {
      await step("first", () => globalThis.tell(`${id} again`));
      if (id === "asleep") await step.sleep("nap", 8000);
      await globalThis.tell(`${id} done`);
    };
    holdfast.process(handler);
  });
  await expect.poll(() => [...after].toSorted()).toEqual(["asleep done", "one done", "three done", "two done"]);
  expect(after.at(-1)).toBe("asleep done");
  expect(Date.now() - slept).toBeLessThan(10_000);
  expect([...(await reads.evaluate((names) => [...names]))].toSorted()).toEqual(["asleep", "one", "three", "two"]);
  console.log(`result: ${crowd} conversations, 3 interrupted and 1 asleep, browser killed: no other was read`);
});

test("tabs share the conversations: each message is processed once, also as a tab ends", async ({ context, page, tab, told, server }) => {
  await tab.evaluate(async ({ holdfast }) => {
    for (let i = 0; i < 30; i++) await holdfast.create(`c${i}`).send({ id: "m" });
  });
  const second: string[] = [];
  const other = await join(await context.newPage(), server, second);
  await Promise.all([processAll(tab), processAll(other)]);
  await expect.poll(() => [...told, ...second].filter((what) => what.endsWith("done")).length).toBe(30);
  expect(new Set([...told, ...second]).size).toBe(60);
  // A tab that ends in the middle: the other takes over what it had.
  await tab.evaluate(({ holdfast }) => holdfast.create("late").send({ id: "m", body: "never" }));
  await expect.poll(() => [...told, ...second].filter((what) => what === "late first").length).toBe(1);
  const [gone, left, leftTold] = told.includes("late first") ? [page, other, second] : [other, tab, told];
  await left.evaluate(({ holdfast }) => holdfast.create("sign").send({ id: "m" }));
  await expect.poll(() => [...told, ...second]).toContain("sign done");
  if (gone === page) await page.close();
  else await context.pages().at(-1)?.close();
  await expect.poll(async () => (await left.evaluate(async ({ holdfast }) => (await holdfast.recover("late")).runner()))).toBe("here");
  expect(leftTold).not.toContain("late first"); // the step was paid
});

test("a conversation with its own process is left to that, and prefixes must not overlap", async ({ tab, told }) => {
  const said = await tab.evaluate(async ({ holdfast, conversation }) => {
    const own = conversation.process(({ conversation: { id } }) => globalThis.tell(`own ${id}`));
    const stop = holdfast.process(({ conversation: { id } }) => globalThis.tell(`all ${id}`), { prefix: "o" });
    const refusal = (prefix: string): string => {
      try {
        holdfast.process(() => undefined, { prefix });
        return "taken";
      } catch (error) {
        return (error as { code: string }).code;
      }
    };
    const refused = ["", "o", "other"].map(refusal);
    const apart = holdfast.process(({ conversation: { id } }) => globalThis.tell(`apart ${id}`), { prefix: "x", concurrency: 1 });
    await conversation.send({ id: "m" });
    await conversation.ended("m");
    for (const id of ["o2", "x1", "none"]) await holdfast.create(id).send({ id: "m" });
    await Promise.all(["o2", "x1"].map(async (id) => (await holdfast.recover(id)).ended("m")));
    await Promise.all([own(), stop(), apart()]);
    const again = holdfast.process(() => undefined, { prefix: "" }); // now that nobody else does
    const stopped = again();
    const next = holdfast.process(() => undefined, { prefix: "" }); // at once, as when a component is mounted again
    await stopped;
    refused.push(refusal(""));
    await (await holdfast.recover("none")).ended("m");
    await next();
    return refused;
  });
  expect(said).toEqual(["invalid_argument", "invalid_argument", "invalid_argument", "invalid_argument"]);
  expect(told.toSorted()).toEqual(["all o2", "apart x1", "own other"]);
});

test("a store that is closed amid turns, or stopped and processed again at once, hangs in nothing", async ({ tab }) => {
  await tab.evaluate(async ({ holdfast }) => {
    for (let i = 0; i < 30; i++) await holdfast.create(`c${i}`).send({ id: "m", body: "x".repeat(100_000) });
    await holdfast.close();
  });
  const reasons = await tab.evaluate(async () => {
    const { open } = await import("@holdfast-dev/holdfast");
    const reasons = new Set<string>();
    for (const delay of [undefined, 0, 1, 2, 5, 10, 20, 40]) {
      const holdfast = await open();
      const handler: Handler = ({ signal, step }) => {
        signal.addEventListener("abort", () => reasons.add((signal.reason as { code: string }).code));
        return step.wait("never");
      };
      const stop = holdfast.process(handler);
      void stop();
      holdfast.process(handler);
      if (delay !== undefined) await new Promise((resolve) => setTimeout(resolve, delay));
      await holdfast.close();
    }
    // Those that wait are let go for the same reason.
    const holdfast = await open();
    holdfast.process(({ signal, step }) => {
      signal.addEventListener("abort", () => reasons.add((signal.reason as { code: string }).code));
      return step.wait("never");
    });
    let rows = (await holdfast.list({ prefix: "c" })).rows;
    while (rows.some(({ waiting }) => waiting === 0)) rows = (await holdfast.list({ prefix: "c" })).rows;
    await holdfast.close();
    return [...reasons];
  });
  expect(reasons).toEqual(["closed"]);
});

test("a function with side effects or a timeout is not let go while it waits, and others are worked on", async ({ tab }) => {
  const seen = await tab.evaluate(async ({ holdfast }) => {
    const calls: string[] = [];
    const options: Record<string, StepOptions> = { skip: { sideEffect: "skip" }, ask: { sideEffect: "ask" }, late: { timeout: 1500, maxAttempts: 1 } };
    const stop = holdfast.process(({ conversation: { id }, step }) => step("pay", (context) => (calls.push(id), context.step.wait("confirm")), options[id]), { concurrency: 1 });
    const ends: unknown[] = [];
    for (const id of Object.keys(options)) {
      const chat = holdfast.create(id);
      await chat.send({ id: "m" });
      await globalThis.when(chat, () => chat.state.message("m")?.status === "waiting");
    }
    for (const id of Object.keys(options)) {
      const chat = await holdfast.recover(id);
      if (id !== "late") await chat.answer("m", chat.state.message("m")?.openSteps.find(({ waiting }) => waiting)?.index ?? -1, "yes");
      const { status, result } = await chat.ended("m");
      ends.push([id, status, result]);
    }
    await stop();
    return { calls, ends };
  });
  expect(seen).toEqual({ calls: ["skip", "ask", "late"], ends: [["skip", "finished", "yes"], ["ask", "finished", "yes"], ["late", "failed", undefined]] });
});

test("a damaged conversation is told of and left alone", async ({ tab, page }) => {
  await sendTo(tab, "good", "bad");
  await page.evaluate(async () => {
    const opening = indexedDB.open("holdfast");
    await new Promise((resolve) => (opening.onsuccess = resolve));
    const tx = opening.result.transaction("records", "readwrite");
    const records = tx.objectStore("records");
    const keys = records.getAllKeys();
    await new Promise((resolve) => (keys.onsuccess = resolve));
    for (const key of keys.result) {
      const name = new TextDecoder().decode(new Uint8Array(key as ArrayBuffer).subarray(0, 3));
      if (name === "bad") records.put(new Uint8Array([1, 2, 3]), key);
    }
    await new Promise((resolve) => (tx.oncomplete = resolve));
    opening.result.close();
  });
  const [errors, ended] = await tab.evaluate(async ({ holdfast }) => {
    const errors: string[] = [];
    const stop = holdfast.process(() => "done", { onError: (error) => errors.push(`${(error as { code?: string }).code} ${(error as { stream?: string }).stream}`) });
    await (await holdfast.recover("good")).ended("m");
    await holdfast.create("more").send({ id: "m" });
    const more = await (await holdfast.recover("more")).ended("m");
    await stop();
    return [errors, more.status] as const;
  });
  expect(errors).toEqual(["corrupt bad"]);
  expect(ended).toBe("finished");
});

test("a conversation in the queue of holdfast.process is processed here, says its runner", async ({ page, server }) => {
  await page.goto(server.origin);
  const told = await page.evaluate(async () => {
    const { open } = await import("@holdfast-dev/holdfast");
    const holdfast = await open();
    const [first, second, other] = ["chat/1", "chat/2", "else"].map((id) => holdfast.create(id));
    for (const conversation of [first, second, other]) await conversation?.send({ id: "m" });
    const places = (): Promise<unknown> => Promise.all([first, second, other].map((conversation) => conversation?.runner()));
    const before = await places();
    let begun = (): void => undefined;
    let end = (): void => undefined;
    const working = new Promise<void>((resolve) => (begun = resolve));
    const stop = holdfast.process(
      () => {
        begun();
        return new Promise<void>((resolve) => (end = resolve));
      },
      { prefix: "chat/", concurrency: 1 },
    );
    await working;
    const during = await places();
    const stopped = stop();
    end();
    await stopped;
    const after = await places();
    await holdfast.close();
    return { before, during, after };
  });
  expect(told).toEqual({ before: ["nobody", "nobody", "nobody"], during: ["here", "here", "nobody"], after: ["nobody", "nobody", "nobody"] });
});

test("while conversations in memory are processed the page lives", { tag: "@memory" }, async ({ page, server }) => {
  await page.goto(server.origin);
  const told = await page.evaluate(async () => {
    const { open } = await import("@holdfast-dev/holdfast");
    const holdfast = await open({ storage: "memory" });
    const count = 1000;
    for (let i = 0; i < count; i++) await holdfast.create(`chat/${i}`).send({ id: "m" });
    let ended = 0;
    let longest = 0;
    let last = performance.now();
    const turn = (): void => {
      longest = Math.max(longest, performance.now() - last);
      last = performance.now();
      if (ended < count) setTimeout(turn);
    };
    turn();
    const begun = performance.now();
    const stop = await new Promise<() => Promise<void>>((resolve) => {
      const stop_ = holdfast.process(() => {
        if (++ended === count) resolve(stop_);
      });
    });
    const took = performance.now() - begun;
    turn();
    await stop();
    await holdfast.close();
    return { longest, took };
  });
  expect(told.longest).toBeLessThan(told.took / 5);
});

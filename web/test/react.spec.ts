// `useConversation` in React's development mode: what it shows and when, and that it leaves nothing behind.
import type { JSHandle, Page } from "@playwright/test";
import type { Holdfast, HoldfastError } from "@holdfast-dev/holdfast";
import type * as Chats from "./pages/react.js";
import { append, attach, expectedSeq, recover, refresh, subscribe, type Tab } from "./harness/tab.js";
import type { Server } from "./harness/server.js";
import { expect, test as base } from "./harness/test.js";

type View = JSHandle<Chats.View>;

interface Fixtures {
  /** What React and the browser have found fault with. A test that expects some empties it. */
  complaints: string[];
  /** A page of a fresh origin, in which Holdfast is open. */
  tab: Tab;
}

const test = base.extend<Fixtures>({
  complaints: [
    // oxlint-disable-next-line no-empty-pattern -- Playwright reads the names of the fixtures from this pattern.
    async ({}, use) => {
      const complaints: string[] = [];
      await use(complaints);
      expect(complaints, "nothing to complain about").toEqual([]);
    },
    { auto: true },
  ],
  tab: async ({ page, server, complaints }, use) => {
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") complaints.push(message.text());
    });
    await page.goto(server.origin);
    await use(await attach(page, "chat"));
  },
});

/** Shows a chat for each id, on the page of a tab. */
async function show(page: Page, tab: Tab, ids: readonly string[], strict = false): Promise<View> {
  const module = await page.evaluateHandle(async (bundle) => (await import(bundle)) as typeof Chats, "/bundle/react.js");
  const view = await module.evaluateHandle(({ View }, strict) => View.create(strict), strict);
  await view.evaluate((view, [{ holdfast }, ids]) => view.show(holdfast, ...ids), [tab, ids] as const);
  return view;
}

/** Calls `view.show` again. */
async function switchTo(view: View, tab: Tab, ...ids: string[]): Promise<void> {
  await view.evaluate((view, [{ holdfast }, ids]) => view.show(holdfast, ...ids), [tab, ids] as const);
}

async function send(tab: Tab, body: string): Promise<void> {
  await tab.evaluate(({ conversation }, body) => conversation.send({ id: body, body }), body);
}

async function openTab(page: Page, server: Server): Promise<[Page, Tab]> {
  const other = await page.context().newPage();
  await other.goto(server.origin);
  return [other, await attach(other, "chat")];
}

/** A store in which `recover` waits until it is let go, and counts. */
interface Gate {
  readonly holdfast: Holdfast;
  readonly recovered: string[];
  readonly open: () => void;
}

async function gate(tab: Tab): Promise<JSHandle<Gate>> {
  return await tab.evaluateHandle(({ holdfast }) => {
    const recovered: string[] = [];
    let open = (): void => undefined;
    const opened = new Promise<void>((resolve) => (open = resolve));
    const recover: Holdfast["recover"] = async (id) => {
      recovered.push(id);
      await opened;
      return holdfast.recover(id);
    };
    return { holdfast: { recover } as Holdfast, recovered, open };
  });
}

for (const strict of [false, true]) {
  test.describe(strict ? "in StrictMode" : "without StrictMode", () => {
    test("it shows what is stored, then what is sent here and in another tab", async ({ page, server, tab }) => {
      await send(tab, "stored");
      const view = await show(page, tab, ["chat"], strict);
      await expect(page.getByRole("listitem")).toHaveText(["stored | received"]);
      expect(await view.evaluate(({ story }) => story)).toEqual(["chat: opening", "chat: chat"]);

      await view.evaluate(async ({ last }) => {
        if (last?.status === "open") await last.conversation.send({ id: "own", body: "own" });
      });
      await expect(page.getByRole("listitem")).toHaveText(["stored | received", "own | received"]);
      await refresh(tab);
      await send(tab, "through another handle");
      const [there, other] = await openTab(page, server);
      await show(there, other, ["chat"], strict);
      await send(other, "elsewhere");
      const all = ["stored | received", "own | received", "through another handle | received", "elsewhere | received"];
      await expect(page.getByRole("listitem")).toHaveText(all);
      await expect(there.getByRole("listitem")).toHaveText(all);
    });

    test("it shows metadata and notes, in every tab", async ({ page, server, tab }) => {
      const [there, other] = await openTab(page, server);
      await show(page, tab, ["chat"], strict);
      await show(there, other, ["chat"], strict);
      await other.evaluate(async ({ conversation }) => {
        await conversation.note("draft", "one");
        await conversation.setMetadata({ title: "Trees" });
      });
      for (const each of [page, there]) {
        await expect(each.getByRole("listitem")).toHaveText(["draft: one"]);
        await expect(each.getByRole("list")).toHaveAttribute("title", "Trees");
      }
      await tab.evaluate(({ conversation }) => conversation.setMetadata({ title: undefined }));
      for (const each of [page, there]) await expect(each.getByRole("list")).not.toHaveAttribute("title");
    });

    test("it shows text as it streams, in every tab", async ({ page, server, tab }) => {
      const [there, other] = await openTab(page, server);
      await show(page, tab, ["chat"], strict);
      await show(there, other, ["chat"], strict);
      const tokens = await tab.evaluateHandle(({ conversation }) => {
        const { readable, writable } = new TransformStream<string, string>(undefined, undefined, { highWaterMark: 10 });
        conversation.process(({ step }) => step.stream("answer", () => readable as unknown as AsyncIterable<string>));
        return writable.getWriter();
      });
      await send(other, "why?");
      const item = (of: Page): ReturnType<Page["getByRole"]> => of.getByRole("listitem");
      await expect(item(page)).toHaveText("why? | processing");
      await tokens.evaluate((writer) => writer.write("be"));
      await expect(item(page)).toHaveText("why? | processing | be");
      await expect(item(there)).toHaveText("why? | processing | be");
      await tokens.evaluate((writer) => writer.write("cause"));
      await expect(item(there)).toHaveText("why? | processing | because");
      await tokens.evaluate((writer) => writer.close());
      for (const each of [page, there]) await expect(item(each)).toHaveText("why? | finished | because");
    });

    test("an application opens one store, processes with the handler of the last render, and leaves nothing behind", async ({ page, tab }) => {
      const view = await show(page, tab, [], strict);
      const agent = await recover(tab, "agent");
      await page.evaluate(() => {
        const { instantiate } = WebAssembly;
        const counting = async (...args: Parameters<typeof instantiate>): Promise<unknown> => {
          Object.assign(window, { instances: ((window as { instances?: number }).instances ?? 0) + 1 });
          return instantiate(...args);
        };
        WebAssembly.instantiate = counting as typeof instantiate;
      });
      const item = page.getByRole("listitem");
      await view.evaluate((view) => view.start({}, "one"));
      await send(agent, "first");
      await expect(item).toHaveText(["first one"]);
      await view.evaluate((view) => view.start({}, "two"));
      await send(agent, "second");
      await expect(item).toHaveText(["first one", "second two"]);
      expect(await view.evaluate(({ stores, calls }) => [new Set(stores).size, calls])).toEqual([2, ["first", "second"]]);
      expect(await page.evaluate(() => (window as { instances?: number }).instances)).toBe(1);

      const closed = await view.evaluate(async (view) => {
        const store = view.stores.at(-1)?.holdfast;
        view.unmount();
        for (;;) {
          const code = await store?.health().then(
            () => undefined,
            (error: HoldfastError) => error.code,
          );
          if (code !== undefined) return code;
          await new Promise(requestAnimationFrame);
        }
      });
      expect(closed).toBe("closed");
      await send(agent, "third");
      expect(await agent.evaluate(({ conversation }) => conversation.state.message("third")?.status)).toBe("received");
    });

    test("a store that cannot be opened says why", async ({ page, tab }) => {
      const view = await show(page, tab, [], strict);
      await view.evaluate((view) => view.start({ timeout: -1 }, ""));
      await expect(page.getByRole("paragraph")).toHaveText("out_of_range");
    });

    test("it shows a wait, attempts and a failure in every tab, and answers", async ({ page, server, tab }) => {
      const [there, other] = await openTab(page, server);
      await show(page, tab, ["chat"], strict);
      await show(there, other, ["chat"], strict);
      const work = await tab.evaluateHandle(({ conversation }) => {
        let fail = (): void => undefined;
        const again = new Promise<void>((resolve) => (fail = resolve));
        conversation.process(async ({ step }) => {
          const failing = async ({ attempt }: { readonly attempt: number }): Promise<never> => {
            if (attempt > 1) await again;
            throw new Error("no");
          };
          await step("first", failing, { maxAttempts: 2, backoff: { initial: 1 } }).catch(() => undefined);
          return await step.wait("second", { prompt: "Go on?" });
        });
        return { fail };
      });
      await send(other, "do it");
      const items = [page, there].map((of) => of.getByRole("listitem"));
      for (const item of items) await expect(item).toHaveText("do it | processing | first, try 1: no");
      await work.evaluate(({ fail }) => fail());
      for (const item of items) await expect(item).toHaveText("do it | waiting | first has failed: noGo on?");
      await there.getByRole("button", { name: "Go on?" }).click();
      for (const item of items) await expect(item).toHaveText("do it | finished | yes | first has failed: no");
    });

    test("another id shows nothing of the former, also while that is still being read", async ({ page, tab }) => {
      await send(tab, "first");
      await send(await recover(tab, "b"), "second");
      const view = await show(page, tab, ["chat"], strict);
      await expect(page.getByRole("listitem")).toHaveText("first | received");
      await switchTo(view, tab, "b");
      await expect(page.getByRole("listitem")).toHaveText("second | received");
      await switchTo(view, tab, "c");
      await switchTo(view, tab, "chat");
      await expect(page.getByRole("listitem")).toHaveText("first | received");

      const slow = await gate(tab);
      await view.evaluate((view, { holdfast }) => view.show(holdfast, "b"), slow);
      await expect(page.getByRole("paragraph")).toHaveText("b: opening");
      await switchTo(view, tab, "chat");
      await expect(page.getByRole("listitem")).toHaveText("first | received");
      await slow.evaluate(({ open }) => open());
      await tab.evaluate(({ holdfast }) => holdfast.recover("b")); // behind the one that was let go
      const story = await view.evaluate(({ story }) => story);
      expect(story.filter((line) => !/^(\w+): (\1|opening)$/.test(line)), "each id shows its own").toEqual([]);
      expect(story.slice(-5)).toEqual(["chat: opening", "chat: chat", "b: opening", "chat: opening", "chat: chat"]);
    });

    test("it reads once, and follows no longer when it is unmounted", async ({ page, server, tab }) => {
      const store = await gate(tab);
      const view = await show(page, tab, [], strict);
      await view.evaluate((view, { holdfast }) => view.show(holdfast, "chat"), store);
      await store.evaluate(({ open }) => open());
      await expect(page.getByRole("list")).toBeAttached();
      expect(await store.evaluate(({ recovered }) => recovered)).toEqual(["chat"]);
      await send(tab, "seen");
      await expect(page.getByRole("listitem")).toHaveText("seen | received");

      const left = await view.evaluateHandle(({ last }) => (last?.status === "open" ? last.conversation : undefined));
      const renders = await view.evaluate((view) => {
        view.unmount();
        return view.renders.length;
      });
      const witness = await recover(tab, "chat");
      await subscribe(witness);
      const [, other] = await openTab(page, server);
      expect(await append(other, "seen", 0)).toEqual({ sequence: 1 });
      await expect.poll(() => expectedSeq(witness)).toBe(2);
      expect(await left.evaluate((conversation) => conversation?.expectedSeq), "it stands still").toBe(1);
      expect(await view.evaluate((view) => view.renders.length)).toBe(renders);
    });

    test("the list follows what is sent in every tab, shows as much as is wanted, and says when the store is closed", async ({ page, server, tab }) => {
      const [, other] = await openTab(page, server);
      const view = await show(page, tab, [], strict);
      const item = page.getByRole("listitem");
      await view.evaluate((view) => view.list(undefined, 2));
      await expect(item).toHaveText(["opening"]);
      await view.evaluate((view, { holdfast }) => view.list(holdfast, 2), tab);
      await expect(item).toHaveCount(0);
      for (const id of ["a", "b", "c"]) await send(await recover(other, id), "m");
      await expect(item).toHaveText(["c 1", "b 1", "more"]);
      const more = await view.evaluateHandle((view, { holdfast }) => {
        view.lists.length = 0;
        view.list(holdfast, 3);
        return view.lists;
      }, tab);
      await expect(item).toHaveText(["c 1", "b 1", "a 1"]);
      expect(await more.evaluate((lists) => [...new Set(lists)]), "what was shown stays until there is more").toEqual(["c 1,b 1,more", "c 1,b 1,a 1"]);
      await tab.evaluate(({ holdfast }) => holdfast.delete("b"));
      await expect(item).toHaveText(["c 1", "a 1"]);
      await tab.evaluate(({ holdfast }) => holdfast.close());
      await expect(item).toHaveText(["closed"]);
      await view.evaluate((view, { holdfast }) => view.list(holdfast, 4), tab);
      await expect(item).toHaveText(["closed"]);
    });

    test("the list has more rows than a page of it", async ({ page, tab }) => {
      const view = await show(page, tab, [], strict);
      const last = page.getByRole("listitem").last();
      await tab.evaluate(({ holdfast }) => Promise.all(Array.from({ length: 1001 }, (_, i) => holdfast.create(`c${i}`).setMetadata({ title: "T" }))));
      await view.evaluate((view, { holdfast }) => view.list(holdfast, 1000), tab);
      await expect(page.getByRole("listitem")).toHaveCount(1001);
      await expect(last).toHaveText("more");
      await view.evaluate((view, { holdfast }) => view.list(holdfast, 2000), tab);
      await expect(last).toHaveText(/^c\d+ 0 T$/);
      await expect(page.getByRole("listitem")).toHaveCount(1001);
    });

    test("unmounted while it reads, it subscribes to nothing", async ({ page, tab }) => {
      const facts = await tab.evaluateHandle(({ conversation }) => {
        const seen = { subscriptions: 0, arrive: (): void => undefined };
        const arrival = new Promise<void>((resolve) => (seen.arrive = resolve));
        const recover = async (): Promise<unknown> => {
          await arrival;
          return Object.assign(Object.create(conversation) as typeof conversation, {
            subscribe: () => {
              seen.subscriptions++;
              return () => undefined;
            },
          });
        };
        return { seen, holdfast: { recover } as unknown as Holdfast };
      });
      const view = await show(page, tab, [], strict);
      await view.evaluate((view, { holdfast }) => view.show(holdfast, "chat"), facts);
      await expect(page.getByRole("paragraph")).toHaveText("chat: opening");
      expect(
        await view.evaluate(async (view, { seen }) => {
          view.unmount();
          seen.arrive();
          await new Promise((resolve) => setTimeout(resolve)); // behind all microtasks
          return [seen.subscriptions, view.story];
        }, facts),
      ).toEqual([0, ["chat: opening"]]);
    });
  });
}

test("what it returns is the same object until something changes", async ({ page, tab }) => {
  const view = await show(page, tab, ["chat"]);
  await expect(page.getByRole("list")).toBeAttached();
  const before = await view.evaluateHandle(({ last }) => last);
  await switchTo(view, tab, "chat");
  await switchTo(view, tab, "chat");
  expect(await view.evaluate((view, before) => [view.renders.length > 2, view.last === before], before)).toEqual([true, true]);
  await send(tab, "news");
  await expect(page.getByRole("listitem")).toHaveText("news | received");
  expect(
    await view.evaluate(({ last }, before) => {
      if (last?.status !== "open" || before?.status !== "open") return "not open";
      return [last === before, last.conversation === before.conversation, last.state === last.conversation.state, before.state.messages.length];
    }, before),
    "a new object for a new state, and the old one as it was",
  ).toEqual([false, true, true, 0]);
});

test("two components with one id show the same, each through its own handle", async ({ page, tab }) => {
  const view = await show(page, tab, ["chat", "chat"]);
  await send(tab, "both");
  await expect(page.getByRole("listitem")).toHaveText(["both | received", "both | received"]);
  const handles = await view.evaluate(({ renders }) => new Set(renders.flatMap(({ given }) => (given.status === "open" ? [given.conversation] : []))).size);
  expect(handles).toBe(2);
  await switchTo(view, tab, "chat");
  await send(tab, "one");
  await expect(page.getByRole("listitem")).toHaveText(["both | received", "one | received"]);
});

test("it waits for the store, and goes over to another one", async ({ page, tab }) => {
  await send(tab, "on the disk");
  const view = await show(page, tab, []);
  await view.evaluate((view) => view.show(undefined, "chat"));
  await expect(page.getByRole("paragraph")).toHaveText("chat: opening");
  await switchTo(view, tab, "chat");
  await expect(page.getByRole("listitem")).toHaveText("on the disk | received");
  const memory = await attach(page, "chat", { storage: "memory" });
  await send(memory, "in memory");
  await switchTo(view, memory, "chat");
  await expect(page.getByRole("listitem")).toHaveText("in memory | received");
  await view.evaluate((view) => view.show(undefined, "chat"));
  await expect(page.getByRole("paragraph")).toHaveText("chat: opening");
});

test("it fails with the error of Holdfast, and opens with another store or another id", async ({ page, tab, complaints }) => {
  const mortal = await page.evaluateHandle(async () => {
    const instances: WebAssembly.Instance[] = [];
    const instantiate = WebAssembly.instantiate as (module: WebAssembly.Module, imports?: WebAssembly.Imports) => Promise<WebAssembly.Instance>;
    WebAssembly.instantiate = (async (module: WebAssembly.Module, imports?: WebAssembly.Imports) => {
      const instance = await instantiate(module, imports);
      instances.push(instance);
      return instance;
    }) as typeof WebAssembly.instantiate;
    const { open, HoldfastError } = await import("@holdfast-dev/holdfast");
    const holdfast = await open();
    const memory = instances[0]?.exports["mem"] as WebAssembly.Memory;
    const recoverAndDie = async (id: string): Promise<unknown> => {
      const conversation = await holdfast.recover(id);
      new Uint8Array(memory.buffer).fill(0);
      await holdfast.health().catch(() => undefined);
      return conversation;
    };
    return { holdfast, HoldfastError, dying: { recover: recoverAndDie } as unknown as Holdfast };
  });
  const view = await show(page, tab, []);
  const failed = page.getByRole("paragraph");
  await view.evaluate((view, { dying }) => view.show(dying, "chat"), mortal);
  await expect(failed, "dead before it could be followed").toHaveText("chat: instance_lost");
  const typed = await view.evaluate(({ last }, { HoldfastError }) => last?.status === "failed" && last.error instanceof HoldfastError, mortal);
  expect(typed).toBe(true);
  await view.evaluate((view, { holdfast }) => view.show(holdfast, "chat"), mortal);
  await expect(failed, "dead before it could be read").toHaveText("chat: instance_lost");
  complaints.length = 0; // what the dying program has printed

  await switchTo(view, tab, "");
  await expect(page.getByText("invalid_argument")).toBeVisible();
  await switchTo(view, tab, "chat");
  await expect(page.getByRole("list")).toBeAttached();
  await tab.evaluate(({ holdfast }) => holdfast.close());
  await expect(failed, "closed while it is shown").toHaveText("chat: closed");
  await switchTo(view, tab, "b");
  await expect(failed).toHaveText("b: closed");
});

test("it fails when another tab has deleted the database", async ({ page, server, tab }) => {
  await send(tab, "gone");
  const view = await show(page, tab, ["chat"]);
  await expect(page.getByRole("listitem")).toHaveText("gone | received");
  const other = await page.context().newPage();
  await other.goto(server.origin);
  await other.evaluate(() => new Promise((resolve) => (indexedDB.deleteDatabase("holdfast").onsuccess = resolve)));
  await expect(page.getByRole("paragraph")).toHaveText("chat: store_reset");
  await view.evaluate((view) => view.unmount());
});

test("rendered on a server it is opening, and a page takes over from there", async ({ page, tab }) => {
  await send(tab, "stored");
  const chats = await page.evaluateHandle(async (bundle) => (await import(bundle)) as typeof Chats, "/bundle/react.js");
  const hydrated = await chats.evaluateHandle(({ View }, { holdfast }) => View.hydrate(holdfast, "chat"), tab);
  expect(await hydrated.evaluate(({ html }) => html)).toBe('<p class="opening">chat: opening</p>');
  await expect(page.getByRole("listitem")).toHaveText("stored | received");
});

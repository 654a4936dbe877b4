// What befalls the storage of the whole origin, by the hands of the user, of the browser, or of another tab.
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { JSHandle, Page } from "@playwright/test";
import type { Conversation, Holdfast } from "@holdfast-dev/holdfast";
import { type Failure, expect, listen, test } from "./harness/holdfast.js";
import { remembered } from "./harness/memory.js";
import { attach } from "./harness/tab.js";

interface Open {
  readonly holdfast: Holdfast;
  readonly c: Conversation;
  readonly epoch: string | undefined;
}

async function opened(home: Page): Promise<JSHandle<Open>> {
  return await home.evaluateHandle(async () => {
    const { open } = await import("@holdfast-dev/holdfast");
    const holdfast = await open();
    const c = holdfast.create("c");
    await c.recordProcessingStarted("m");
    return { holdfast, c, epoch: (await holdfast.health()).epoch };
  });
}

/** How every kind of call fails on a store whose database has gone. */
async function failures(tab: JSHandle<Open>): Promise<string[]> {
  return await tab.evaluate(async ({ holdfast, c }) => {
    const calls = [c.recordStepCompleted("m", 0), c.send({ body: "late" }), c.refresh(), c.events(), holdfast.recover("c"), holdfast.conversations(), holdfast.delete("c")];
    const failures = await Promise.all(calls.map(async (call) => told.failure(call)));
    return failures.map((failure) => `${failure?.code} ${failure?.outcome}`);
  });
}

/** Opens afresh: the head of the conversation, and whether the store is the one that was known. */
async function openAfresh(tab: JSHandle<Open>): Promise<{ head: number; known: boolean }> {
  return await tab.evaluate(async ({ epoch }) => {
    const { open } = await import("@holdfast-dev/holdfast");
    const holdfast = await open();
    const found = { head: (await holdfast.recover("c")).expectedSeq, known: (await holdfast.health()).epoch === epoch };
    await holdfast.close();
    return found;
  });
}

const reset = Array<string>(7).fill("store_reset permanent");

test("site data cleared under an open store: store_reset from every call, and it opens afresh", async ({ home, server }) => {
  const tab = await opened(home);
  const cdp = await home.context().newCDPSession(home);
  await cdp.send("Storage.clearDataForOrigin", { origin: server.origin, storageTypes: "indexeddb" });
  expect(await failures(tab)).toEqual(reset);
  expect(await openAfresh(tab)).toEqual({ head: 0, known: false });
});

test("an evicted origin: who has it open is told; who comes later finds it empty, for nothing is left that could tell", async ({ home, server }) => {
  const tab = await opened(home);
  const cdp = await home.context().newCDPSession(home);
  const evict = (): Promise<unknown> => cdp.send("Storage.clearDataForOrigin", { origin: server.origin, storageTypes: "all" });
  await evict();
  expect(await failures(tab)).toEqual(reset);
  expect(await openAfresh(tab)).toEqual({ head: 0, known: false });

  await opened(home); // so that there is an epoch again
  await expect.poll(() => remembered(home)).toEqual({ c: 1 }); // else it would be written behind the eviction
  await evict();
  await home.reload();
  const head = await home.evaluate(async () => {
    const { open } = await import("@holdfast-dev/holdfast");
    return (await (await open()).recover("c")).expectedSeq;
  });
  expect(head).toBe(0);
});

test("another tab that deletes the database is not kept waiting, and the store is reset", async ({ home, context, server, complaints }) => {
  const tab = await opened(home);
  const peer = await context.newPage();
  listen(peer, complaints);
  await peer.goto(server.origin);
  await peer.evaluate(
    () =>
      new Promise<void>((resolve, reject) => {
        const deletion = indexedDB.deleteDatabase("holdfast");
        deletion.onsuccess = () => resolve();
        deletion.onblocked = () => reject(new Error("the deletion is blocked"));
      }),
  );
  expect(await failures(tab)).toEqual(reset);
  expect(await openAfresh(tab)).toEqual({ head: 0, known: false });
});

test("a tab that notices a reset late forgets nothing of the new database", async ({ home, context, server, complaints }) => {
  const late = await opened(home);
  const peer = await context.newPage();
  listen(peer, complaints);
  await peer.goto(server.origin);
  const said = await peer.evaluate(async () => {
    await new Promise((resolve) => (indexedDB.deleteDatabase("holdfast").onsuccess = resolve));
    const { open } = await import("@holdfast-dev/holdfast");
    const said = await open().catch((error: unknown) => (error as { readonly code: string }).code);
    const c = await (await open()).recover("new");
    await c.recordProcessingStarted("m");
    await c.recordStepCompleted("m", 0);
    return said;
  });
  expect(said).toBe("store_reset");
  await expect.poll(() => remembered(home)).toEqual({ new: 2 });
  expect(await failures(late)).toEqual(reset);
  await late.evaluate(({ holdfast }) => holdfast.close());
  expect(await remembered(home)).toEqual({ new: 2 });
  expect(await openAfresh(late)).toEqual({ head: 0, known: false });
});

for (const [wish, then] of [["deleteDatabase", "store_reset"], ["open", "unsupported_version"]] as const) {
  test(`a frozen tab in the way of ${wish === "open" ? "a newer version" : "a deletion"}: open is blocked until its deadline; once it has thawed, ${then}`, { tag: "@launch" }, async ({ launch, server }) => {
    const running = await launch({ lifelike: true });
    const freezing = await running.newPage();
    await freezing.goto(server.origin);
    const frozen = await attach(freezing, "c");
    await frozen.evaluate(({ conversation }) => conversation.recordProcessingStarted("m"));
    const session = await running.context.newCDPSession(freezing);
    await session.send("Page.setWebLifecycleState", { state: "frozen" });

    const page = await running.newPage();
    await page.goto(server.origin);
    const beside = await attach(page, "c");
    expect(await beside.evaluate(({ conversation }) => conversation.recordProcessingFinished("m")), "at rest it is in nobody's way").toBe(1);
    const granted = await page.evaluateHandle(
      (wish) => ({
        granted: new Promise<void>((resolve) => {
          const request = wish === "open" ? indexedDB.open("holdfast", 2) : indexedDB.deleteDatabase("holdfast");
          request.onsuccess = () => {
            if (wish === "open") request.result.close();
            resolve();
          };
        }),
      }),
      wish,
    );
    const open = (timeout: number): Promise<Pick<Failure, "code" | "outcome"> | undefined> =>
      page.evaluate(async (timeout) => {
        const { open, HoldfastError } = await import("@holdfast-dev/holdfast");
        try {
          await open({ timeout });
          return undefined;
        } catch (error) {
          if (!(error instanceof HoldfastError)) throw error;
          return { code: error.code, outcome: error.outcome };
        }
      }, timeout);
    expect(await open(1000)).toEqual({ code: "blocked", outcome: "not_written" });

    await session.send("Page.setWebLifecycleState", { state: "active" });
    await granted.evaluate(({ granted }) => granted);
    const code = await frozen.evaluate(({ conversation }) => conversation.refresh().then(String, (error: { code: string }) => error.code));
    expect(code, "the tab that was frozen").toBe(then);
    // The origin has been told, by that tab.
    expect(await open(20_000)).toEqual(wish === "open" ? { code: then, outcome: "permanent" } : undefined);
    await running.close();
  });
}

test("a folder of the profile that the browser cannot use: storage_unavailable after three tries, and it opens once that is mended", { tag: "@launch" }, async ({ launch, profile, server }) => {
  const folder = join(profile, "Default", "IndexedDB");
  await mkdir(join(profile, "Default"), { recursive: true });
  await writeFile(folder, "a file where there should be a folder"); // also root can make no database in it
  const page = await (await launch()).newPage();
  await page.goto(server.origin);
  const visit = (): Promise<unknown> =>
    page.evaluate(async () => {
      let tries = 0;
      const { open: openDatabase } = IDBFactory.prototype; // oxlint-disable-line typescript/unbound-method
      IDBFactory.prototype.open = function (...args) {
        tries++;
        return openDatabase.apply(this, args);
      };
      const { open, HoldfastError } = await import("@holdfast-dev/holdfast");
      const result = await open().then(
        async (holdfast) => holdfast.create("c").recordProcessingStarted("m"),
        (error: unknown) => (error instanceof HoldfastError ? { code: error.code, outcome: error.outcome, cause: String(error.cause) } : error),
      );
      IDBFactory.prototype.open = openDatabase;
      return { result, tries };
    });
  expect(await visit()).toEqual({ result: { code: "storage_unavailable", outcome: "not_written", cause: expect.stringMatching(/UnknownError|AbortError/) }, tries: 3 });
  await rm(folder);
  expect(await visit()).toEqual({ result: 0, tries: 1 });
});

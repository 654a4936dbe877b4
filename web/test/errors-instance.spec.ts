// A WebAssembly instance can die. Whoever waits for it hears, and what was acknowledged is there for the next one.
import type { JSHandle, Page } from "@playwright/test";
import type { Conversation, Holdfast } from "@holdfast-dev/holdfast";
import { expect, test } from "./harness/holdfast.js";

interface Mortal {
  readonly holdfast: Holdfast;
  readonly c: Conversation;
  /** Wipes the memory of the instance, so that its next instruction traps. */
  readonly kill: () => void;
}

async function mortal(home: Page): Promise<JSHandle<Mortal>> {
  return await home.evaluateHandle(async () => {
    const instances: WebAssembly.Instance[] = [];
    const instantiate = WebAssembly.instantiate as (module: WebAssembly.Module, imports?: WebAssembly.Imports) => Promise<WebAssembly.Instance>;
    WebAssembly.instantiate = (async (module: WebAssembly.Module, imports?: WebAssembly.Imports) => {
      const instance = await instantiate(module, imports);
      instances.push(instance);
      return instance;
    }) as typeof WebAssembly.instantiate;
    const { open } = await import("@holdfast-dev/holdfast");
    const holdfast = await open();
    const c = await holdfast.recover("c");
    const memory = instances[0]?.exports["mem"] as WebAssembly.Memory;
    return { holdfast, c, kill: () => void new Uint8Array(memory.buffer).fill(0) };
  });
}

test("everything pending and everything later rejects, and a fresh store has all that was acknowledged", async ({ home, complaints }) => {
  const facts = await (await mortal(home)).evaluate(async ({ holdfast, c, kill }) => {
    const { open } = await import("@holdfast-dev/holdfast");
    const bystander = await open({ storage: "memory" });
    for (let i = 0; i < 5; i++) await c.recordStepCompleted("m", i, `output ${i}`);
    const known = told.messages(c.state);
    const unsubscribe = c.subscribe(() => undefined);
    const pending = {
      recordStepCompleted: c.recordStepCompleted("m", 5),
      receiveMessage: c.receiveMessage({ id: "n" }),
      recover: holdfast.recover("other"),
      conversations: holdfast.conversations(),
      events: c.events(),
    };
    kill();
    const first = await Promise.all(Object.values(pending).map(async (call) => told.failure(call)));
    const later = await Promise.all(
      [
        () => c.recordProcessingStarted("m"),
        () => c.receiveMessage({ id: "n" }),
        () => c.refresh(),
        () => c.events(),
        () => c.clone(),
        () => c.subscribe(() => undefined),
        () => holdfast.create("d"),
        () => holdfast.recover("c"),
        () => holdfast.conversations(),
        () => holdfast.delete("c"),
        () => holdfast.health(),
        () => holdfast.close(),
      ].map(async (call) => told.failure(call)),
    );
    unsubscribe();
    const fresh = await open();
    const recovered = await fresh.recover("c");
    return {
      pending: first.map((failure) => [failure?.code, failure?.outcome]),
      cause: first[0]?.cause,
      message: first[0]?.message,
      later: later.map((failure) => [failure?.code, failure?.outcome]),
      known: JSON.stringify(told.messages(c.state)) === JSON.stringify(known) && c.snapshot() === c.state,
      acknowledged: [recovered.expectedSeq >= 5, [0, 1, 2, 3, 4].map((i) => recovered.state.completedStep("m", i)?.output)],
      goesOn: await recovered.recordProcessingFinished("m"),
      seq: recovered.expectedSeq,
      bystander: await bystander.create("c").recordProcessingStarted("m"),
    };
  });
  const lost = ["instance_lost", "unknown"];
  expect(facts.pending).toEqual(facts.pending.map(() => lost));
  expect(facts.later).toEqual(facts.later.map(() => lost));
  expect(facts.cause).toMatch(/RuntimeError|RangeError|InternalError/); // whichever it meets first, in the words of the engine
  expect(facts.message).toContain("open again and recover");
  expect(facts).toMatchObject({ known: true, acknowledged: [true, [0, 1, 2, 3, 4].map((i) => `output ${i}`)], bystander: 0 });
  expect(facts.goesOn).toBe(facts.seq - 1);
  // The dying runtime may say why; nothing is uncaught.
  expect(complaints.splice(0).filter((text) => !text.startsWith("console: "))).toEqual([]);
});

test("one that dies while it has nothing to do is noticed at the next call", async ({ home, complaints }) => {
  const codes = await (await mortal(home)).evaluate(async ({ holdfast, c, kill }) => {
    await c.recordProcessingStarted("m");
    kill();
    const codes = [await told.failure(() => holdfast.create("d")), await told.failure(c.recordProcessingStarted("m"))];
    const { open } = await import("@holdfast-dev/holdfast");
    return [...codes.map((failure) => failure?.code), (await (await open()).recover("c")).expectedSeq];
  });
  expect(codes).toEqual(["instance_lost", "instance_lost", 1]);
  expect(complaints.splice(0).filter((text) => !text.startsWith("console: "))).toEqual([]);
});

test("one that dies is noticed by all that listen, once", async ({ home, complaints }) => {
  const facts = await (await mortal(home)).evaluate(async ({ holdfast, c, kill }) => {
    const heard: string[] = [];
    c.subscribe(() => heard.push(`conversation ${c.closed?.code}`));
    holdfast.subscribe((ids) => heard.push(`list ${ids?.join()}`));
    kill();
    const codes = [(await told.failure(c.recordProcessingStarted("m")))?.code, (await told.failure(() => holdfast.subscribe(() => undefined)))?.code];
    await told.task();
    return [heard, codes];
  });
  expect(facts).toEqual([["conversation instance_lost", "list undefined"], ["instance_lost", "instance_lost"]]);
  expect(complaints.splice(0).filter((text) => !text.startsWith("console: "))).toEqual([]);
});

test("one that dies while it is being closed is noticed", async ({ home, complaints }) => {
  const failures = await (await mortal(home)).evaluate(async ({ holdfast, c, kill }) => {
    const calls = [c.recordProcessingStarted("m"), holdfast.close()];
    kill();
    const failures = await Promise.all(calls.map(async (call) => told.failure(call)));
    const later = await told.failure(c.refresh());
    const { open } = await import("@holdfast-dev/holdfast");
    const stored = (await (await open()).recover("c")).expectedSeq === 1;
    return { first: failures[0]?.code ?? `acknowledged, stored: ${stored}`, others: [failures[1]?.code, later?.code] };
  });
  expect(["instance_lost", "acknowledged, stored: true"]).toContain(failures.first); // whether the timer or the commit comes first
  expect(failures.others).toEqual(["instance_lost", "instance_lost"]);
  expect(complaints.splice(0).filter((text) => !text.startsWith("console: "))).toEqual([]);
});

test("one that has died keeps nobody from deleting its database", async ({ home, complaints }) => {
  const codes = await (await mortal(home)).evaluate(async ({ c, kill }) => {
    await c.recordProcessingStarted("m");
    kill();
    const code = (await told.failure(c.recordProcessingStarted("m")))?.code;
    const deletion = indexedDB.deleteDatabase("holdfast");
    const blocked = new Promise((resolve) => (deletion.onblocked = () => resolve("blocked")));
    return [code, await Promise.race([blocked, told.idb(deletion)])];
  });
  expect(codes).toEqual(["instance_lost", undefined]);
  expect(complaints.splice(0).filter((text) => !text.startsWith("console: "))).toEqual([]);
});

test("one that has died keeps no lock: the next one goes on with its message", async ({ home, complaints, context, server }) => {
  const facts = await (await mortal(home)).evaluate(async ({ c, kill }) => {
    const codes: unknown[] = [];
    const begun = new Promise<void>((begin) => {
      const onError = (error: Error): unknown => codes.push((error as { readonly code?: string }).code);
      c.process(({ step }) => step("never", () => new Promise<void>(() => begin())), { onError });
    });
    await c.send({ id: "m" });
    await begun;
    kill();
    codes.push((await told.failure(c.refresh()))?.code);
    const { open } = await import("@holdfast-dev/holdfast");
    const next = await (await open()).recover("c");
    const finished = new Promise<void>((resolve) => {
      next.subscribe(() => next.state.message("m")?.status === "finished" && resolve());
    });
    const stop = next.process(({ step }) => step("never", () => undefined));
    const late = new Promise((resolve) => setTimeout(resolve, 10_000, "late"));
    const first = await Promise.race([late, finished]);
    await stop();
    return { codes, first };
  });
  expect(facts).toEqual({ codes: ["instance_lost", "instance_lost"], first: undefined });
  const page = await context.newPage();
  await page.goto(server.origin);
  const held = (): Promise<unknown> => page.evaluate(async () => (await navigator.locks.query()).held);
  await expect.poll(held, "but for what is remembered just now").toEqual([]);
  expect(complaints.splice(0).filter((text) => !text.startsWith("console: "))).toEqual([]);
});

test("what one that dies amid an append has not checked yet is not committed", async ({ home, complaints }) => {
  const left = await (await mortal(home)).evaluate(async ({ c, kill }) => {
    const { open } = await import("@holdfast-dev/holdfast");
    const connections: IDBDatabase[] = [];
    // The next append goes step by step, on another connection, and the program dies once it has asked for both of its requests.
    const databases = IDBDatabase.prototype as { transaction: (...given: unknown[]) => unknown };
    const begin = databases.transaction;
    databases.transaction = function (this: IDBDatabase, ...given) {
      connections.push(this);
      return begin.apply(this, given);
    };
    await c.recordProcessingStarted("m");
    databases.transaction = begin;
    const other = await open();
    const theirs = await other.recover("c");
    await Promise.all(["a", "b"].map((id) => theirs.recordProcessingStarted(id))); // of which the first one has not heard
    connections[0]?.close();
    const stores = IDBObjectStore.prototype as { add: (...given: unknown[]) => unknown };
    const add = stores.add;
    let died = false;
    stores.add = function (this: IDBObjectStore, ...given) {
      const request = add.apply(this, given);
      stores.add = add;
      died = true;
      kill();
      return request;
    };
    const failure = await told.failure(c.recordProcessingFinished("m"));
    const events = await (await other.recover("c")).events();
    return { died, failure, events: events.map((event) => "messageId" in event && `${event.kind} ${event.messageId}`) };
  });
  expect(left).toMatchObject({ died: true, failure: { code: "instance_lost" }, events: ["processing_started m", "processing_started a", "processing_started b"] });
  complaints.length = 0;
});

test("one that finds no memory to start in is lost, and nothing was written", async ({ home }) => {
  const failure = await home.evaluate(async () => {
    Object.assign(WebAssembly, { instantiate: () => Promise.reject(new RangeError("WebAssembly.instantiate(): Out of memory")) });
    const { open } = await import("@holdfast-dev/holdfast");
    return told.failure(open());
  });
  expect(failure).toMatchObject({ code: "instance_lost", cause: "RangeError: WebAssembly.instantiate(): Out of memory" });
});

test("one that a caller's recursion leaves no stack dies, every call settles, and the next one has what was acknowledged", { tag: "@chromium" }, async ({ home, complaints }) => {
  const facts = await home.evaluate(async () => {
    const { open } = await import("@holdfast-dev/holdfast");
    const holdfast = await open();
    const c = holdfast.create("c");
    for (let i = 0; i < 50; i++) await c.refresh(); // what is not compiled yet asks for more room than its call
    await c.recordProcessingStarted("m");
    const pending = c.recordStepCompleted("m", 0);
    const handles = Array.from({ length: 1000 }, (_, i) => holdfast.create(`c ${i}`));
    const calls: (Promise<number> | undefined)[] = handles.map(() => undefined); // to be set without a call
    let above = 0;
    const descend = (): void => {
      try {
        descend();
      } catch {
        return; // the bottom of the stack
      }
      // On the way up there is more room for each call than for the one before: for none, for a part of the package, for a part of the program.
      const n = above++;
      const handle = handles[n];
      if (handle === undefined) return;
      try {
        calls[n] = handle.refresh();
      } catch {
        // It has not begun.
      }
    };
    descend();
    const ends = await Promise.allSettled([pending, c.recordStepCompleted("m", 1), ...calls]);
    // What has found no room to begin says so in the words of the browser.
    const codes = ends.map((end) => (end.status === "fulfilled" ? "ok" : ((end.reason as { code?: string }).code ?? "not begun")));
    const fresh = await (await open()).recover("c");
    const seq = fresh.expectedSeq;
    return { codes: [...new Set(codes)].sort(), pending: codes[0], seq, next: await fresh.recordProcessingFinished("m") };
  });
  expect(["instance_lost", "not begun", "ok"]).toEqual(expect.arrayContaining(facts.codes));
  expect(facts.codes, "the program was interrupted").toContain("instance_lost");
  expect(facts.seq).toBeGreaterThanOrEqual(facts.pending === "ok" ? 2 : 1);
  expect(facts.next).toBe(facts.seq);
  expect(complaints.splice(0).filter((text) => !text.startsWith("console: "))).toEqual([]);
});

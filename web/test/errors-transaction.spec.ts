// What can go wrong within a transaction, in the browser's own exceptions: nothing is left half done, and nothing is sent for ever.
import { expect, test } from "./harness/holdfast.js";

test("a request that IndexedDB refuses undoes the one that it has taken before", async ({ holdfast }) => {
  const facts = await holdfast.evaluate(async (holdfast) => {
    const c = holdfast.create("c");
    await c.recordProcessingStarted("m");
    const { add } = IDBObjectStore.prototype; // oxlint-disable-line typescript/unbound-method
    // In an append a look at the head comes before, in a deletion the removal of all records.
    IDBObjectStore.prototype.add = function (value) {
      return add.call(this, value, NaN); // throws a DataError
    };
    const failures = [await told.failure(c.recordStepCompleted("m", 0)), await told.failure(holdfast.delete("c"))];
    IDBObjectStore.prototype.add = add;
    return {
      failures: failures.map((failure) => [failure?.code, failure?.outcome, failure?.cause]),
      next: [c.expectedSeq, await c.recordProcessingFinished("m")],
      kinds: (await c.events()).map(({ kind }) => kind),
    };
  });
  expect(facts).toEqual({
    failures: Array.from({ length: 2 }, () => ["invalid_argument", "permanent", expect.stringContaining("DataError")]),
    next: [1, 1],
    kinds: ["processing_started", "processing_finished"],
  });
});

test("a transaction that has become inactive is given up: once, it is made again; for good, nothing was written", async ({ holdfast }) => {
  const facts = await holdfast.evaluate(async (holdfast) => {
    const c = holdfast.create("c");
    await c.recordProcessingStarted("m");
    const over = await told.objectStore("holdfast", "records");
    await new Promise((resolve) => (over.transaction.oncomplete = resolve));
    const { add } = IDBObjectStore.prototype; // oxlint-disable-line typescript/unbound-method
    let refused = 0;
    const refuse = (times: number): void => {
      refused = 0;
      IDBObjectStore.prototype.add = function (...args) {
        if (refused === times) return add.apply(this, args);
        refused++;
        return add.apply(over, args); // throws a TransactionInactiveError
      };
    };
    refuse(1);
    const once = [await c.recordStepCompleted("m", 0), refused];
    refuse(Infinity);
    const failures = [await told.failure(c.recordStepCompleted("m", 1)), refused, await told.failure(holdfast.delete("c")), refused] as const;
    IDBObjectStore.prototype.add = add;
    const { code, outcome, cause } = failures[0] ?? {};
    return {
      once,
      forGood: { code, outcome, cause, tries: failures[1] },
      deletion: { code: failures[2]?.code, outcome: failures[2]?.outcome, tries: failures[3] - failures[1] },
      next: await c.recordProcessingFinished("m"),
      kinds: (await c.events()).map(({ kind }) => kind),
    };
  });
  const given = { code: "storage_unavailable", outcome: "not_written", tries: 3 };
  expect(facts).toEqual({
    once: [1, 1],
    forGood: { ...given, cause: expect.stringContaining("TransactionInactiveError"), tries: 4 }, // the first is no part of a call
    deletion: given,
    next: 2,
    kinds: ["processing_started", "step_completed", "processing_finished"],
  });
});

test("connections that are closing, one after the other: three tries, nothing was written, and it goes on when one holds", async ({ home }) => {
  const facts = await home.evaluate(async () => {
    const connections: IDBDatabase[] = [];
    let closing = false;
    const { open: openDatabase } = IDBFactory.prototype; // oxlint-disable-line typescript/unbound-method
    IDBFactory.prototype.open = function (...args) {
      const request = openDatabase.apply(this, args);
      request.addEventListener("success", () => {
        connections.push(request.result);
        if (closing) request.result.close(); // transaction() throws an InvalidStateError from now on
      });
      return request;
    };
    const { open } = await import("@holdfast-dev/holdfast");
    const holdfast = await open();
    const c = holdfast.create("c");
    await c.recordProcessingStarted("m");
    closing = true;
    const failures = [];
    for (const call of [() => c.recordStepCompleted("m", 0), () => c.events(), () => holdfast.delete("c")]) {
      connections.at(-1)?.close();
      const before = connections.length;
      const { code, outcome, cause } = (await told.failure(call)) ?? {};
      failures.push({ code, outcome, cause, opened: connections.length - before });
    }
    closing = false;
    return { failures, next: await c.recordProcessingFinished("m"), events: (await holdfast.recover("c")).expectedSeq };
  });
  const failure = { code: "storage_unavailable", outcome: "not_written", cause: expect.stringContaining("InvalidStateError") };
  expect(facts.failures).toEqual([
    { ...failure, opened: 2 }, // the first try has a connection
    { ...failure, opened: 3 },
    { ...failure, opened: 3 },
  ]);
  expect(facts).toMatchObject({ next: 1, events: 2 });
});

test("a connection that is lost, as WebKit loses it, is opened again, and what was under way is settled", async ({ home }) => {
  const facts = await home.evaluate(async () => {
    let opened = 0;
    let connection: IDBDatabase | undefined;
    const { open: openDatabase } = IDBFactory.prototype; // oxlint-disable-line typescript/unbound-method
    IDBFactory.prototype.open = function (...args) {
      opened++;
      const request = openDatabase.apply(this, args);
      request.addEventListener("success", () => (connection = request.result));
      return request;
    };
    const { open } = await import("@holdfast-dev/holdfast");
    const holdfast = await open();
    const c = holdfast.create("c");
    await c.recordProcessingStarted("m");

    /** Changes a method of IndexedDB for its next call. */
    const next = <T extends object>(prototype: T, name: keyof T, make: (original: (...args: unknown[]) => unknown) => unknown): void => {
      const original = prototype[name] as (...args: unknown[]) => unknown;
      prototype[name] = function (this: unknown, ...args: unknown[]) {
        prototype[name] = original as T[keyof T];
        return (make((...given) => original.apply(this, given.length > 0 ? given : args)) as (self: unknown) => unknown)(this);
      } as T[keyof T];
    };
    const lose = (tx: IDBTransaction): void => {
      const error = new DOMException("Connection to Indexed Database server lost. Refresh the page to try again", "UnknownError");
      Object.defineProperty(tx, "error", { value: error });
    };
    const loses: Record<string, () => void> = {
      "behind the commit, which landed": () =>
        next(IDBTransaction.prototype, "commit", (commit) => (tx: IDBTransaction) => {
          lose(tx);
          tx.oncomplete = null;
          tx.addEventListener("complete", () => tx.dispatchEvent(new Event("abort")));
          return commit();
        }),
      "behind the commit, which did not land": () =>
        next(IDBTransaction.prototype, "commit", () => (tx: IDBTransaction) => {
          lose(tx);
          tx.abort();
        }),
      "before the commit": () =>
        next(IDBObjectStore.prototype, "add", (add) => (store: IDBObjectStore) => {
          const request = add();
          lose(store.transaction);
          store.transaction.abort();
          return request;
        }),
      "when a transaction is begun": () => {
        const { transaction } = IDBDatabase.prototype; // oxlint-disable-line typescript/unbound-method
        const lost = connection;
        IDBDatabase.prototype.transaction = function (...args) {
          if (this === lost) throw new DOMException("Connection to Indexed Database server lost. Refresh the page to try again", "UnknownError");
          return transaction.apply(this, args);
        };
      },
    };
    const appended = [];
    for (const [where, arm] of Object.entries(loses)) {
      const before = opened;
      arm();
      appended.push({ where, sequence: await c.recordStepCompleted("m", appended.length), opened: opened - before });
    }
    const before = opened;
    next(IDBObjectStore.prototype, "getAll", (getAll) => (store: IDBObjectStore) => {
      const request = getAll();
      lose(store.transaction);
      store.transaction.abort();
      return request;
    });
    const steps = (await c.events()).flatMap((event) => (event.kind === "step_completed" ? [event.step] : []));
    return { appended, steps, read: opened - before, lastError: String((await holdfast.health()).lastError) };
  });
  expect(facts.appended.map(({ sequence, opened }) => [sequence, opened])).toEqual([1, 2, 3, 4].map((sequence) => [sequence, 1]));
  expect(facts.steps, "each is there once").toEqual([0, 1, 2, 3]);
  expect(facts.read).toBe(1);
});

test("a commit that is not answered within the deadline is outcome_unknown, and found out later", async ({ home }) => {
  const facts = await home.evaluate(async () => {
    const { open } = await import("@holdfast-dev/holdfast");
    const holdfast = await open({ timeout: 2000 });
    const c = holdfast.create("c");
    await c.recordProcessingStarted("m");
    // The disk is stuck: the transaction stays as it is, before its end, and all others wait behind it.
    const { commit } = IDBTransaction.prototype; // oxlint-disable-line typescript/unbound-method
    let release = (): void => undefined;
    const ended = new Promise((resolve) => {
      IDBTransaction.prototype.commit = function () {
        IDBTransaction.prototype.commit = commit;
        let stuck = true;
        release = () => (stuck = false);
        this.addEventListener("complete", resolve);
        const records = this.objectStore("records");
        const wait = (): void => {
          if (stuck) records.count().addEventListener("success", wait);
          else commit.call(this);
        };
        wait();
      };
    });
    const since = performance.now();
    const before = c.state;
    const failure = await told.failure(c.recordStepCompleted("m", 0));
    const took = performance.now() - since;
    const unchanged = c.state === before && c.expectedSeq === 1;
    release();
    await ended;
    return {
      failure: [failure?.code, failure?.outcome, failure?.operation],
      took,
      unchanged,
      found: [await c.refresh(), c.state.completedStep("m", 0) !== undefined],
      next: await c.recordProcessingFinished("m"),
      kinds: (await c.events()).map(({ kind }) => kind),
    };
  });
  expect(facts).toMatchObject({
    failure: ["outcome_unknown", "unknown", "record step completed"],
    unchanged: true,
    found: [2, true],
    next: 2,
    kinds: ["processing_started", "step_completed", "processing_finished"],
  });
  expect(facts.took, "one deadline for the append, one for looking what became of it, and a margin").toBeLessThan(8000);
});

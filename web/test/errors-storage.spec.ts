// What the browser's storage can do to an open store, beyond the plain cases of errors.spec.ts.
import { expect, listen, test } from "./harness/holdfast.js";

test("a commit whose result was not seen is settled by reading back: it landed once", async ({ holdfast }) => {
  const facts = await holdfast.evaluate(async (holdfast) => {
    const c = holdfast.create("c");
    await c.recordProcessingStarted("m");
    const { commit } = IDBTransaction.prototype; // oxlint-disable-line typescript/unbound-method
    IDBTransaction.prototype.commit = function () {
      IDBTransaction.prototype.commit = commit;
      this.oncomplete = null;
      this.addEventListener("complete", () => this.dispatchEvent(new Event("abort")));
      commit.call(this);
    };
    const sequence = await c.recordStepCompleted("m", 0);
    return { sequence, next: await c.recordProcessingFinished("m"), kinds: (await c.events()).map(({ kind }) => kind) };
  });
  expect(facts).toEqual({ sequence: 1, next: 2, kinds: ["processing_started", "step_completed", "processing_finished"] });
});

test("a commit that was lost without a reason is sent once more", async ({ holdfast }) => {
  const facts = await holdfast.evaluate(async (holdfast) => {
    const c = holdfast.create("c");
    const { commit } = IDBTransaction.prototype; // oxlint-disable-line typescript/unbound-method
    IDBTransaction.prototype.commit = function () {
      IDBTransaction.prototype.commit = commit;
      this.abort();
    };
    return [await c.recordProcessingStarted("m"), await c.recordProcessingStarted("m"), (await c.events()).length];
  });
  expect(facts).toEqual([0, 1, 2]);
});

test("a request that is refused behind the call of commit() undoes its whole transaction, and nothing is acknowledged", async ({ holdfast }) => {
  const facts = await holdfast.evaluate(async (holdfast) => {
    const [c, other] = [holdfast.create("c"), holdfast.create("other")];
    for (let i = 0; i < 3; i++) await c.recordStepCompleted("m", i);
    await other.recordProcessingStarted("m");
    const taken = (await told.idb((await told.objectStore("holdfast", "records")).getAllKeys())).at(-1);
    const { add } = IDBObjectStore.prototype; // oxlint-disable-line typescript/unbound-method
    IDBObjectStore.prototype.add = function (value) {
      return add.call(this, value, taken);
    };
    const appended = await told.failure(c.recordStepCompleted("m", 3));
    const deleted = await told.failure(holdfast.delete("c"));
    IDBObjectStore.prototype.add = add;
    const kinds = async (id: string): Promise<string[]> => (await holdfast.create(id).events()).map(({ kind }) => kind);
    return { appended: appended?.code, deleted: deleted?.code, c: await kinds("c"), other: await kinds("other"), next: await c.recordStepCompleted("m", 3) };
  });
  expect(facts).toEqual({
    appended: "sequence_conflict", // which is what a key that is taken means
    deleted: "sequence_conflict",
    c: Array.from({ length: 3 }, () => "step_completed"),
    other: ["processing_started"],
    next: 3,
  });
});

test("nothing is acknowledged before the transaction is complete", async ({ holdfast }) => {
  const order = await holdfast.evaluate(async (holdfast) => {
    const order: string[] = [];
    const c = holdfast.create("c");
    c.subscribe(() => order.push("listener"));
    const { transaction } = IDBDatabase.prototype; // oxlint-disable-line typescript/unbound-method
    IDBDatabase.prototype.transaction = function (...args) {
      const tx = transaction.apply(this, args);
      tx.addEventListener("complete", () => order.push("complete"));
      return tx;
    };
    const { add } = IDBObjectStore.prototype; // oxlint-disable-line typescript/unbound-method
    IDBObjectStore.prototype.add = function (...args) {
      const request = add.apply(this, args);
      request.addEventListener("success", () => order.push("success"));
      return request;
    };
    await c.recordProcessingStarted("m");
    return order.slice(order.indexOf("success"));
  });
  expect(order).toEqual(["success", "complete", "listener"]);
});

test("a connection that the browser has closed is opened again behind the scenes", async ({ home }) => {
  const facts = await home.evaluate(async () => {
    const connections: IDBDatabase[] = [];
    const { open: openDatabase } = IDBFactory.prototype; // oxlint-disable-line typescript/unbound-method
    IDBFactory.prototype.open = function (...args) {
      const request = openDatabase.apply(this, args);
      request.addEventListener("success", () => connections.push(request.result));
      return request;
    };
    const { open } = await import("@holdfast-dev/holdfast");
    const holdfast = await open();
    const c = holdfast.create("c");
    const sequences = [await c.recordProcessingStarted("m")];
    for (let i = 0; i < 3; i++) {
      connections.at(-1)?.close(); // transaction() throws InvalidStateError from now on
      sequences.push(await c.recordProcessingStarted("m"));
    }
    return { sequences, opened: connections.length, events: (await holdfast.recover("c")).expectedSeq };
  });
  expect(facts).toEqual({ sequences: [0, 1, 2, 3], opened: 4, events: 4 });
});

test("a database that was emptied while no page had it open is reported once, then opens", async ({ home }) => {
  const facts = await home.evaluate(async () => {
    const { open } = await import("@holdfast-dev/holdfast");
    for (const database of ["holdfast", "other"]) {
      const holdfast = await open({ database });
      await holdfast.create("c").recordProcessingStarted("m");
      await holdfast.close();
    }
    await told.idb(indexedDB.deleteDatabase("holdfast"));
    const [first, second] = [await told.failure(open()), await told.failure(open())];
    const other = await (await open({ database: "other" })).recover("c");
    return { first: [first?.code, first?.operation, first?.outcome], second, other: other.expectedSeq };
  });
  expect(facts).toEqual({ first: ["store_reset", "open", "permanent"], second: undefined, other: 1 });
});

test("a transaction of another tab that never ends blocks an append, which is then not written", async ({ home, context, server, complaints }) => {
  const peer = await context.newPage();
  listen(peer, complaints);
  const c = await home.evaluateHandle(async () => {
    const { open } = await import("@holdfast-dev/holdfast");
    const c = (await open({ timeout: 3000 })).create("c"); // enough for what nobody blocks, also on a busy machine
    await c.recordProcessingStarted("m");
    return c;
  });
  await peer.goto(server.origin);
  const ended = await peer.evaluateHandle(
    () =>
      new Promise<{ ended: Promise<void> }>((resolve) => {
        const opening = indexedDB.open("holdfast");
        opening.onsuccess = () => {
          const tx = opening.result.transaction("records", "readwrite");
          const records = tx.objectStore("records");
          const ended = new Promise<void>((end) => (tx.oncomplete = () => end()));
          const spin = (): void => {
            if (!("enough" in globalThis)) records.get("nothing").onsuccess = spin;
          };
          records.get("nothing").onsuccess = () => {
            spin();
            resolve({ ended });
          };
        };
      }),
  );
  const failure = await c.evaluate(async (c) => {
    const failure = await told.failure(c.recordStepCompleted("m", 0));
    return { ...failure, expectedSeq: c.expectedSeq };
  });
  expect(failure).toMatchObject({ code: "blocked", outcome: "not_written", operation: "record step completed", stream: "c", expectedSeq: 1 });
  expect(failure.message).toContain("another tab");
  await ended.evaluate(({ ended }) => {
    Object.assign(globalThis, { enough: true });
    return ended;
  });
  expect(await c.evaluate(async (c) => [await c.recordProcessingFinished("m"), (await c.events()).map(({ kind }) => kind)])).toEqual([
    1,
    ["processing_started", "processing_finished"],
  ]);
});

test("calls that wait for each other behind a held database end within the timeout of each, and so does close()", async ({ home }) => {
  const timeout = 1500;
  const facts = await home.evaluate(async (timeout) => {
    const { open } = await import("@holdfast-dev/holdfast");
    const holdfast = await open({ timeout });
    const c = holdfast.create("c");
    await c.recordProcessingStarted("m");
    const records = await told.objectStore("holdfast", "records");
    const released = new Promise((resolve) => (records.transaction.oncomplete = resolve));
    let held = true;
    const hold = (): void => {
      if (held) records.get("nothing").onsuccess = hold;
    };
    hold();
    const began = performance.now();
    const calls: Promise<unknown>[] = Array.from({ length: 10 }, (_, i) => [
      c.send({ id: `sent ${i}`, body: null }),
      c.recordStepCompleted("m", i),
      c.receiveMessage({ id: `received ${i}`, body: null }),
    ]).flat();
    calls.push(c.refresh());
    const failures = Promise.all(calls.map((call) => told.failure(call)));
    const closed = holdfast.close();
    const codes = (await failures).map((failure) => failure?.code);
    await closed;
    const took = performance.now() - began;
    held = false;
    await released;
    return { codes: [...new Set(codes)], took, expectedSeq: (await (await open()).recover("c")).expectedSeq };
  }, timeout);
  expect(facts).toMatchObject({ codes: ["blocked"], expectedSeq: 1 });
  expect(facts.took).toBeLessThan(timeout + 4000); // see Options of idbstore
});

test("a browser without IndexedDB, or that denies it, says so", async ({ home }) => {
  const failures = await home.evaluate(async () => {
    const { open } = await import("@holdfast-dev/holdfast");
    IDBFactory.prototype.open = () => {
      throw new DOMException("denied", "SecurityError");
    };
    const denied = await told.failure(open());
    Object.defineProperty(globalThis, "indexedDB", { value: undefined });
    const absent = await told.failure(open());
    const memory = await open({ storage: "memory" }); // what does not need it works
    return { denied, absent, sequence: await memory.create("c").recordProcessingStarted("m") };
  });
  expect(failures.denied).toMatchObject({ code: "storage_unavailable", outcome: "not_written", cause: expect.stringContaining("SecurityError: denied") });
  expect(failures.absent).toMatchObject({ code: "storage_unavailable", message: expect.stringContaining("there is no IndexedDB here") });
  expect(failures.sequence).toBe(0);
});


// The store as a whole: listing, deleting, reading the log, its health, its end.
import { expect, onEachStore, test } from "./harness/holdfast.js";

onEachStore(() => {
  test("conversations are listed by prefix, in the order of their bytes in UTF-8, with their heads", async ({ holdfast }) => {
    const lists = await holdfast.evaluate(async (holdfast) => {
      // In UTF-16, as JavaScript sorts, the astral ones would come before U+FFFD.
      const ids = ["a/2", "a/10", "a", "a\u0001", "b", "B", "é", "\ufffd", "😀", "\u{10ffff}", "", "ab", "x".repeat(1024)].filter((id) => id !== "");
      for (const [i, id] of ids.entries()) {
        const c = holdfast.create(id);
        for (let n = 0; n <= i % 3; n++) await c.recordProcessingStarted("m");
      }
      holdfast.create("nothing appended");
      await holdfast.recover("nothing stored");
      const listed = async (prefix?: string): Promise<string[]> => (await holdfast.conversations(prefix)).map(({ id }) => id);
      const encoder = new TextEncoder();
      const inOrder = ids.toSorted((a, b) => {
        const [left, right] = [encoder.encode(a), encoder.encode(b)];
        const at = left.findIndex((byte, i) => byte !== right[i]);
        return at < 0 ? left.length - right.length : (left[at] ?? 0) - (right[at] ?? -1);
      });
      return {
        all: await listed(),
        inOrder,
        heads: Object.fromEntries((await holdfast.conversations()).map(({ id, head }) => [id.slice(0, 3), head])),
        a: await listed("a"),
        aSlash: await listed("a/"),
        emoji: await listed("😀"),
        none: await listed("zz"),
        longer: await listed("x".repeat(1024)),
      };
    });
    expect(lists.all).toEqual(lists.inOrder);
    expect(lists.all.slice(-4)).toEqual(["é", "\ufffd", "😀", "\u{10ffff}"]);
    expect(lists.heads).toMatchObject({ "a/2": 1, "a/1": 2, a: 3, "a\u0001": 1, b: 2, B: 3 });
    expect(lists.a).toEqual(["a", "a\u0001", "a/10", "a/2", "ab"]);
    expect(lists.aSlash).toEqual(["a/10", "a/2"]);
    expect([lists.emoji, lists.none, lists.longer]).toEqual([["😀"], [], ["x".repeat(1024)]]);
  });

  test("who holds a deleted conversation gets a conflict, refreshes, finds it empty and goes on behind it", async ({ holdfast }) => {
    const facts = await holdfast.evaluate(async (holdfast) => {
      const c = holdfast.create("c");
      await c.receiveMessage({ id: "gone" });
      await c.recordStepCompleted("gone", 0);
      await holdfast.delete("absent");
      await holdfast.delete("c");
      await holdfast.delete("c"); // once is enough
      const listed = await holdfast.conversations();
      const failure = await told.failure(c.recordProcessingFinished("gone"));
      const kept = c.state.messages.length;
      const refreshed = await c.refresh();
      const empty = [c.state.messages.length, c.state.isReceived("gone"), c.state.lastCompletedStep("gone") === undefined];
      const deleted = await c.events();
      const decision = await c.receiveMessage({ id: "gone" });
      const replayed = await holdfast.recover("c");
      return {
        listed,
        conflict: [failure?.code, failure?.expected, failure?.actual],
        kept,
        refreshed,
        empty,
        deleted,
        decision,
        replayed: [replayed.expectedSeq, told.messages(replayed.state).length],
        events: (await replayed.events()).map(({ sequence, kind }) => [sequence, kind]),
        head: await holdfast.conversations(),
        absent: (await holdfast.recover("absent")).expectedSeq,
      };
    });
    expect(facts).toMatchObject({
      listed: [],
      conflict: ["sequence_conflict", 2, 3],
      kept: 1,
      refreshed: 3,
      empty: [0, false, true],
      deleted: [{ sequence: 2, kind: "deleted", timestamp: expect.any(Number) }],
      decision: { kind: "start" },
      replayed: [4, 1],
      events: [[2, "deleted"], [3, "message_received"]],
      head: [{ id: "c", head: 4 }],
      absent: 0,
    });
  });

  test("events are read from a place on, up to a limit", async ({ holdfast }) => {
    const { all, ranges, before, after } = await holdfast.evaluate(async (holdfast) => {
      const c = holdfast.create("c");
      const before = Date.now();
      await c.recordMessageReceived({ id: "m", receivedAt: 7, body: "b" });
      await c.recordProcessingStarted("m");
      await c.recordStepCompleted("m", 5, "out");
      await c.recordError("m", "text");
      await c.recordProcessingFinished("m");
      const after = Date.now();
      const reader = holdfast.create("c"); // has read nothing, and sees it all
      const ranges = [
        {},
        { from: 0, limit: 0 },
        { limit: 2 },
        { from: 3 },
        { from: 2, limit: 1 },
        { from: 5 },
        { from: 2 ** 53 - 1 },
        { from: 4, limit: 1_000_000 },
      ];
      const read = ranges.map(async (range) => (await reader.events(range)).map(({ sequence }) => sequence));
      return { all: await reader.events(), ranges: await Promise.all(read), before, after };
    });
    const common = { eventId: expect.stringMatching(/^[0-9a-f]{32}$/) as unknown, messageId: "m" };
    expect(all.map((event) => ({ ...event, timestamp: undefined }))).toEqual([
      { sequence: 0, kind: "message_received", ...common, receivedAt: 7, body: "b" },
      { sequence: 1, kind: "processing_started", ...common },
      { sequence: 2, kind: "step_completed", ...common, step: 5, output: "out" },
      { sequence: 3, kind: "error_occurred", ...common, error: "text", steps: [] },
      { sequence: 4, kind: "processing_finished", ...common },
    ]);
    expect(new Set(all.map((event) => (event.kind === "deleted" ? "" : event.eventId))).size).toBe(5);
    for (const { timestamp } of all) {
      expect(timestamp).toBeGreaterThanOrEqual(before);
      expect(timestamp).toBeLessThanOrEqual(after);
    }
    expect(ranges).toEqual([[0, 1, 2, 3, 4], [], [0, 1], [3, 4], [2], [], [], [4]]);
  });

  test("more events than one read takes", async ({ holdfast }) => {
    const facts = await holdfast.evaluate(async (holdfast) => {
      const c = holdfast.create("c");
      await Promise.all(Array.from({ length: 1100 }, (_, i) => c.recordStepCompleted("m", i)));
      const replayed = await holdfast.recover("c");
      return [replayed.expectedSeq, replayed.state.lastCompletedStep("m"), (await c.events()).length, (await c.events({ limit: 1100 })).length];
    });
    expect(facts).toEqual([1100, 1099, 1000, 1100]);
  });

  test("receivedAt is now unless it is given", async ({ holdfast }) => {
    const { before, stored, given, after } = await holdfast.evaluate(async (holdfast) => {
      const c = holdfast.create("c");
      const before = Date.now();
      await c.receiveMessage({ id: "now" });
      const after = Date.now();
      await c.receiveMessage({ id: "given", receivedAt: 2 ** 53 - 1 });
      return { before, stored: c.state.message("now")?.receivedAt, given: c.state.message("given")?.receivedAt, after };
    });
    expect(stored).toBeGreaterThanOrEqual(before);
    expect(stored).toBeLessThanOrEqual(after);
    expect(given).toBe(2 ** 53 - 1);
  });

  test("after close every call rejects or throws closed; what was called before goes on; closing twice is fine", async ({ holdfast }) => {
    const facts = await holdfast.evaluate(async (holdfast) => {
      const c = await holdfast.recover("c");
      const unsubscribe = c.subscribe(() => undefined);
      const underWay = [c.recordProcessingStarted("m"), c.recordProcessingStarted("m")];
      const closing = [holdfast.close(), holdfast.close()];
      const early = await told.failure(c.recordProcessingStarted("m"));
      const [sequences] = [await Promise.all(underWay), await Promise.all(closing)];
      await holdfast.close();
      unsubscribe();
      const calls: Record<string, () => unknown> = {
        create: () => holdfast.create("c"),
        recover: () => holdfast.recover("c"),
        conversations: () => holdfast.conversations(),
        delete: () => holdfast.delete("c"),
        health: () => holdfast.health(),
        persist: () => holdfast.persist(),
        receiveMessage: () => c.receiveMessage({ id: "m" }),
        recordMessageReceived: () => c.recordMessageReceived({ id: "m" }),
        recordProcessingStarted: () => c.recordProcessingStarted("m"),
        recordStepCompleted: () => c.recordStepCompleted("m", 0),
        recordProcessingFinished: () => c.recordProcessingFinished("m"),
        recordError: () => c.recordError("m", "text"),
        refresh: () => c.refresh(),
        clone: () => c.clone(),
        events: () => c.events(),
        subscribe: () => c.subscribe(() => undefined),
      };
      const codes: Record<string, string | undefined> = {};
      for (const [name, call] of Object.entries(calls)) codes[name] = (await told.failure(call))?.code;
      return { sequences, early: early?.code, codes, known: [c.id, c.expectedSeq, told.messages(c.state).length, c.snapshot() === c.state] };
    });
    expect(facts.sequences).toEqual([0, 1]);
    expect(facts.early).toBe("closed");
    expect(new Set(Object.values(facts.codes))).toEqual(new Set(["closed"]));
    expect(facts.known).toEqual(["c", 2, 0, true]);
  });

  test("health and persist", async ({ home, holdfast, storage }) => {
    const health = await holdfast.evaluate((holdfast) => holdfast.health());
    const persisted = await holdfast.evaluate(async (holdfast) => [await holdfast.persist(), (await holdfast.health()).persisted]);
    const relaxed = await home.evaluate(async (storage) => {
      const { open } = await import("@holdfast-dev/holdfast");
      return (await open({ storage, durability: "default" })).health();
    }, storage);
    if (storage === "memory") {
      const nothing = { persisted: undefined, usage: undefined, quota: undefined, epoch: "", lastError: undefined };
      expect(health).toEqual({ storage, durability: "strict", ...nothing });
      expect(persisted).toEqual([false, undefined]);
      expect(relaxed).toEqual({ storage, durability: "default", ...nothing });
    } else {
      // WebKitGTK has no StorageManager to ask.
      const told = await home.evaluate(() => "storage" in navigator);
      expect(health).toEqual({
        storage,
        durability: "strict",
        persisted: told ? false : undefined,
        usage: told ? expect.any(Number) : undefined,
        quota: told ? expect.any(Number) : undefined,
        epoch: expect.stringMatching(/^[0-9a-f]{32}$/),
        lastError: undefined,
      });
      expect(persisted).toEqual(told ? [persisted[0], persisted[0]] : [false, undefined]);
      expect(relaxed).toMatchObject({ durability: "default", epoch: health.epoch });
    }
  });

  test("two opens of one database see each other, of one in memory they do not", async ({ home, storage }) => {
    const facts = await home.evaluate(async (storage) => {
      const { open } = await import("@holdfast-dev/holdfast");
      const [one, two] = [await open({ storage, database: "db" }), await open({ storage, database: "db" })];
      const other = await open({ storage, database: "another" });
      await one.create("c").receiveMessage({ id: "m" });
      const seen = (await two.recover("c")).expectedSeq;
      await one.close();
      const after = (await two.recover("c")).expectedSeq; // closing one leaves the other open
      return { seen, after, other: await other.conversations(), reopened: (await (await open({ storage, database: "db" })).recover("c")).expectedSeq };
    }, storage);
    const kept = storage === "indexeddb" ? 1 : 0;
    expect(facts).toEqual({ seen: kept, after: kept, other: [], reopened: kept });
  });

  test("what outlives the page", async ({ home, holdfast, storage }) => {
    await holdfast.evaluate((holdfast) => holdfast.create("c").receiveMessage({ id: "m" }));
    await home.reload();
    const found = await home.evaluate(async (storage) => {
      const { open } = await import("@holdfast-dev/holdfast");
      const holdfast = await open({ storage });
      return [await holdfast.conversations(), (await indexedDB.databases()).map(({ name }) => name)];
    }, storage);
    expect(found).toEqual(storage === "indexeddb" ? [[{ id: "c", head: 1 }], ["holdfast"]] : [[], []]);
  });
});

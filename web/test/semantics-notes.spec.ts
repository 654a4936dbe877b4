// Notes and metadata: what an application keeps in a conversation beside its messages.
import type { Conversation } from "@holdfast-dev/holdfast";
import { expect, onEachStore, test } from "./harness/holdfast.js";

onEachStore(() => {
  test("notes are there in order, by their type, and each id of a type once", async ({ holdfast }) => {
    const told = await holdfast.evaluate(async (holdfast) => {
      const before = Date.now();
      const c = holdfast.create("c");
      const ids = [
        await c.note("draft", { text: "one" }, { id: "a" }),
        await c.note("draft", undefined, { id: "b" }),
        await c.note("draft", "again", { id: "a" }),
        await c.note("pinned", null, { id: "a" }),
        await c.note("pinned", [1]),
      ];
      const seen = ({ state }: Conversation): unknown => [
        state.notes("draft").map((note) => ({ ...note, at: before <= note.at && note.at <= Date.now() })),
        state.notes("pinned").map(({ id, data }) => [id === ids[4] ? "random" : id, data]),
        state.notes("other"),
        state.messages,
        state.isReceived("a"),
      ];
      return { ids: ids.slice(0, 4), live: seen(c), recovered: seen(await holdfast.recover("c")), cloned: seen(c.clone()), head: c.expectedSeq };
    });
    const seen = [[{ id: "a", type: "draft", at: true, data: { text: "one" } }, { id: "b", type: "draft", at: true, data: undefined }], [["a", null], ["random", [1]]], [], [], false];
    expect(told).toEqual({ ids: ["a", "b", "a", "a"], live: seen, recovered: seen, cloned: seen, head: 4 });
  });

  test("with ifLast a note comes after the one that it names, or is not stored", async ({ holdfast }) => {
    const told = await holdfast.evaluate(async (holdfast) => {
      const c = holdfast.create("c");
      const other = holdfast.create("c");
      const version = (chat: Conversation, id: string, ifLast: string | null): Promise<unknown> => globalThis.told.failure(chat.note("version", 0, { id, ifLast }));
      const failures = [
        await version(c, "1", "0"),
        await version(c, "1", null),
        await version(other, "2", null), // it has not read the first one
        await version(other, "2", "1"),
        await version(c, "2", "1"), // again: it is there
        await version(c, "3", "1"),
      ];
      const conflicts = await Promise.all(Array.from({ length: 6 }, async (_, i) => version(i % 2 === 0 ? c : other, `3 ${i}`, "2")));
      const ids = (await holdfast.recover("c")).state.notes("version").map(({ id }) => id);
      return { failures, lost: conflicts.filter((failure) => failure !== undefined).length, ids: ids.map((id) => id.slice(0, 1)), known: [c, other].map(({ state }) => state.notes("version").length) };
    });
    const conflict = { name: "HoldfastError", code: "sequence_conflict", outcome: "permanent", operation: "note", stream: "c" };
    expect(told).toMatchObject({ failures: [conflict, undefined, conflict, undefined, undefined, conflict], lost: 5, ids: ["1", "2", "3"] });
    expect(told.known).toEqual([3, 3]);
  });

  test("metadata are set key by key, the last value counts, and a conversation with nothing else is listed", async ({ holdfast }) => {
    const told = await holdfast.evaluate(async (holdfast) => {
      const c = holdfast.create("c");
      const other = holdfast.create("c");
      const seen: unknown[] = [[c.metadata, c.expectedSeq]];
      const set = async (chat: Conversation, patch: Record<string, unknown>): Promise<void> => {
        await chat.setMetadata(patch);
        seen.push([structuredClone(chat.metadata), chat.expectedSeq]);
      };
      await set(c, { title: "Trees", tags: ["a", { b: null }] });
      await set(c, { title: "Trees", gone: undefined });
      await set(other, { title: "Oaks", pinned: true });
      await set(c, { tags: undefined, title: "Oaks", "1": -0, at: new Date(5) });
      const { metadata } = c;
      await c.note("draft", 1);
      const same = metadata === c.metadata;
      const recovered = (await holdfast.recover("c")).metadata;
      const [row] = (await holdfast.list()).rows;
      await holdfast.create("no metadata").send({ id: "m" });
      const [none] = (await holdfast.list({ ids: ["no metadata"] })).rows;
      const exists = await globalThis.told.failure(c.send({ onlyIf: "exists" }));
      await holdfast.delete("c");
      await c.refresh();
      return {
        seen,
        same,
        recovered: structuredClone(recovered),
        sign: Object.is(recovered["1"], -0),
        listed: structuredClone(row?.metadata),
        row: { ...row, created: row?.created === row?.updated, updated: 0 },
        none: none?.metadata,
        exists,
        deleted: [c.metadata, c.state.notes("draft")],
      };
    });
    const last = { pinned: true, title: "Oaks", "1": 0, at: new Date(5) };
    expect(told).toEqual({
      seen: [
        [{}, 0],
        [{ title: "Trees", tags: ["a", { b: null }] }, 2],
        [{ title: "Trees", tags: ["a", { b: null }] }, 2],
        [{ title: "Oaks", tags: ["a", { b: null }], pinned: true }, 4],
        [{ ...last, "1": -0 }, 7],
      ],
      same: true,
      recovered: { ...last, "1": -0 },
      sign: true,
      listed: { ...last, "1": -0 },
      row: { id: "c", created: true, updated: 0, unfinished: 0, waiting: 0, due: undefined, metadata: { ...last, "1": -0 } },
      none: {},
      exists: undefined,
      deleted: [{}, []],
    });
  });

  test("metadata are not set, and nothing is noted, if the conversation must exist and does not, also if another tab has deleted it", async ({ holdfast }) => {
    const told = await holdfast.evaluate(async (holdfast) => {
      const outcomes: unknown[] = [];
      const [c, stale] = [holdfast.create("c"), holdfast.create("c")];
      const rename = async (title: string, of = c): Promise<void> => {
        const failure = await globalThis.told.failure(of.setMetadata({ title }, { onlyIf: "exists" }));
        const noted = await globalThis.told.failure(of.note("title", title, { onlyIf: "exists" }));
        if (noted?.code !== failure?.code) throw new Error(`noted: ${noted?.message}`);
        outcomes.push([title, failure?.code, failure?.outcome, ...(await holdfast.list()).rows.map(({ id, metadata }) => `${id} ${String(metadata["title"])}`)]);
      };
      await rename("too early");
      await c.send({ id: "m" });
      await rename("known elsewhere", stale);
      await holdfast.delete("c");
      await rename("too late");
      await rename("too late, too", stale);
      await c.setMetadata({ title: "anew" });
      await rename("after that", stale);
      const refused = await globalThis.told.failure(c.setMetadata({ title: "x" }, { onlyIf: "always" as "exists" }));
      return { outcomes, refused: [refused?.code, refused?.operation], notes: stale.state.notes("title").map(({ data }) => data) };
    });
    expect(told).toEqual({
      notes: ["after that"],
      outcomes: [
        ["too early", "cancelled", "not_written"],
        ["known elsewhere", undefined, undefined, "c known elsewhere"],
        ["too late", "cancelled", "not_written"],
        ["too late, too", "cancelled", "not_written"],
        ["after that", undefined, undefined, "c after that"],
      ],
      refused: ["invalid_argument", "setMetadata"],
    });
  });

  test("what notes and metadata hold cannot be changed by one who reads it", async ({ holdfast }) => {
    const told = await holdfast.evaluate(async (holdfast) => {
      const c = holdfast.create("c");
      const given = { list: [1], at: new Date(5), bytes: new Uint8Array([1, 2]) };
      await c.note("draft", given, { id: "a" });
      await c.setMetadata(given);
      const changed: string[] = [];
      const [row] = (await holdfast.list()).rows;
      const [note] = c.state.notes("draft");
      const read = { notes: c.state.notes("draft"), note, data: note?.data, metadata: c.metadata, listed: row?.metadata } as Record<string, object>;
      for (const [name, object] of Object.entries(read)) {
        for (const key of ["0", "id", "data", "list", "at", "bytes", "added"]) if (Reflect.set(object, key, "changed")) changed.push(`${name}.${key}`);
      }
      for (const each of [note?.data, c.metadata, row?.metadata] as (typeof given)[]) {
        if (Reflect.set(each.list, 0, 2)) changed.push("list");
        each.at.setTime(0);
        each.bytes.fill(0);
        structuredClone(each.bytes, { transfer: [each.bytes.buffer] });
      }
      const before = c.state.notes("draft");
      await c.note("draft", 2, { id: "b" });
      return {
        changed,
        values: structuredClone([c.state.notes("draft")[0]?.data, c.metadata, row?.metadata]),
        json: JSON.parse(JSON.stringify(c.state.notes("draft"))),
        lists: [before.length, c.state.notes("draft").length, c.state.notes("draft") === c.state.notes("draft"), before[0] === c.state.notes("draft")[0]],
      };
    });
    const given = { list: [1], at: new Date(5), bytes: new Uint8Array([1, 2]) };
    expect(told).toMatchObject({ changed: [], values: [given, given, given], lists: [1, 2, true, true] });
    expect(told.json).toMatchObject([{ id: "a", type: "draft", data: { list: [1] } }, { id: "b", type: "draft", data: 2 }]);
  });

  test("16 KiB of metadata are stored, and a patch that would pass them is refused as a whole", async ({ holdfast }) => {
    const told = await holdfast.evaluate(async (holdfast) => {
      const c = holdfast.create("c");
      const room = 2 ** 14 - 1; // without the key
      const set = (patch: Record<string, unknown>): Promise<unknown> => globalThis.told.failure(c.setMetadata(patch));
      const failures = [
        await set({ a: "x".repeat(room - 3) }), // msgpack has a length of three bytes
        await set({ b: 1 }),
        await set({ a: "x".repeat(room - 2), c: undefined }),
        await set({ a: 1, d: "x".repeat(room - 3 - 2) }),
        await set({ huge: "x".repeat(2 ** 20) }),
        await set({ a: undefined, b: new Uint8Array(2 ** 23) }),
      ];
      return { failures: failures.map((failure) => (failure as { code?: string } | undefined)?.code), keys: Object.keys(c.metadata), head: c.expectedSeq, listed: (await holdfast.list()).rows.map(({ metadata }) => Object.keys(metadata)) };
    });
    expect(told).toEqual({ failures: [undefined, "too_large", "too_large", undefined, "too_large", "too_large"], keys: ["a", "d"], head: 3, listed: [["a", "d"]] });
  });

  test("bad notes and metadata are refused, and nothing of them is stored", async ({ holdfast }) => {
    const told = await holdfast.evaluate(async (holdfast) => {
      const c = holdfast.create("c");
      const note = c.note.bind(c) as (...args: unknown[]) => Promise<unknown>;
      const set = c.setMetadata.bind(c) as (patch: unknown) => Promise<unknown>;
      const long = "x".repeat(1025);
      const calls: [string, Promise<unknown>][] = [
        ...["", "a\0", "\ud800", long, 1, null].flatMap((name): [string, Promise<unknown>][] => [
          [`type ${name}`, note(name, 1)],
          [`id ${name}`, name === null ? Promise.reject(new Error()) : note("t", 1, { id: name })],
        ]),
        ["ifLast", note("t", 1, { ifLast: "" })],
        ["ifLast 1", note("t", 1, { ifLast: 1 })],
        ["options", note("t", 1, { ifLst: "a" })],
        ["a map", note("t", new Map())],
        ["a function", note("t", { of: () => 1 })],
        ...[undefined, null, 1, "a", [1], new Map([["a", 1]]), new Date(), { a: () => 1 }, { a: 1, b: new Map() }, { "": 1 }, { [long]: 1 }, { "a\0": 1 }, { "\ud800": 1 }, { ["__proto__"]: 1 }, { [Symbol("a")]: 1 }].map(
          (patch, i): [string, Promise<unknown>] => [`patch ${i}`, set(patch)],
        ),
        ["hidden", set(Object.defineProperty({ a: 1 }, "b", { value: 1 }))],
        [
          "a getter",
          set({
            get a(): never {
              throw new Error("boom");
            },
          }),
        ],
      ];
      const codes: Record<string, unknown> = {};
      for (const [name, call] of calls) {
        codes[name] = await call.then(
          () => "stored",
          (error: unknown) => (error as { code?: string }).code ?? "skipped",
        );
      }
      return { codes, head: c.expectedSeq };
    });
    expect(Object.entries(told.codes).filter(([, code]) => code !== "invalid_argument")).toEqual([["id null", "skipped"]]);
    expect(told.head).toBe(0);
  });

  test("the log shows notes and metadata", async ({ holdfast }) => {
    const events = await holdfast.evaluate(async (holdfast) => {
      const c = holdfast.create("c");
      await c.note("draft", { text: "one" }, { id: "a" });
      await c.note("draft", undefined, { id: "b" });
      await c.setMetadata({ title: null });
      await c.setMetadata({ title: undefined });
      return (await c.events()).map((event) => ({ ...event, timestamp: 0 }));
    });
    const eventId = expect.stringMatching(/^[0-9a-f]{32}$/) as unknown;
    const timestamp = 0;
    expect(events).toEqual([
      { sequence: 0, timestamp, eventId, kind: "note", type: "draft", noteId: "a", data: { text: "one" } },
      { sequence: 1, timestamp, eventId, kind: "note", type: "draft", noteId: "b", data: undefined },
      { sequence: 2, timestamp, eventId, kind: "metadata_set", key: "title", value: null },
      { sequence: 3, timestamp, eventId, kind: "metadata_set", key: "title", value: undefined },
    ]);
  });

  test("listeners hear of notes and metadata, and no handler is called for them", async ({ holdfast }) => {
    const told = await holdfast.evaluate(async (holdfast) => {
      const c = holdfast.create("c");
      let calls = 0;
      const stop = c.process(() => calls++);
      const heard: unknown[] = [];
      const end = c.subscribe(() => heard.push([c.state.notes("draft").length, c.metadata["title"]]));
      const states = new Set([c.state]);
      for (const change of [() => c.note("draft", 1, { id: "a" }), () => c.setMetadata({ title: "x" }), () => c.note("draft", 1, { id: "a" }), () => c.setMetadata({ title: "x" })]) {
        await change();
        await globalThis.told.task();
        states.add(c.state);
      }
      await c.ended(await c.send({ id: "m" }));
      end();
      await stop();
      return { heard: heard.slice(0, 2), states: states.size, calls };
    });
    expect(told).toEqual({ heard: [[1, undefined], [1, "x"]], states: 3, calls: 1 });
  });
});

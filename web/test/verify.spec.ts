// Damage is told by verify, and stays where it is: other conversations, and other messages, do not suffer from it.
import type { Holdfast, Verification } from "@holdfast-dev/holdfast";
import type { JSHandle } from "@playwright/test";
import { expect, onEachStore, test } from "./harness/holdfast.js";
import { remembered } from "./harness/memory.js";
import { bundled, startWorker } from "./harness/place.js";
import { messageRecord, recordKey } from "./harness/record.js";
import { append, attach } from "./harness/tab.js";

declare global {
  var makeRoom: () => void;
  var later: Holdfast;
}

/** Puts a value under a key of the records, behind Holdfast's back; without one, removes it. */
async function put(holdfast: JSHandle<Holdfast>, key: Uint8Array, value?: Uint8Array | string): Promise<void> {
  await holdfast.evaluate(
    async (_, [key, value]) => {
      const store = await told.objectStore("holdfast", "records");
      const bytes = new Uint8Array(key);
      if (value === undefined) await told.idb(store.delete(bytes));
      else await told.idb(store.put(typeof value === "string" ? value : new Uint8Array(value), bytes));
    },
    [[...key], typeof value === "object" ? [...value] : value] as const,
  );
}

/** Conversations of six events in six records, by id. */
async function fill(holdfast: JSHandle<Holdfast>, ...ids: string[]): Promise<void> {
  await holdfast.evaluate(async (holdfast, ids) => {
    for (const id of ids) {
      const c = holdfast.create(id);
      for (let i = 0; i < 6; i++) await c.recordMessageReceived({ id: `m${i}`, body: { text: `${id} ${i}` } });
    }
  }, ids);
}

const verify = (holdfast: JSHandle<Holdfast>, id: string): Promise<Verification> => holdfast.evaluate((holdfast, id) => holdfast.verify(id), id);

onEachStore(() => {
  test("a whole conversation, a deleted one and an absent one have no damage", async ({ holdfast }) => {
    await fill(holdfast, "whole", "deleted");
    await holdfast.evaluate((holdfast) => holdfast.delete("deleted"));
    expect(await verify(holdfast, "whole")).toEqual({ id: "whole", head: 6, events: 6, damage: [], snapshot: "none" });
    expect(await verify(holdfast, "deleted")).toEqual({ id: "deleted", head: 7, events: 0, damage: [], snapshot: "none" });
    expect(await verify(holdfast, "absent")).toEqual({ id: "absent", head: 0, events: 0, damage: [], snapshot: "none" });
  });
});

test("verify tells all damage of a conversation, what is between can be read, and the others work", async ({ holdfast }) => {
  await fill(holdfast, "a", "damaged", "z");
  await put(holdfast, recordKey("damaged", 1), "not bytes");
  await put(holdfast, recordKey("damaged", 3));
  await put(holdfast, recordKey("damaged", 5), Buffer.from("rubbish and more"));
  await put(holdfast, Buffer.from("no key of Holdfast"), Buffer.from("rubbish"));
  const facts = await holdfast.evaluate(async (holdfast) => {
    const c = holdfast.create("damaged");
    const failures = await Promise.all([holdfast.recover("damaged"), c.refresh(), c.events()].map((call) => told.failure(call)));
    const between = [await c.events({ from: 1, limit: 1 }), await c.events({ from: 5 })].flat().map(({ sequence }) => sequence);
    const others: unknown[] = [];
    for (const id of ["a", "z"]) {
      const other = await holdfast.recover(id);
      others.push(other.state.messages.length, await other.recordProcessingStarted("m0"), (await holdfast.verify(id)).damage.length);
    }
    return { codes: failures.map((failure) => failure?.code), between, others, listed: await holdfast.conversations() };
  });
  expect(facts).toEqual({
    codes: ["corrupt", "corrupt", "corrupt"],
    between: [1, 5],
    others: [6, 6, 0, 6, 6, 0],
    listed: ["a", "damaged", "z"].map((id) => ({ id, head: id === "damaged" ? 6 : 7 })),
  });
  expect(await verify(holdfast, "damaged")).toEqual({
    id: "damaged",
    head: 6,
    events: 3,
    damage: [
      { from: 0, to: 0, code: "corrupt", message: expect.stringContaining("too short") },
      { from: 2, to: 2, code: "gap", message: expect.any(String) },
      { from: 4, to: 4, code: "corrupt", message: expect.stringContaining("checksum") },
    ],
    snapshot: "none",
  });
});

test("a conversation that has lost its end says so once, verify tells what is missing, and it goes on with what is left", async ({ holdfast }) => {
  await fill(holdfast, "cut", "gone", "whole");
  await holdfast.evaluate((holdfast) => holdfast.close());
  await put(holdfast, recordKey("cut", 5));
  await put(holdfast, recordKey("cut", 6));
  for (let end = 1; end <= 6; end++) await put(holdfast, recordKey("gone", end));
  const facts = await holdfast.evaluate(async () => {
    const { open } = await import("@holdfast-dev/holdfast");
    const again = await open();
    const failures = await Promise.all([again.recover("cut"), again.create("gone").refresh(), again.recover("whole")].map((call) => told.failure(call)));
    const found = await Promise.all(["cut", "gone", "whole"].map((id) => again.verify(id)));
    await again.close();
    const later = await open();
    const heads = [(await later.recover("cut")).expectedSeq, (await later.recover("gone")).expectedSeq];
    const appended = await (await later.recover("cut")).recordProcessingStarted("m0");
    await later.close();
    return { codes: failures.map((failure) => failure?.code), text: failures[0]?.message, found, heads, appended, later: (await (await open()).verify("cut")).damage };
  });
  const lost = (from: number): unknown => ({ from, to: 5, code: "gap", message: expect.stringContaining("remembers") });
  expect(facts).toEqual({
    codes: ["gap", "gap", undefined],
    text: expect.stringContaining("has lost its end, sequences 4 to 5; recover it once more"),
    found: [
      { id: "cut", head: 4, events: 4, damage: [lost(4)], snapshot: "none" },
      { id: "gone", head: 0, events: 0, damage: [lost(0)], snapshot: "none" },
      { id: "whole", head: 6, events: 6, damage: [], snapshot: "none" },
    ],
    heads: [4, 0],
    appended: 4,
    later: [lost(5)],
  });
});

test("windows and workers remember together how far conversations have come", { tag: "@chromium" }, async ({ page, server, holdfast }) => {
  const worker = await attach(await startWorker(page, server), "worker's", {}, bundled(server));
  await fill(holdfast, "window's");
  expect(await append(worker, "worker", 0)).toEqual({ sequence: 0 });
  await expect.poll(() => remembered(page)).toEqual({ "window's": 6, "worker's": 1 });
});

test("what nobody can remember is a shorter conversation", async ({ page, holdfast }) => {
  // As in a browser without the origin private file system, and with localStorage blocked.
  await page.evaluate(() => {
    if ("storage" in navigator) navigator.storage.getDirectory = () => Promise.reject(new DOMException("not here", "SecurityError"));
    Storage.prototype.setItem = () => {
      throw new DOMException("full", "QuotaExceededError");
    };
  });
  await fill(holdfast, "cut");
  await holdfast.evaluate((holdfast) => holdfast.close());
  await put(holdfast, recordKey("cut", 6));
  const head = await holdfast.evaluate(async () => (await (await (await import("@holdfast-dev/holdfast")).open()).recover("cut")).expectedSeq);
  expect(head).toBe(5);
});

test("localStorage remembers where files cannot be written", async ({ home }) => {
  const holdfast = await home.evaluateHandle(async () => {
    if ("FileSystemFileHandle" in globalThis) Reflect.deleteProperty(FileSystemFileHandle.prototype, "createWritable");
    return (await import("@holdfast-dev/holdfast")).open();
  });
  await fill(holdfast, "cut");
  await holdfast.evaluate((holdfast) => holdfast.close());
  await put(holdfast, recordKey("cut", 6));
  const code = await holdfast.evaluate(async () => {
    const { open } = await import("@holdfast-dev/holdfast");
    return (await told.failure((await open()).recover("cut")))?.code;
  });
  expect(code).toBe("gap");
});

test("what another tab replaces while it is read is read once more", async ({ page, holdfast }) => {
  await fill(holdfast, "cut");
  await holdfast.evaluate((holdfast) => holdfast.close());
  await put(holdfast, recordKey("cut", 6));
  const code = await page.evaluate(async () => {
    const text = Object.getOwnPropertyDescriptor(Blob.prototype, "text")?.value as () => Promise<string>;
    let failures = 2;
    Blob.prototype.text = function (this: Blob) {
      return failures-- > 0 ? Promise.reject(new DOMException("it has changed", "NotReadableError")) : text.call(this);
    };
    const { open } = await import("@holdfast-dev/holdfast");
    return (await told.failure((await open()).recover("cut")))?.code;
  });
  expect(code).toBe("gap");
});

test("what could not be remembered is remembered with the next append, in the same place, and health() says what was wrong", async ({ page, holdfast }) => {
  await page.evaluate(() => {
    const places: [object, string][] = [[Storage.prototype, "setItem"]];
    if ("FileSystemFileHandle" in globalThis) places.push([FileSystemFileHandle.prototype, "createWritable"]);
    const writes = places.map(([place, write]) => Object.getOwnPropertyDescriptor(place, write) ?? {});
    const full = (): never => {
      throw new DOMException("full", "QuotaExceededError");
    };
    places.forEach(([place, write], i) => Object.defineProperty(place, write, { ...writes[i], value: full }));
    globalThis.makeRoom = () => places.forEach(([place, write], i) => Object.defineProperty(place, write, writes[i] ?? {}));
  });
  await fill(holdfast, "early");
  const lastError = (): Promise<string> => holdfast.evaluate(async (holdfast) => String((await holdfast.health()).lastError));
  await expect.poll(lastError).toMatch(/remember: quota_exceeded: .*full/);
  await page.evaluate(() => globalThis.makeRoom());
  await fill(holdfast, "late");
  await expect.poll(() => remembered(page)).toEqual({ early: 6, late: 6 });
  const places = await page.evaluate(async () => {
    const files: string[] = [];
    if ("storage" in navigator) for await (const name of (await navigator.storage.getDirectory()).keys()) files.push(name);
    return [...files, ...Object.keys(localStorage)];
  });
  expect(places).toEqual(["holdfast%3Aholdfast"]);
});

test("a store that is closed while the browser takes long to remember keeps none from remembering", { tag: "@chromium" }, async ({ page, holdfast }) => {
  await fill(holdfast, "early");
  await holdfast.evaluate(async (holdfast) => {
    const create = Object.getOwnPropertyDescriptor(FileSystemFileHandle.prototype, "createWritable")?.value as () => Promise<FileSystemWritableFileStream>;
    let asked = false;
    FileSystemFileHandle.prototype.createWritable = function (this: FileSystemFileHandle) {
      FileSystemFileHandle.prototype.createWritable = create;
      asked = true;
      return new Promise((resolve) => setTimeout(() => resolve(create.call(this)), 3000));
    };
    await holdfast.create("slow").recordProcessingStarted("m");
    await holdfast.close();
    if (!asked) throw new Error("it was closed before it has begun to remember");
    globalThis.later = await (await import("@holdfast-dev/holdfast")).open();
    await globalThis.later.create("late").recordProcessingStarted("m");
  });
  await expect.poll(() => remembered(page)).toMatchObject({ late: 1 });
  expect(await page.evaluate(async () => (await globalThis.later.health()).lastError)).toBe(undefined);
});

test("a runner of a damaged conversation ends with what is wrong, and those of others work", async ({ holdfast }) => {
  await fill(holdfast, "damaged", "whole");
  await put(holdfast, recordKey("damaged", 3));
  const facts = await holdfast.evaluate(async (holdfast) => {
    const error = await new Promise<unknown>((resolve) => {
      holdfast.create("damaged").process(() => undefined, { onError: (error) => resolve((error as { readonly code?: string }).code) });
    });
    const whole = await holdfast.recover("whole");
    const done = new Promise<number>((resolve) => {
      whole.subscribe(() => whole.state.messages.every(({ status }) => status === "finished") && resolve(whole.state.messages.length));
    });
    const stop = whole.process(() => "done");
    const finished = await done;
    await stop();
    return { error, finished };
  });
  expect(facts).toEqual({ error: "gap", finished: 6 });
});

for (const [damage, code, value] of [
  ["damaged", "corrupt", Buffer.from("rubbish and more")],
  ["missing", "gap", undefined],
] as const) {
  test(`a handler that looks back where the log is ${damage} gets \`${code}\`, and one that does not goes on`, async ({ holdfast }) => {
    const handle = await holdfast.evaluateHandle(async (holdfast) => {
      const c = holdfast.create("c");
      const asked: unknown[] = [];
      let mended = false;
      const run = (): (() => Promise<void>) =>
        c.process(
          async (work) => {
            const { message, step, signal } = work;
            if (message.id === "first") {
              if (!mended) throw new Error("boom");
              return "mended";
            }
            await step.wait("go on", { pass: true });
            if (message.id === "looks back") {
              const failure = await told.failure(() => work.history);
              asked.push([failure?.name, failure?.code, failure?.stream, signal.aborted]);
              return work.history.length;
            }
            return "never looked back";
          },
          { onError: () => undefined },
        );
      // Both have begun when the first message fails; what that becomes later is none of their past, so they look into the log.
      await c.send({ id: "first" });
      for (const id of ["looks back", "does not"]) await c.send({ id, after: "first" });
      const stop = run();
      while (c.state.received.some(({ status, openSteps }) => status !== "failed" && openSteps.length === 0)) await told.task();
      await stop();
      mended = true;
      await c.retry("first");
      for (const id of ["looks back", "does not"]) await c.answer(id, 0);
      return { c, asked, run };
    });
    await put(holdfast, recordKey("c", 1), value);
    const facts = await handle.evaluate(async ({ c, asked, run }) => {
      const stop = run();
      const ends = await Promise.all(["first", "looks back", "does not"].map((id) => c.ended(id)));
      await stop();
      return { asked, ends: ends.map(({ status, result, error }) => [status, result, error]) };
    });
    expect(facts).toEqual({
      asked: [["HoldfastError", code, "c", false]],
      ends: [
        ["finished", "mended", "Error: boom"],
        ["failed", undefined, expect.stringContaining(`: ${code}: `)],
        ["finished", "never looked back", undefined],
      ],
    });
  });
}

test("a stored body that cannot be decoded is `corrupt`, and hides no other message", async ({ holdfast }) => {
  await fill(holdfast, "c");
  const hostile: readonly Uint8Array[] = [
    Buffer.from([0xc1]), // no msgpack
    Buffer.from("dd01ffffff", "hex"), // an array of 33,554,431, of which nothing is there
    Buffer.from("dd0000ffff".repeat(10_000), "hex"),
    Buffer.from("c6ffffffff", "hex"),
    Buffer.alloc(100_000, 0x91), // 100,000 levels
    Buffer.from("c70cff", "hex"), // half a date
  ];
  for (const [i, body] of hostile.entries()) await put(holdfast, recordKey("c", 7 + i), messageRecord("c", 6 + i, `hostile ${i}`, body));
  const facts = await holdfast.evaluate(async (holdfast) => {
    const c = await holdfast.recover("c");
    const code = (read: () => unknown): string => {
      try {
        return JSON.stringify(read());
      } catch (error) {
        return (error as { readonly code: string }).code;
      }
    };
    const events = await c.events();
    const done = new Promise<void>((resolve) => {
      c.subscribe(() => c.state.messages.every(({ status }) => status === "finished" || status === "failed") && resolve());
    });
    const reported: unknown[] = [];
    const stop = c.process(({ message }) => message.body, { onError: (error) => reported.push((error as { readonly code?: string }).code) });
    await done;
    await stop();
    return {
      reported,
      state: c.state.messages.map((message) => code(() => message.body)),
      events: events.map((event) => code(() => event.kind === "message_received" && event.body)),
      status: c.state.messages.map(({ status }) => status),
      damage: (await holdfast.verify("c")).damage,
    };
  });
  const bodies = [0, 1, 2, 3, 4, 5].map((i) => JSON.stringify({ text: `c ${i}` }));
  const corrupt = hostile.map(() => "corrupt");
  expect(facts).toEqual({
    state: [...bodies, ...corrupt],
    events: [...bodies, ...corrupt],
    status: [...bodies.map(() => "finished"), ...corrupt.map(() => "failed")],
    reported: corrupt,
    damage: [],
  });
});

test("a database of another format says so, whatever object stores it has", async ({ home }) => {
  const failures = await home.evaluate(async () => {
    const { open } = await import("@holdfast-dev/holdfast");
    const bytes = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);
    const failures: unknown[] = [];
    for (const [database, format, ...stores] of [["earlier", "1", "records", "values", "snapshots", "meta"], ["later", "3", "meta", "everything"]] as const) {
      // At first nothing is remembered of it outside the database, then that it was Holdfast's.
      for (const before of [async () => undefined, async () => await (await open({ database })).close()]) {
        await before();
        await told.idb(indexedDB.deleteDatabase(database));
        const opening = indexedDB.open(database);
        opening.onupgradeneeded = () => stores.forEach((store) => opening.result.createObjectStore(store));
        const made = await told.idb(opening);
        const meta = made.transaction("meta", "readwrite").objectStore("meta");
        await told.idb(meta.put(bytes(format), bytes("format")));
        made.close();
        const failure = await told.failure(open({ database }));
        failures.push([failure?.code, /has format \d/.exec(failure?.message ?? "")?.[0]]);
        await told.idb(indexedDB.deleteDatabase(database));
      }
    }
    return failures;
  });
  expect(failures).toEqual(["1", "1", "3", "3"].map((format) => ["unsupported_version", `has format ${format}`]));
});

test("a database that does not say what it is, or has lost its stores, is damaged, not somebody else's", async ({ home }) => {
  const codes = await home.evaluate(async () => {
    const { open } = await import("@holdfast-dev/holdfast");
    await (await open()).close();
    const meta = await told.objectStore("holdfast", "meta");
    await told.idb(meta.put(new Uint8Array([0xff]), new TextEncoder().encode("format")));
    meta.transaction.db.close();
    const unsaid = (await told.failure(open()))?.code;
    await told.idb(indexedDB.deleteDatabase("holdfast"));
    (await told.idb(indexedDB.open("holdfast"))).close();
    return [unsaid, (await told.failure(open()))?.code];
  });
  expect(codes).toEqual(["corrupt", "corrupt"]);
});

// Every code of the closed list: reached by a story whose failure carries it, or listed as out of reach.
import { readFileSync } from "node:fs";
import type { ErrorCode, Handler, Outcome } from "@holdfast-dev/holdfast";
import type { Page } from "@playwright/test";
import { expect, type Failure, test } from "./harness/holdfast.js";

type Told = Promise<Failure | undefined>;

interface Reached {
  readonly outcome: Outcome;
  readonly name?: string;
  readonly operation?: string;
  readonly stream?: string;
  readonly cause?: RegExp;
  readonly story: (home: Page) => Told;
}

/** Codes that nothing in this release's JavaScript API can lead to. When something does, it moves to `reached`. */
const outOfReach: Partial<Record<ErrorCode, string>> = {
  cursor_regression: "compare-and-swap is not exposed",
};

const reached: Partial<Record<ErrorCode, Reached>> = {
  step_mismatch: {
    outcome: "permanent",
    operation: "step",
    stream: "c",
    story: (home) =>
      home.evaluate(async () => {
        const { open } = await import("@holdfast-dev/holdfast");
        const c = await (await open()).recover("c");
        await c.send({ id: "m" });
        let first = true;
        return await new Promise((resolve) => {
          const handler: Handler = async ({ step }) => {
            if (!first) await step("new", () => 0);
            for (let turn = 0; turn < 2; turn++) {
              const stepping = step("turn", () => turn);
              if (!first) resolve(told.failure(stepping));
              await stepping;
            }
            first = false;
            throw new Error("once more");
          };
          c.process(handler, { onError: () => undefined });
          c.subscribe(() => {
            if (c.state.message("m")?.status === "failed" && !first) void c.retry("m");
          });
        });
      }),
  },
  lost_ownership: {
    outcome: "permanent",
    operation: "process",
    story: (home) =>
      home.evaluate(async () => {
        const { open } = await import("@holdfast-dev/holdfast");
        const holdfast = await open();
        const c = await holdfast.recover("c");
        await c.send({ id: "m" });
        return await new Promise((resolve) => {
          c.process(
            async ({ step }) => {
              const stepping = step("wait", () => new Promise(() => undefined));
              resolve(told.failure(stepping));
              const other = await holdfast.recover("c");
              await other.recordProcessingStarted("m");
              await stepping;
            },
            { onError: () => undefined },
          );
        });
      }),
  },
  cancelled: {
    outcome: "not_written",
    operation: "process",
    story: (home) =>
      home.evaluate(async () => {
        const { open } = await import("@holdfast-dev/holdfast");
        const c = await (await open()).recover("c");
        await c.send({ id: "m" });
        return await new Promise((resolve) => {
          c.process(async ({ message, step }) => {
            const stepping = step("wait", () => new Promise(() => undefined));
            resolve(told.failure(stepping));
            await c.cancel(message.id);
            await stepping;
          });
        });
      }),
  },
  sequence_conflict: {
    outcome: "permanent",
    name: "SequenceConflictError",
    operation: "append",
    stream: "c",
    story: (home) =>
      home.evaluate(async () => {
        const { open, SequenceConflictError } = await import("@holdfast-dev/holdfast");
        const holdfast = await open();
        await holdfast.create("c").recordProcessingStarted("m");
        const late = holdfast.create("c");
        const thrown: unknown = await late.recordProcessingStarted("m").catch((error: unknown) => error);
        if (!(thrown instanceof SequenceConflictError) || thrown.expected !== 0 || thrown.actual !== 1) throw thrown;
        return told.failure(late.recordProcessingStarted("m"));
      }),
  },

  outcome_unknown: {
    outcome: "unknown",
    operation: "record processing started",
    stream: "c",
    story: (home) =>
      home.evaluate(async () => {
        const { open } = await import("@holdfast-dev/holdfast");
        const c = (await open()).create("c");
        await c.recordProcessingStarted("m");
        const { commit } = IDBTransaction.prototype; // oxlint-disable-line typescript/unbound-method
        const { open: openDatabase } = IDBFactory.prototype; // oxlint-disable-line typescript/unbound-method
        // The browser loses its storage process: the transaction ends with no reason, and nothing can be read.
        IDBTransaction.prototype.commit = function (): void {
          this.abort();
        };
        IDBFactory.prototype.open = () => {
          throw new DOMException("gone", "UnknownError");
        };
        const before = c.state;
        const failure = await told.failure(c.recordProcessingStarted("m"));
        IDBTransaction.prototype.commit = commit;
        IDBFactory.prototype.open = openDatabase;
        if (c.state !== before || c.expectedSeq !== 1) throw new Error("the state has changed");
        if ((await c.refresh()) !== 1) throw new Error("the event is there");
        if ((await c.recordProcessingStarted("m")) !== 1) throw new Error("it does not go on");
        return failure;
      }),
  },

  corrupt: {
    outcome: "permanent",
    operation: "recover",
    stream: "c",
    story: (home) =>
      home.evaluate(async () => {
        const { open } = await import("@holdfast-dev/holdfast");
        const holdfast = await open();
        await holdfast.create("c").recordError("m", "text");
        await holdfast.create("d").recordError("m", "text");
        const records = await told.objectStore("holdfast", "records");
        const [key] = await told.idb(records.getAllKeys());
        const value = new Uint8Array(await told.idb(records.get(key ?? "")));
        value.set([(value.at(-8) ?? 0) ^ 1], value.length - 8);
        await told.idb(records.put(value, key ?? ""));
        if ((await holdfast.recover("d")).expectedSeq !== 1) throw new Error("another conversation is affected");
        return told.failure(holdfast.recover("c"));
      }),
  },

  gap: {
    outcome: "permanent",
    operation: "recover",
    stream: "c",
    story: (home) =>
      home.evaluate(async () => {
        const { open } = await import("@holdfast-dev/holdfast");
        const holdfast = await open();
        const c = holdfast.create("c");
        for (let i = 0; i < 3; i++) await c.recordProcessingStarted("m");
        const records = await told.objectStore("holdfast", "records");
        const [, second] = await told.idb(records.getAllKeys());
        await told.idb(records.delete(second ?? ""));
        const codes = [await told.failure(c.events()), await told.failure(holdfast.recover("c"))].map((failure) => failure?.code);
        if (codes.join() !== "gap,gap") throw new Error(codes.join());
        if ((await c.events({ limit: 1 })).length !== 1) throw new Error("what is before it cannot be read");
        return told.failure(holdfast.recover("c"));
      }),
  },

  store_reset: {
    outcome: "permanent",
    operation: "refresh",
    stream: "c",
    story: (home) =>
      home.evaluate(async () => {
        const { open } = await import("@holdfast-dev/holdfast");
        const holdfast = await open();
        const c = holdfast.create("c");
        await c.recordProcessingStarted("m");
        const { epoch } = await holdfast.health();
        await told.idb(indexedDB.deleteDatabase("holdfast"));
        const codes = [c.recordProcessingStarted("m"), holdfast.recover("c"), holdfast.conversations(), holdfast.delete("c"), c.events()].map(
          async (call) => (await told.failure(call))?.code,
        );
        if (new Set(await Promise.all(codes)).size !== 1) throw new Error((await Promise.all(codes)).join());
        const fresh = await open();
        if ((await fresh.recover("c")).expectedSeq !== 0 || (await fresh.health()).epoch === epoch) throw new Error("it is not another one");
        return told.failure(c.refresh());
      }),
  },

  quota_exceeded: {
    outcome: "not_written",
    operation: "record message received",
    stream: "c",
    cause: /QuotaExceededError/,
    story: async (home) => {
      const { origin } = new URL(home.url());
      const cdp = await home.context().newCDPSession(home);
      // Before the first write of the origin, because its usage is cached.
      await cdp.send("Storage.overrideQuotaForOrigin", { origin, quotaSize: 1_000_000 });
      const c = await home.evaluateHandle(async () => {
        const { open } = await import("@holdfast-dev/holdfast");
        const holdfast = await open();
        const c = holdfast.create("c");
        await c.recordMessageReceived({ id: "small", body: "small" });
        return { holdfast, c };
      });
      const failure = await c.evaluate(async ({ holdfast, c }) => {
        const body = new Uint8Array(4 * 2 ** 20);
        for (let at = 0; at < body.length; at += 65_536) crypto.getRandomValues(body.subarray(at, at + 65_536));
        const before = c.state;
        const failure = await told.failure(c.recordMessageReceived({ id: "large", body }));
        if (c.state !== before || c.expectedSeq !== 1) throw new Error("the state has changed");
        if ((await holdfast.recover("c")).expectedSeq !== 1) throw new Error("reading does not go on");
        const { lastError } = await holdfast.health();
        if ((lastError as { code?: string } | undefined)?.code !== "quota_exceeded") throw new Error(`health tells ${String(lastError)}`);
        return failure;
      });
      await cdp.send("Storage.overrideQuotaForOrigin", { origin });
      expect(await c.evaluate(({ c }) => c.recordMessageReceived({ id: "large", body: new Uint8Array(4 * 2 ** 20) }))).toBe(1);
      return failure;
    },
  },

  too_large: {
    outcome: "permanent",
    operation: "recordMessageReceived",
    story: (home) =>
      home.evaluate(async () => {
        const { open } = await import("@holdfast-dev/holdfast");
        const c = (await open()).create("c");
        const limit = 8 * 2 ** 20;
        const codes = [
          c.recordMessageReceived({ id: "m", body: "x".repeat(limit) }),
          c.recordStepCompleted("m", 0, new Uint8Array(limit - 8)), // with what is around it
          c.recordStepCompleted("m", 0, Array(limit + 1).fill(0)),
          c.recordError("m", "x".repeat(limit + 1)),
          c.recordError("m", "€".repeat(limit / 2)),
        ].map(async (call) => (await told.failure(call))?.code);
        const found = (await Promise.all(codes)).join();
        if (found !== Array(5).fill("too_large").join()) throw new Error(found);
        if ((await c.recordStepCompleted("m", 0, new Uint8Array(limit - 100))) !== 0) throw new Error("it does not go on");
        return told.failure(c.recordMessageReceived({ id: "m", body: new Uint8Array(limit + 1) }));
      }),
  },

  invalid_argument: {
    outcome: "permanent",
    operation: "recover",
    story: (home) =>
      home.evaluate(async () => {
        const { open } = await import("@holdfast-dev/holdfast");
        const foreign = await new Promise<IDBDatabase>((resolve) => {
          const opening = indexedDB.open("foreign", 1);
          opening.onupgradeneeded = () => opening.result.createObjectStore("theirs");
          opening.onsuccess = () => resolve(opening.result);
        });
        const failure = await told.failure(open({ database: "foreign" }));
        if (failure?.code !== "invalid_argument" || !failure.message.includes("not Holdfast's")) throw new Error(failure?.message);
        if (foreign.objectStoreNames.length !== 1) throw new Error("it has changed what is not its own");
        const holdfast = await open();
        const c = holdfast.create("c");
        for (const name of ["", "a\0b", "\ud800", "x".repeat(1025), "€".repeat(342), "x".repeat(2 ** 26)]) {
          const calls = [() => holdfast.create(name), () => holdfast.recover(name), () => holdfast.delete(name), () => c.recordProcessingStarted(name)];
          const codes = await Promise.all(calls.map(async (call) => (await told.failure(call))?.code));
          if (new Set(codes).size !== 1 || codes[0] !== "invalid_argument") throw new Error(`${name.slice(0, 9)}: ${codes.join()}`);
        }
        return told.failure(holdfast.recover(""));
      }),
  },

  unsupported_version: {
    outcome: "permanent",
    operation: "open",
    story: (home) =>
      home.evaluate(async () => {
        const { open } = await import("@holdfast-dev/holdfast");
        const holdfast = await open();
        await holdfast.create("c").recordProcessingStarted("m");
        await holdfast.close();
        const bytes = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);
        const write = async (format: string): Promise<unknown> =>
          told.idb((await told.objectStore("holdfast", "meta")).put(bytes(format), bytes("format")));
        await write("3");
        const failure = await told.failure(open());
        await write("2");
        if ((await (await open()).recover("c")).expectedSeq !== 1) throw new Error("it was written to");
        await told.idb(indexedDB.open("newer", 2));
        const newer = await told.failure(open({ database: "newer" }));
        if (newer?.code !== failure?.code) throw new Error(newer?.message);
        return failure;
      }),
  },

  out_of_range: {
    outcome: "permanent",
    operation: "receive message",
    stream: "c",
    story: (home) =>
      home.evaluate(async () => {
        const { open } = await import("@holdfast-dev/holdfast");
        const c = (await open()).create("c");
        await c.receiveMessage({ id: "m" });
        const beyond = await told.failure(c.recordStepCompleted("m", 2 ** 32));
        if (beyond?.code !== "out_of_range") throw new Error(beyond?.message);
        await c.recordStepCompleted("m", 2 ** 32 - 1);
        return told.failure(c.receiveMessage({ id: "m" }));
      }),
  },

  blocked: {
    outcome: "not_written",
    operation: "open",
    story: (home) =>
      home.evaluate(async () => {
        const { open } = await import("@holdfast-dev/holdfast");
        await (await open()).close();
        const ignorant = await told.idb(indexedDB.open("holdfast")); // does not listen to versionchange
        const deletion = indexedDB.deleteDatabase("holdfast");
        const failure = await told.failure(open({ timeout: 300 }));
        ignorant.close();
        await told.idb(deletion);
        // The request that nobody waits for any more has made no database without object stores.
        const codes = [(await told.failure(open()))?.code, (await told.failure(open()))?.code];
        if (codes.join() !== "store_reset,") throw new Error(codes.join());
        return failure;
      }),
  },

  closed: {
    outcome: "permanent",
    story: (home) =>
      home.evaluate(async () => {
        const { open } = await import("@holdfast-dev/holdfast");
        const holdfast = await open();
        await holdfast.close();
        return told.failure(holdfast.recover("c"));
      }),
  },

  storage_unavailable: {
    outcome: "not_written",
    operation: "open",
    cause: /UnknownError: Internal error opening backing store/,
    story: (home) =>
      home.evaluate(async () => {
        const { open } = await import("@holdfast-dev/holdfast");
        let tries = 0;
        IDBFactory.prototype.open = function (): IDBOpenDBRequest {
          tries++;
          const request = new EventTarget() as IDBOpenDBRequest;
          Object.defineProperty(request, "error", { value: new DOMException("Internal error opening backing store", "UnknownError") });
          queueMicrotask(() => request.onerror?.(new Event("error")));
          return request;
        };
        const failure = await told.failure(open());
        if (tries < 1 || tries > 3) throw new Error(`${tries} tries`);
        return failure;
      }),
  },

  instance_lost: {
    outcome: "not_written",
    operation: "open",
    story: (home) =>
      home.evaluate(async () => {
        const { open } = await import("@holdfast-dev/holdfast");
        return told.failure(open({ wasm: Promise.reject(new Error("offline")) }));
      }),
  },
};

test("the codes are those of Go, in the same order, and each is reached or listed as out of reach", async ({ home }) => {
  const source = readFileSync(new URL("../../core/errors.go", import.meta.url), "utf8");
  const inGo = [...source.matchAll(/^\tErr\w+\s+Code = "(\w+)"$/gm)].map(([, code]) => code);
  const inTypeScript = await home.evaluate(async () => (await import("@holdfast-dev/holdfast")).errorCodes);
  expect(inGo).toHaveLength(18);
  expect(inTypeScript).toEqual(inGo);
  expect([...Object.keys(reached), ...Object.keys(outOfReach)].sort()).toEqual([...inTypeScript].sort());
});

for (const [code, { story, name = "HoldfastError", outcome, operation, stream, cause }] of Object.entries(reached)) {
  test(code, async ({ home }) => {
    const failure = await story(home);
    expect(failure).toMatchObject({ code, name, outcome });
    expect(failure?.message).toMatch(/^holdfast: /);
    expect(failure?.message).toContain(code);
    if (operation !== undefined) expect(failure?.operation).toBe(operation);
    if (stream !== undefined) expect(failure?.stream).toBe(stream);
    if (cause !== undefined) expect(failure?.cause).toMatch(cause);
  });
}

// Bodies and outputs come back as they were given, or are refused.
import type { HoldfastError } from "@holdfast-dev/holdfast";
import { expect, onEachStore, test } from "./harness/holdfast.js";

onEachStore(() => {
  test("what was made in a frame is stored as what it is", async ({ holdfast }) => {
    const stored = await holdfast.evaluate(async (holdfast) => {
      const frame = document.body.appendChild(document.createElement("iframe"));
      const { Uint8Array: Bytes, Date: Time, Array: List, Object: Plain } = frame.contentWindow as Window & typeof globalThis;
      const c = holdfast.create("c");
      await c.send({ id: "m", body: Plain.fromEntries(List.of(["bytes", Bytes.of(1, 2)], ["at", new Time(5)])) as { bytes: Uint8Array; at: Date } });
      const { bytes, at } = (c.state.message("m")?.body ?? {}) as { bytes?: unknown; at?: unknown };
      return [bytes instanceof Uint8Array && [...bytes], at instanceof Date && at.getTime()];
    });
    expect(stored).toEqual([[1, 2], 5]);
  });

  test("what can be stored comes back equal, as body and as output, live, from the log and replayed", async ({ holdfast }) => {
    const { different, count } = await holdfast.evaluate(async (holdfast) => {
      const bytes = Uint8Array.from({ length: 300 }, (_, i) => i % 256);
      let deep: unknown = "leaf";
      for (let i = 0; i < 32; i++) deep = i % 2 ? [deep] : { deep };
      const given: readonly (readonly [string, unknown])[] = [
        ["null", null],
        ["undefined", undefined],
        ["true", true],
        ["false", false],
        ...[0, 1, -1, 31, 32, 127, 128, 255, 256, -32, -33, -128, -129, 65_535, 65_536, -32_768, -32_769].map((n) => [`${n}`, n] as const),
        ...[2 ** 31, -(2 ** 31), 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1, -(2 ** 53) + 1, 2 ** 53, 2 ** 60].map((n) => [`${n}`, n] as const),
        ...[0.5, -0.1, 1e-320, Number.MIN_VALUE, Number.MAX_VALUE, Math.PI, NaN, Infinity, -Infinity].map((n) => [`${n}`, n] as const),
        ["empty string", ""],
        ["string", "naïve 中文 \ufeff\ufffd\uffff"],
        ["astral string", "😀\u{10ffff}\u{10000}"],
        ["string with NUL", "\0a\0"],
        ["string of 31, 32, 255, 256 and 65,536 bytes", [31, 32, 255, 256, 65_536].map((n) => "x".repeat(n))],
        ...[1, 31, 32, 255, 256].flatMap((n) => ["x".repeat(n), `${"x".repeat(n - 1)}é`].map((text) => [`a string of ${n}, ${text.at(-1)}`, text] as const)),
        ...Array.from({ length: 50 }, (_, i) => [`string ${i}`, String.fromCharCode(0x20 + i).repeat(200 + i)] as const),
        ["long texts that begin with U+FEFF", ["\ufeff".repeat(100), `\ufeff${"x".repeat(300)}`, { [`\ufeff${"k".repeat(300)}`]: "" }]],
        ["1 MiB string", "0123456789abcdef".repeat(65_536)],
        ["empty bytes", new Uint8Array()],
        ["bytes", bytes],
        ["a part of a buffer", bytes.subarray(100, 120)],
        ["1 MiB bytes", new Uint8Array(2 ** 20).fill(7)],
        ["the epoch", new Date(0)],
        ["a date", new Date("2024-02-29T12:34:56.789Z")],
        ["a date before the epoch", new Date(-1)],
        ["the first and the last date", [new Date(-8.64e15), new Date(8.64e15)]],
        ["empty array", []],
        ["array", [1, "two", null, [3, [4]], { five: 5 }]],
        ["array of 20", Array.from({ length: 20 }, (_, i) => i)],
        ["array of 70,000", Array.from({ length: 70_000 }, (_, i) => i)],
        ["empty object", {}],
        ["object", { "": 1, a: { b: [{ c: new Date(1), d: bytes }] }, "1": null, toString: "x", constructor: 1, toJSON: 2, "k\0": 3, "😀": 4 }],
        ["object of 20", Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`k${i}`, i]))],
        ["nested 32 deep", deep],
        ["the same object twice", ((x) => [x, x])({ x: 1 })],
      ];

      const same = (a: unknown, b: unknown): boolean => {
        if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return Object.is(a, b);
        if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false;
        if (a instanceof Date) return a.getTime() === (b as Date).getTime();
        if (a instanceof Uint8Array) return a.length === (b as Uint8Array).length && a.every((byte, i) => byte === (b as Uint8Array)[i]);
        const keys = Object.keys(a);
        return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && same(Reflect.get(a, key), Reflect.get(b, key)));
      };

      const c = holdfast.create("c");
      await c.recordMessageReceived({ id: "outputs" });
      await Promise.all(
        given.flatMap(([name, value], i) => [
          c.recordMessageReceived({ id: name, body: value as string }),
          c.recordStepCompleted("outputs", i, value as string),
        ]),
      );
      const different: string[] = [];
      for (const [how, { state }] of [["live", c], ["replayed", await holdfast.recover("c")]] as const) {
        given.forEach(([name, value], i) => {
          if (!same(state.message(name)?.body, value)) different.push(`${how}: body ${name}`);
          if (!same(state.completedStep("outputs", i)?.output, value)) different.push(`${how}: output ${name}`);
        });
      }
      const events = await c.events({ from: 1 });
      given.forEach(([name, value], i) => {
        const [received, completed] = [events[2 * i], events[2 * i + 1]];
        if (received?.kind !== "message_received" || !same(received.body, value)) different.push(`events: body ${name}`);
        if (completed?.kind !== "step_completed" || !same(completed.output, value)) different.push(`events: output ${name}`);
      });
      return { different, count: given.length };
    });
    expect(different).toEqual([]);
    expect(count).toBeGreaterThan(50);
  });

  test("ids and texts of all alphabets and lengths come back as they were, recorded alone and with others", async ({ holdfast }) => {
    const { given, found } = await holdfast.evaluate(async (holdfast) => {
      const texts = ["a", "ü", "aü", "üa", "中文", "😀", "\u007f\u0080\u07ff\u0800\uffff\u{10ffff}"];
      for (const length of [1, 63, 64, 65, 200]) texts.push("x".repeat(length), `${"x".repeat(length)}ü`, `ü${"x".repeat(length)}`, "é".repeat(length));
      const given = [...new Set(texts)];
      const found: Record<string, readonly (string | undefined)[]> = {};
      for (const together of [false, true]) {
        const c = holdfast.create(`c ${together}`);
        const appends = given.flatMap((text, i) => [() => c.recordProcessingStarted(text), () => c.recordError(text, text), () => c.recordError(`empty ${i}`, "")]);
        if (together) await Promise.all(appends.map((append) => append()));
        else for (const append of appends) await append();
        const { state } = await holdfast.recover(c.id);
        found[`events, ${together}`] = (await c.events()).flatMap((event) => (event.kind === "processing_started" ? [event.messageId] : []));
        found[`errors, ${together}`] = given.map((text) => state.error(text));
        found[`empty, ${together}`] = given.map((_, i) => state.error(`empty ${i}`));
      }
      return { given, found };
    });
    for (const [name, texts] of Object.entries(found)) expect(texts, name).toEqual(name.startsWith("empty") ? given.map(() => "") : given);
  });

  test("no body is no body, no output is no output, and null is null", async ({ holdfast }) => {
    const stored = await holdfast.evaluate(async (holdfast) => {
      const c = holdfast.create("c");
      await c.recordMessageReceived({ id: "without" });
      await c.recordMessageReceived({ id: "null", body: null });
      await c.recordStepCompleted("null", 0);
      await c.recordStepCompleted("null", 1, null);
      await c.recordStepCompleted("null", 2, new Uint8Array());
      return told.messages((await holdfast.recover("c")).state);
    });
    expect(stored).toMatchObject([
      { id: "without", body: undefined, steps: [] },
      { id: "null", body: null, steps: [{ output: undefined }, { output: null }, { output: new Uint8Array() }] },
    ]);
  });

  test("what differs is what has no counterpart, and of what was paid for what is hidden", async ({ holdfast }) => {
    const stored = await holdfast.evaluate(async (holdfast) => {
      const c = holdfast.create("c");
      const marked = Object.defineProperty({ a: 1 }, Symbol("of a library"), { value: 1 });
      await c.recordMessageReceived({ id: "m", body: { left: undefined, zero: [-0, 0], marked, bare: Object.create(null) as Record<string, string> } });
      const body = c.state.message("m")?.body as { zero: number[]; bare: object };
      c.process(async ({ step }) => {
        const answer = await step("ask", () => Object.defineProperties({ text: "hi", [Symbol("s")]: 1 }, { _request_id: { value: "r" } }));
        return [Object.keys(answer), Object.getOwnPropertyNames(answer), Object.getOwnPropertySymbols(answer).length];
      });
      while (c.state.message("m")?.status !== "finished") await new Promise(requestAnimationFrame);
      return [Object.entries(body), body.zero.map((zero) => Object.is(zero, -0)), Object.getPrototypeOf(body.bare) === Object.prototype, c.state.message("m")?.result];
    });
    expect(stored).toEqual([
      [
        ["zero", [-0, 0]],
        ["marked", { a: 1 }],
        ["bare", {}],
      ],
      [true, false],
      true,
      [["text"], ["text"], 0],
    ]);
  });

  test("what was paid for is not lost for what it holds by chance: a step and a result are made storable", async ({ holdfast }) => {
    const stored = await holdfast.evaluate(async (holdfast) => {
      const c = holdfast.create("c");
      let calls = 0;
      const found = (): unknown => {
        calls++;
        const match = /(?<year>\d+)/.exec("in 2026");
        return { list: [1, undefined, 2], hole: Array(2), at: new Date(NaN), text: "a\ud800", ["k\udc00"]: 1, tool: JSON.parse('{"__proto__":{"evil":1},"a":1}') as unknown, match, void: undefined };
      };
      c.process(async ({ step }) => {
        const first = await step("ask", found);
        return { first, own: found(), proto: ({} as { evil?: number }).evil };
      });
      await c.send({ id: "m" });
      const { result, steps, status } = await c.ended("m");
      return { status, result, output: steps[0]?.output, calls, replayed: (await holdfast.recover("c")).state.message("m")?.result };
    });
    const kept = { list: [1, null, 2], hole: [null, null], at: null, text: "a\ufffd", "k\ufffd": 1, tool: { a: 1 }, match: ["2026", "2026"] };
    expect(stored).toEqual({ status: "finished", calls: 2, output: kept, result: { first: kept, own: kept }, replayed: { first: kept, own: kept } });
  });

  test("what would not come back as it was is refused, and says where it is", async ({ holdfast }) => {
    const refused = await holdfast.evaluate(async (holdfast) => {
      const cyclic: unknown[] = [];
      cyclic.push(cyclic, cyclic);
      let deep: unknown = null;
      for (let i = 0; i < 33; i++) deep = [deep];
      const detached = new Uint8Array(8);
      structuredClone(detached.buffer, { transfer: [detached.buffer] });
      const buffer = new ArrayBuffer(8, { maxByteLength: 8 });
      const shrunk = new Uint8Array(buffer, 4, 4);
      buffer.resize(4);
      const values: readonly (readonly [string, unknown])[] = [
        ["a function", () => 1],
        ["a symbol", Symbol("s")],
        ["a bigint", 1n],
        ["a lone surrogate", "a\ud800"],
        ["a key with a lone surrogate", { "\udc00": 1 }],
        ["an invalid date", new Date(NaN)],
        ["undefined in an array", [undefined]],
        ["a hole in an array", Array(2)],
        ["too deep", deep],
        ["a cycle", cyclic],
        ["a map", new Map()],
        ["an error", new Error("e")],
        ["an instance", new URL("https://example.org")],
        ["a wrapped string", Object("s")],
        ["other numbers", new Float64Array(1)],
        ["a buffer", new ArrayBuffer(1)],
        ["a detached buffer", detached],
        ["a buffer that has shrunk", shrunk],
        ["an array with a property", Object.assign([1], { total: 1 })],
        ["a match", /(?<year>\d+)/.exec("in 2026")],
        ["a property under a symbol", { [Symbol.for("k")]: 1, a: 1 }],
        ["an array with a property under a symbol", Object.assign([1], { [Symbol("s")]: 1 })],
        ["an array with a hidden property", Object.defineProperty([1], "raw", { value: [1] })],
        ["a hidden property", Object.defineProperty({ a: 1 }, "b", { value: 2 })],
        ["the key __proto__", JSON.parse('{"__proto__":1}')],
      ];
      const c = holdfast.create("c");
      const answers: [string, unknown][] = [];
      for (const [name, value] of values) {
        const given = { at: [0, value] } as unknown as string;
        const failures = await Promise.all([
          told.failure(c.receiveMessage({ id: "m", body: given })),
          told.failure(c.recordMessageReceived({ id: "m", body: given })),
          told.failure(c.recordStepCompleted("m", 0, given)),
        ]);
        answers.push([name, failures.map((f) => [f?.code, f?.operation, f?.outcome, /(body|output)/.test(f?.message ?? "")])]);
      }
      const where = await c.receiveMessage({ id: "m", body: { at: [0, [() => 1]] } as unknown as string }).catch((error: HoldfastError) => error.message);
      return { answers, where, expectedSeq: c.expectedSeq, events: await c.events() };
    });
    const expected = ["receiveMessage", "recordMessageReceived", "recordStepCompleted"].map((op) => ["invalid_argument", op, "permanent", true]);
    for (const [name, answer] of refused.answers) expect.soft(answer, name).toEqual(expected);
    expect(refused.where).toBe(
      "holdfast: receiveMessage: invalid_argument: body.at[1][0] is a value of type function, which cannot be stored; convert it to a string or a number",
    );
    expect(refused).toMatchObject({ expectedSeq: 0, events: [] });
  });

  test("getters and proxies are read once: what is stored is what was checked", async ({ holdfast }) => {
    const stored = await holdfast.evaluate(async (holdfast) => {
      let reads = 0;
      const answers = ["fine", "\ud800"];
      const body = {
        get changing() {
          return answers[reads++] ?? "";
        },
      };
      const c = holdfast.create("c");
      let ids = 0;
      await c.recordMessageReceived({
        get id() {
          return ids++ === 0 ? "m" : "\ud800";
        },
        body,
      });
      return { reads, ids, messages: told.messages(c.state) };
    });
    expect(stored).toMatchObject({ reads: 1, ids: 1, messages: [{ id: "m", body: { changing: "fine" } }] });
  });

  test("values of all sizes are stored in turn, while the memory of the program grows", async ({ holdfast }) => {
    const wrong = await holdfast.evaluate(async (holdfast) => {
      const c = holdfast.create("c");
      // Around the 16 KiB that a small event has to itself, and the 256 KiB that a part of the state has.
      const sizes = [0, 1, 5_000, 5_431, 5_442, 16_000, 16_300, 16_384, 2 ** 18, 7_000_000, 3, 7_000_000, 0, 16_350];
      const value = (i: number): string | Uint8Array => (i % 2 ? new Uint8Array(sizes[i] ?? 0).fill(i) : "é".repeat((sizes[i] ?? 0) / 2));
      for (const i of sizes.keys()) {
        await c.receiveMessage({ id: `m${i}`, body: "small" });
        await c.recordStepCompleted(`m${i}`, i, value(i));
        await c.recordError(`m${i}`, "ü".repeat((sizes[i] ?? 0) / 10));
      }
      const wrong: string[] = [];
      for (const [name, { state }] of Object.entries({ c, recovered: await holdfast.recover("c"), clone: c.clone() })) {
        if (state.messages.length !== sizes.length) wrong.push(`${name}: ${state.messages.length} messages`);
        for (const [i, message] of state.messages.entries()) {
          const output = message.steps[0]?.output as string | Uint8Array | undefined;
          const wanted = value(i);
          const same = typeof wanted === "string" ? output === wanted : output instanceof Uint8Array && output.length === wanted.length && output.every((item) => item === i);
          if (!same || message.body !== "small" || message.error !== "ü".repeat((sizes[i] ?? 0) / 10)) wrong.push(`${name}: ${message.id}`);
        }
      }
      return wrong;
    });
    expect(wrong).toEqual([]);
  });
});

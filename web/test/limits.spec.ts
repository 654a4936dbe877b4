// Names and sequences at the edge of what JavaScript can tell apart; memory at the edge of what the browser gives.
import { expect, test } from "./harness/holdfast.js";

const seed = Number(process.env["NAMES_SEED"] ?? 1);

test("a stream ends at sequence 2^53-1: no sequence is rounded, and the next is out_of_range", async ({ home }) => {
  const facts = await home.evaluate(async () => {
    const { open } = await import("@holdfast-dev/holdfast");
    const holdfast = await open();
    await holdfast.create("c").recordProcessingStarted("m");
    await holdfast.delete("c");
    // Moves its tombstone to the end of the numbers: the record as idbstore/record.go has it.
    const sequence = 2 ** 53 - 3;
    const uvarint = (value: bigint): number[] => (value < 128n ? [Number(value)] : [Number(value & 127n) | 128, ...uvarint(value >> 7n)]);
    const castagnoli = (bytes: readonly number[]): number => {
      let crc = -1;
      for (const byte of bytes) {
        crc ^= byte;
        for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
      }
      return ~crc;
    };
    const body = [1, 1, ...uvarint(BigInt(sequence)), 1, 0];
    const record = new DataView(new ArrayBuffer(body.length + 4));
    body.forEach((byte, i) => record.setUint8(i, byte));
    record.setUint32(body.length, castagnoli(["c".charCodeAt(0), 0, ...body]), true);
    const key = new DataView(new ArrayBuffer(11));
    key.setUint8(0, "c".charCodeAt(0));
    key.setBigUint64(2, BigInt(sequence + 1));
    key.setUint8(10, 1);
    const records = await told.objectStore("holdfast", "records");
    await told.idb(records.clear());
    await told.idb(records.put(new Uint8Array(record.buffer), key.buffer));

    const c = await holdfast.recover("c");
    const late = c.clone();
    const sequences = [c.expectedSeq, await c.recordProcessingStarted("m"), await c.recordProcessingFinished("m").catch(String), c.expectedSeq];
    const failures = await Promise.all(
      [c.recordStepCompleted("m", 0), c.receiveMessage({ id: "n" }), c.send({ id: "n" }), holdfast.delete("c")].map(async (call) => {
        const { code, outcome } = (await told.failure(call)) ?? {};
        return `${code} ${outcome}`;
      }),
    );
    const conflict = await told.failure(late.recordProcessingFinished("m"));
    return {
      sequences,
      failures,
      conflict: [conflict?.expected, conflict?.actual],
      events: (await c.events({ from: sequence })).map(({ sequence, kind }) => [sequence, kind]),
      recovered: (await holdfast.recover("c")).expectedSeq,
      heads: (await holdfast.conversations()).map(({ head }) => head),
    };
  });
  const last = 2 ** 53 - 1;
  expect(facts).toEqual({
    sequences: [last - 1, last - 1, expect.stringContaining("out_of_range"), last],
    failures: Array(4).fill("out_of_range permanent"),
    conflict: [last - 1, last],
    events: [[last - 2, "deleted"], [last - 1, "processing_started"]],
    recovered: last,
    heads: [last],
  });
});

test("names of any characters are refused, or are different conversations and messages", async ({ holdfast }) => {
  const report = await holdfast.evaluate(async (holdfast, seed) => {
    let state = seed;
    /** mulberry32 */
    const random = (below: number): number => {
      state = (state + 0x6d2b79f5) | 0;
      let t = Math.imul(state ^ (state >>> 15), 1 | state);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
    };
    // What looks alike, folds into another, or sorts otherwise in UTF-16; half of a pair may meet its other half.
    const units = ["\ud83d", "\ude00", "\udc00", "\ufffd", "\0", "\u0001", "e", "é", "e\u0301", "a", "A", "/", "\u00ff", "\u07ff", "\u0800", "\uffff", "\ufeff", "\u200d", " "];
    const bytes = new TextEncoder();
    const names = new Set(Array.from({ length: 400 }, () => Array.from({ length: random(4) }, () => units[random(units.length)]).join("")));
    const good = [...names].filter((name) => name !== "" && name.isWellFormed() && !name.includes("\0"));
    const faults: string[] = [];
    const { open } = await import("@holdfast-dev/holdfast");
    await (await open({ database: "\ufeffholdfast" })).create("ids").recordProcessingStarted("m"); // U+FEFF is no mark here
    const ids = holdfast.create("ids");
    for (const name of names) {
      const valid = good.includes(name);
      const failures = [await told.failure(async () => holdfast.create(name).recordProcessingStarted(name)), await told.failure(ids.recordProcessingStarted(name))];
      for (const failure of failures) if (failure?.code !== (valid ? undefined : "invalid_argument")) faults.push(`${escape(name)}: ${failure?.code}`);
    }
    const listed = (await holdfast.conversations()).map(({ id, head }) => `${id} ${id === "ids" ? good.length : 1} ${head}`);
    const expected = [...good, "ids"].map((name) => {
      const head = name === "ids" ? good.length : 1;
      return { key: [...bytes.encode(name)].map((byte) => String.fromCharCode(byte)).join(""), line: `${name} ${head} ${head}` };
    });
    expected.sort((a, b) => (a.key < b.key ? -1 : 1)); // UTF-16 of bytes is the order of bytes
    const recorded = (await ids.events({ limit: 1000 })).map((event) => ("messageId" in event ? event.messageId : ""));
    return {
      faults,
      listed: JSON.stringify(listed) === JSON.stringify(expected.map(({ line }) => line)),
      recorded: JSON.stringify(recorded) === JSON.stringify(good),
      tried: [good.length, names.size - good.length],
    };
  }, seed);
  expect(report, `NAMES_SEED=${seed}`).toMatchObject({ faults: [], listed: true, recorded: true });
  expect(Math.min(...report.tried), "some of both").toBeGreaterThan(50);
});

test("an instance that runs out of memory dies, and the next one has what was acknowledged", { tag: "@launch" }, async ({ launch, server }) => {
  const page = await (await launch({ args: ["--js-flags=--wasm-max-mem-pages=1000"] })).newPage(); // of 64 KiB
  await page.goto(server.origin);
  const facts = await page.evaluate(async () => {
    const { open, HoldfastError } = await import("@holdfast-dev/holdfast");
    const c = (await open()).create("c");
    await c.recordProcessingStarted("m");
    const ends = await Promise.allSettled(Array.from({ length: 16 }, (_, i) => c.recordStepCompleted("m", i, new Uint8Array(7 * 2 ** 20))));
    const codes = ends.map((end) => (end.status === "fulfilled" ? end.value : end.reason instanceof HoldfastError ? `${end.reason.code} ${end.reason.outcome}` : end.reason));
    const fresh = await (await open()).recover("c");
    const seq = fresh.expectedSeq;
    return { codes, seq, next: await fresh.recordProcessingFinished("m") };
  });
  const acknowledged = facts.codes.filter((code) => typeof code === "number");
  expect(facts.codes.slice(acknowledged.length), "it did run out of memory").toContain("instance_lost unknown");
  expect(new Set(facts.codes.slice(acknowledged.length)).size, "and nothing else").toBe(1);
  expect(acknowledged).toEqual(acknowledged.map((_, i) => i + 1));
  expect(facts.seq).toBeGreaterThan(acknowledged.length);
  expect(facts.next).toBe(facts.seq);
});

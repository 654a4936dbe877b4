// Bytes from anywhere as stored bodies and outputs, in node: decoding them takes time and memory in proportion, and gives a value or `corrupt`.
import { getHeapStatistics } from "node:v8";
import { encode, ExtData } from "@msgpack/msgpack";
import { HoldfastError } from "../../dist/errors.js";
import { decodeValue, decodeValues, encodeValue } from "../../dist/values.js";
import { random } from "../harness/random.js";
import { test } from "../harness/test.js";

const inputs = Number(process.env["FUZZ_INPUTS"] ?? 20_000);
const seed = Number(process.env["FUZZ_SEED"] ?? Date.now() % 2 ** 31);

/** Bytes of memory for each byte: the smallest object has one byte. */
const share = 256;
const slowest = 2_000;

function nested(depth: number): unknown {
  let value: unknown = 0;
  for (let i = 0; i < depth; i++) value = i % 2 === 0 ? [value] : { value };
  return value;
}

const hex = (digits: string): Uint8Array => Uint8Array.from(Buffer.from(digits, "hex"));
const large = (head: string, size: number): Uint8Array => Uint8Array.from(Buffer.concat([Buffer.from(head, "hex"), Buffer.alloc(size, head, "hex")]));

const seeds: readonly Uint8Array[] = [
  ...[null, true, 1.5, -7, 2 ** 40, "naïve 😀", new Date(1e12), new Date(-1), new Uint8Array(300), [], {}, [1, [2, { a: [3], b: "x" }]], nested(32), new ExtData(5, new Uint8Array(9))].map((value) => encode(value)),
  encode({ text: "What does a holdfast do?", at: new Date(0), list: Array.from({ length: 40 }, (_, i) => i) }),
  ...["dd01ffffff", "ddffffffff", "df01ffffff", "dfffffffff", "c6ffffffff", "dbffffffff", "c9ffffffff05", "dcffff", "deffff", "c1", "d6ff00000000", "c70cff"].map(hex),
  ...["dd01ffffff", "dd00000fff", "9f", "91", "8100", "dcffff", "df00000fff00", "80", "90", "81a0"].map((head) => large(head, 4096)),
];

/** The types of msgpack that have a length, and bytes that lengths are made of. */
const interesting = [0, 1, 0x7f, 0x80, 0x81, 0x8f, 0x90, 0x91, 0x9f, 0xa0, 0xbf, ...Array.from({ length: 32 }, (_, i) => 0xc0 + i), 0xe0, 0xff];

/** Where a mutation is made: of at most 600 bytes, each of six changes may make 100 more. */
const room = new Uint8Array(2048);

function mutate(next: () => number): Uint8Array {
  const pick = (n: number): number => Math.floor(next() * n);
  const some = (): Uint8Array => seeds[pick(seeds.length)] ?? room.subarray(0, 0);
  const byte = (): number => (pick(3) === 0 ? pick(256) : (interesting[pick(interesting.length)] ?? 0));
  let length = 0;
  const insert = (at: number, bytes: Uint8Array): void => {
    room.copyWithin(at + bytes.length, at, length);
    room.set(bytes, at);
    length += bytes.length;
  };
  insert(0, some().subarray(0, 1 + pick(600)));
  for (let n = pick(6); n >= 0; n--) {
    const at = pick(length + 1);
    switch (pick(5)) {
      case 0:
        room[at] = byte();
        length = Math.max(length, at + 1);
        break;
      case 1:
        insert(at, Uint8Array.from({ length: 1 + pick(5) }, byte));
        break;
      case 2: {
        const end = Math.min(length, at + 1 + pick(4));
        room.copyWithin(at, end, length);
        length -= end - at;
        break;
      }
      case 3:
        length = at;
        insert(at, some().subarray(0, 100));
        break;
      default:
        insert(at, room.slice(at, Math.min(length, at + pick(50))));
    }
  }
  return room.slice(0, length);
}

/** Decodes, and checks what that has cost. Memory that is freed meanwhile does not count, nor what is used only once. */
function cost(bytes: Uint8Array, decoding: (bytes: Uint8Array) => unknown): unknown {
  let least = Infinity;
  let value: unknown;
  const bound = 65_536 + share * bytes.length;
  for (let i = 0; i < 5 && least > bound; i++) {
    const since = performance.now();
    const before = used();
    try {
      value = decoding(bytes);
    } catch (error) {
      if (!(error instanceof HoldfastError) || error.code !== "corrupt") throw new Error(`untyped: ${String(error)}`, { cause: error });
      value = undefined;
    }
    least = Math.min(least, used() - before);
    const took = performance.now() - since;
    if (took > slowest) throw new Error(`it took ${took} ms`);
  }
  if (least > bound) throw new Error(`${least} bytes of memory for ${bytes.length}, the bound is ${bound}`);
  return value;
}

function used(): number {
  const { used_heap_size: heap, external_memory: external } = getHeapStatistics();
  return heap + external;
}

function attack(bytes: Uint8Array): void {
  cost(bytes, decodeValues);
  const value = cost(bytes, decodeValue);
  let once: Uint8Array | undefined;
  try {
    once = encodeValue("test", "the value", value);
  } catch (error) {
    if (error instanceof HoldfastError) return; // what others can write and Holdfast would not
    throw error;
  }
  const twice = encodeValue("test", "the value", decodeValue(once ?? null));
  if (Buffer.compare(twice ?? new Uint8Array(), once ?? new Uint8Array()) !== 0) throw new Error("what is decoded does not come back equal");
}

test("bytes from anywhere, as a body or an output", { tag: "@long" }, () => {
  test.setTimeout(0);
  Error.stackTraceLimit = 0; // stacks take much of the time
  const next = random(seed);
  for (let n = 0; n < inputs; n++) {
    const bytes = n < seeds.length ? (seeds[n] ?? new Uint8Array()) : mutate(next);
    try {
      attack(bytes);
    } catch (error) {
      throw new Error(`input ${n} of seed ${seed}, ${Buffer.from(bytes).toString("hex")}: ${String(error)}`, { cause: error });
    }
  }
  console.log(`result: hostile values in JavaScript: ${inputs} inputs, seed ${seed}`);
});

import { Encoder } from "@msgpack/msgpack";
import { isPlain, kindOf, maxPayloadBytes, refuse, refuseSize, refuseUnread, repaired, wellFormed } from "./check.js";
import { HoldfastError } from "./errors.js";
import { decodeOwn, decodeOwnMulti } from "./state/decode.js";

// Bodies and outputs are msgpack, with Date as the timestamp extension. To the
// Go side they are opaque bytes.

/** Nesting that is still taken; msgpack decoders commonly refuse more. */
const maxDepth = 32;

/** The class with private members. Its version is pinned, and a test fails if they are gone. */
interface Insides extends Pick<Encoder, "encode"> {
  encodeNumber(number: number): void;
  encodeNumberAsFloat(number: number): void;
  encodeString(text: string): void;
  writeStringHeader(byteLength: number): void;
  writeU8a(bytes: Uint8Array): void;
}

/** From this length on the browser encodes a text; the library counts its bytes in a loop first. */
const longText = 1024;

/** Keeps the sign of -0, which the library writes as the integer 0, and is faster with long texts. */
class ExactEncoder extends (Encoder as unknown as new (options: { readonly maxDepth: number; readonly ignoreUndefined: boolean }) => Insides) {
  override encodeNumber(number: number): void {
    if (Object.is(number, -0)) this.encodeNumberAsFloat(number);
    else super.encodeNumber(number);
  }

  override encodeString(text: string): void {
    if (text.length < longText) {
      super.encodeString(text);
      return;
    }
    const utf8 = utf8Encoder.encode(text);
    this.writeStringHeader(utf8.byteLength);
    this.writeU8a(utf8);
  }
}

const utf8Encoder = new TextEncoder();

/** Kept because of its buffer, unless that has grown beyond `keptBytes`. */
let encoder: ExactEncoder | undefined;
const keptBytes = 2 ** 16;

/**
 * Encodes a value, and refuses what would not come back as it was. `undefined` is
 * no bytes, and in an object no property.
 */
export function encodeValue(operation: string, what: string, value: unknown): Uint8Array | undefined {
  return encoded(operation, what, value, false);
}

/**
 * Encodes what has been paid for, which must not be lost for what it may hold by chance. Of a lone surrogate, which UTF-8 cannot
 * hold, it makes U+FFFD, and null of `undefined` in an array and of an invalid date. It leaves out the key `__proto__`,
 * properties of arrays, and those that are hidden or under a symbol: libraries mark their answers with such.
 */
export function encodeOutput(operation: string, what: string, value: unknown): Uint8Array | undefined {
  return encoded(operation, what, value, true);
}

function encoded(operation: string, what: string, value: unknown, repair: boolean): Uint8Array | undefined {
  if (value === undefined) return undefined;
  const short = typeof value === "string" ? encodedShort(value) : undefined;
  if (short !== undefined) return short;
  let bytes: Uint8Array;
  try {
    encoder ??= new ExactEncoder({ maxDepth: maxDepth + 1, ignoreUndefined: true });
    bytes = encoder.encode(new Reader(operation, what, repair).read(value));
  } catch (thrown) {
    encoder = undefined;
    throw refuseUnread(operation, what, thrown);
  }
  if (bytes.byteLength > keptBytes) encoder = undefined;
  if (bytes.byteLength > maxPayloadBytes) throw refuseSize(operation, what);
  return bytes;
}

/** Encodes the values of a plain object one by one. One that is `undefined` is no bytes. */
export function encodeProperties(operation: string, what: string, value: unknown): [name: string, bytes: Uint8Array | undefined][] {
  if (typeof value !== "object" || value === null) throw refuse(operation, `${what} must be a plain object, not ${kindOf(value)}`);
  try {
    return new Reader(operation, what, false).properties(value).map(([name, item]) => [name, encodeValue(operation, `${what}.${name}`, item)]);
  } catch (thrown) {
    throw refuseUnread(operation, what, thrown);
  }
}

/** Encodes a short text of ASCII, as most are. A loop does that before the encoder has begun. */
function encodedShort(text: string): Uint8Array | undefined {
  const { length } = text;
  if (length > mostShort) return undefined;
  const start = used + (length < 0x20 ? 1 : 2);
  if (start + length > shared.length) {
    [shared, used] = [new Uint8Array(sharedBytes), 0];
    return encodedShort(text);
  }
  for (let i = 0; i < length; i++) {
    const unit = text.charCodeAt(i);
    if (unit > 0x7f) return undefined;
    shared[start + i] = unit;
  }
  // msgpack's fixstr, and str 8
  if (length < 0x20) shared[used] = 0xa0 | length;
  else {
    shared[used] = 0xd9;
    shared[used + 1] = length;
  }
  return shared.subarray(used, (used = start + length));
}

/** What msgpack's str 8 holds. */
const mostShort = 0xff;

/** An array of its own for each would cost more than to fill it. */
const sharedBytes = 2 ** 13;
let shared = new Uint8Array(0);
let used = 0;

/** An array of values that are encoded already. */
export function encodedArray(items: readonly Uint8Array[]): Uint8Array {
  const header = [0xdd, items.length >>> 24, items.length >>> 16, items.length >>> 8, items.length]; // msgpack's array 32
  const bytes = new Uint8Array(items.reduce((size, item) => size + item.byteLength, header.length));
  bytes.set(header);
  let at = header.length;
  for (const item of items) {
    bytes.set(item, at);
    at += item.byteLength;
  }
  return bytes;
}

/** The inverse of {@link encodeValue}. */
export function decodeValue(bytes: Uint8Array | null): unknown {
  if (bytes === null || bytes.byteLength === 0) return undefined;
  return read(bytes, () => decodeOwn(bytes));
}

/** Decodes values that follow one another. */
export function decodeValues(bytes: Uint8Array | null): readonly unknown[] {
  return bytes === null ? [] : read(bytes, () => [...decodeOwnMulti(bytes)]);
}

/** Decodes a value that many read, see {@link frozen}. */
export function decodeShared(bytes: Uint8Array | null): { readonly value: unknown } {
  return frozen({ value: decodeValue(bytes) });
}

/** Freezes decoded values. Bytes and dates cannot be frozen: each reader gets a copy. */
export function frozen<T extends object>(parts: T): T {
  for (const [name, part] of Object.entries(parts) as [string, unknown][]) {
    if (part instanceof Uint8Array) Object.defineProperty(parts, name, { get: () => part.slice() });
    else if (part instanceof Date) Object.defineProperty(parts, name, { get: () => new Date(part) });
    else if (typeof part === "object" && part !== null) frozen(part);
  }
  return Object.freeze(parts);
}

/** Of each type from hex c0 to df: the size of its length field, and how many more bytes it has. */
const lengthBytes = "00001241240000000000000001242424";
const fixedBytes = [0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 2, 3, 5, 9, 17, 0, 0, 0, 0, 0, 0, 0];

/**
 * Checks that all lengths in msgpack fit into the bytes that are left, and the depth: the decoder
 * makes an array as long as its head claims, and goes to any depth.
 */
function checkClaims(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength); // throws when read beyond its end
  const open: number[] = []; // how many items are still to come in each array or map around
  let due = 0; // their sum
  for (let at = 0; at < view.byteLength; ) {
    while (open.at(-1) === 0) open.pop();
    const around = open.pop();
    if (around !== undefined) {
      open.push(around - 1);
      due--;
    }
    const type = view.getUint8(at++);
    let items = 0;
    if (type >= 0xc0 && type < 0xe0) {
      const size = Number(lengthBytes[type - 0xc0]);
      const length = size === 0 ? 0 : size === 1 ? view.getUint8(at) : size === 2 ? view.getUint16(at) : view.getUint32(at);
      at += size + (fixedBytes[type - 0xc0] ?? 0);
      if (type < 0xdc) at += length;
      else items = type < 0xde ? length : 2 * length;
    } else if (type >= 0xa0 && type < 0xc0) at += type & 0x1f;
    else if (type >= 0x80 && type < 0xa0) items = type < 0x90 ? 2 * (type & 0x0f) : type & 0x0f;
    // What a streaming step returns is an array around its chunks.
    if ((due += items) > view.byteLength - at || (items > 0 && open.push(items) > maxDepth + 1)) throw new RangeError("it claims more than it has, or is nested too deep");
  }
}

function read<T>(bytes: Uint8Array, decoding: () => T): T {
  try {
    checkClaims(bytes);
    return decoding();
  } catch (cause) {
    throw new HoldfastError("corrupt", "holdfast: corrupt: a stored body or output is not msgpack; another program may have written it", { cause });
  }
}

/**
 * Longer arrays are not searched for properties: that makes a name for each item, and what has some,
 * such as the match of a regular expression, is short.
 */
const mostNamed = 1000;

const typedArray = Object.getPrototypeOf(Uint8Array.prototype) as object;

/** Whether it is a Uint8Array, of this or another realm, such as a frame. */
function isBytes(value: object): value is Uint8Array {
  return Reflect.get(typedArray, Symbol.toStringTag, value) === "Uint8Array";
}

/**
 * Checks a value and copies its arrays and objects, each part read once: a
 * getter or a proxy may return something else the second time.
 */
class Reader {
  /** Bytes that are left. Bounds the work for a value that is huge or contains itself. */
  #room = maxPayloadBytes;
  readonly #path: string[];

  constructor(
    readonly operation: string,
    readonly what: string,
    readonly repair: boolean,
  ) {
    this.#path = [what];
  }

  read(value: unknown): unknown {
    switch (typeof value) {
      case "string":
        this.#spend(value.length);
        return this.#text(value, "must not contain lone surrogates");
      case "boolean":
      case "number":
        this.#spend(1);
        return value;
      case "object":
        return value === null ? null : this.#object(value);
      default:
        throw this.#refuse(`is ${kindOf(value)}, which cannot be stored; convert it to a string or a number`);
    }
  }

  #object(value: object): unknown {
    if (isBytes(value)) {
      // Throws for a detached buffer, and one that has shrunk, which would be stored as an empty one.
      Uint8Array.prototype.keys.call(value);
      const bytes = new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
      this.#spend(bytes.byteLength);
      return bytes;
    }
    if (Object.prototype.toString.call(value) === "[object Date]") {
      const time = Date.prototype.getTime.call(value);
      if (Number.isNaN(time)) {
        if (this.repair) return null;
        throw this.#refuse("is an invalid date");
      }
      return new Date(time);
    }
    if (this.#path.length > maxDepth) throw this.#refuse(`is nested deeper than ${maxDepth} levels, or contains itself`);
    this.#spend(1);
    return Array.isArray(value) ? this.#array(value) : this.#plain(value);
  }

  #array(value: readonly unknown[]): unknown[] {
    const { length } = value;
    if (!(length <= this.#room)) throw refuseSize(this.operation, this.what);
    const copy: unknown[] = [];
    for (let i = 0; i < length; i++) copy.push(this.#part(`[${i}]`, value[i]));
    if (this.repair || length > mostNamed) return copy;
    const more = Object.keys(value)[length]; // the names of items come first
    if (more !== undefined) throw this.#refuse(`has the property ${JSON.stringify(more.slice(0, 40))}, which an array would come back without`);
    this.#checkNames(value, length + 1);
    return copy;
  }

  #plain(value: object): object {
    const copy: Record<string, unknown> = {};
    for (const [name, item] of this.properties(value)) if (item !== undefined) copy[name] = this.#part(`.${name}`, item);
    return copy;
  }

  /** The properties of a plain object. */
  properties(value: object): [name: string, item: unknown][] {
    if (!isPlain(value)) {
      const streams = Symbol.asyncIterator in value ? "store its items by step.stream" : "make plain data of it first";
      throw this.#refuse(`is ${classOf(value)}, which would come back as a plain object; ${streams}`);
    }
    const entries = Object.entries(value);
    if (!this.repair) this.#checkNames(value, entries.length);
    const kept: [string, unknown][] = [];
    for (const [key, item] of entries) {
      this.#spend(key.length);
      const name = this.#text(key, "has a key with lone surrogates");
      if (key === "__proto__" && !this.repair) throw this.#refuse("has the key __proto__, which decoders refuse");
      if (key !== "__proto__") kept.push([name, item]);
    }
    return kept;
  }

  /** Refuses properties that `Object.entries` does not name. Hidden symbols are marks of libraries, such as those of a proxy. */
  #checkNames(value: object, named: number): void {
    const names = Object.getOwnPropertyNames(value);
    const isSeen = (name: string | symbol): boolean => Object.prototype.propertyIsEnumerable.call(value, name);
    const left = names.length > named ? names.find((name) => !isSeen(name) && !(name === "length" && Array.isArray(value))) : Object.getOwnPropertySymbols(value).find(isSeen);
    if (left === undefined) return;
    const what = typeof left === "symbol" ? "a property under a symbol" : `the hidden property ${JSON.stringify(left.slice(0, 40))}`;
    throw this.#refuse(`has ${what}, which it would come back without; store a copy, such as {...it}, with all that counts under names`);
  }

  #part(name: string, value: unknown): unknown {
    this.#path.push(name);
    if (value === undefined && !this.repair) throw this.#refuse("is undefined, which an array cannot hold; use null");
    const copy = value === undefined ? null : this.read(value);
    this.#path.pop();
    return copy;
  }

  #text(text: string, problem: string): string {
    if (wellFormed(text)) return text;
    if (!this.repair) throw this.#refuse(problem);
    return repaired(text);
  }

  #spend(bytes: number): void {
    this.#room -= bytes;
    if (this.#room < 0) throw refuseSize(this.operation, this.what);
  }

  #refuse(problem: string): HoldfastError {
    return refuse(this.operation, `${this.#path.join("")} ${problem}`);
  }
}

/** Names the class of an object, for error messages. */
function classOf(value: object): string {
  const made: unknown = value.constructor;
  return typeof made === "function" && made.name !== "" ? `an instance of ${made.name}` : "an instance of a class";
}

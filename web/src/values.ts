import { decode, encode } from "@msgpack/msgpack";
import { kindOf, refuse, wellFormed } from "./check.js";

// Bodies and outputs are msgpack, with Date as the timestamp extension. To the
// Go side they are opaque bytes.

/** Nesting that is still taken; msgpack decoders commonly refuse more. */
const maxDepth = 32;

/** Encodes a value, and refuses what would not come back as it was. */
export function encodeValue(operation: string, what: string, value: unknown): Uint8Array {
  checkValue(operation, what, value, 0);
  try {
    return encode(value, { maxDepth: maxDepth + 1 });
  } catch (cause) {
    throw refuse(operation, `${what} cannot be stored`, "invalid_argument", cause);
  }
}

/** The inverse of {@link encodeValue}. No bytes, as other programs may store them, are `undefined`. */
export function decodeValue(bytes: Uint8Array | null): unknown {
  return bytes === null || bytes.byteLength === 0 ? undefined : decode(bytes);
}

function checkValue(operation: string, what: string, value: unknown, depth: number): void {
  switch (typeof value) {
    case "string":
      if (!wellFormed(value)) throw refuse(operation, `${what} must not contain lone surrogates`);
      return;
    case "undefined":
    case "boolean":
    case "number":
      return;
    case "object":
      break;
    default:
      throw refuse(operation, `${what} is ${kindOf(value)}, which cannot be stored; convert it to a string or a number`);
  }
  if (value === null || value instanceof Uint8Array) return;
  if (value instanceof Date) {
    if (Number.isNaN(value.getTime())) throw refuse(operation, `${what} is an invalid date`);
    return;
  }
  if (depth === maxDepth) throw refuse(operation, `${what} is nested deeper than ${maxDepth} levels, or contains itself`);
  if (Array.isArray(value)) {
    value.forEach((item, i) => checkValue(operation, `${what}[${i}]`, item, depth + 1));
    return;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  // Object.prototype of another realm, such as a frame, has no prototype either.
  if (prototype !== null && Object.getPrototypeOf(prototype) !== null) {
    throw refuse(operation, `${what} is an instance of a class, which would come back as a plain object; convert it first`);
  }
  for (const [key, item] of Object.entries(value)) {
    if (!wellFormed(key)) throw refuse(operation, `${what} has a key with lone surrogates`);
    checkValue(operation, `${what}.${key}`, item, depth + 1);
  }
}

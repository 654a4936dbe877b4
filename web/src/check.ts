import { type ErrorCode, HoldfastError } from "./errors.js";

// Arguments are checked before they cross into WebAssembly: there a lone surrogate would be
// replaced silently, a number would be cut, and a huge value would take all memory.

/** The greatest length of a name, in bytes; the same as core.MaxNameBytes in Go. */
export const maxNameBytes: number = 1024;

/** The greatest size of what an event holds, in bytes; the same as core.MaxPayloadBytes in Go. */
export const maxPayloadBytes: number = 8 * 2 ** 20;

/** An error about an argument, which never reached the store. */
export function refuse(
  operation: string,
  problem: string,
  code: ErrorCode & ("invalid_argument" | "out_of_range" | "too_large") = "invalid_argument",
  cause?: unknown,
): HoldfastError {
  return new HoldfastError(code, `holdfast: ${operation}: ${code}: ${problem}`, { operation, cause });
}

/** Refuses what is larger than any event can be. */
export function refuseSize(operation: string, what: string): HoldfastError {
  return refuse(operation, `${what} is larger than ${maxPayloadBytes} bytes; store large data elsewhere and append a reference`, "too_large");
}

/**
 * Makes an error of what was thrown while an object of the caller was read. Getters and proxies
 * can throw anything, and even to look at that may throw.
 */
export function refuseUnread(operation: string, what: string, thrown: unknown): HoldfastError {
  try {
    if (thrown instanceof HoldfastError) return thrown;
  } catch {
    // A proxy.
  }
  return refuse(operation, `${what} cannot be read`, "invalid_argument", thrown);
}

/** What a value is, for error messages. It looks into no object, which might throw. */
export function kindOf(value: unknown): string {
  return value === null ? "null" : `a value of type ${typeof value}`;
}

/** A string without lone surrogates, which UTF-8 cannot hold: two of them would become one name. */
export function text(operation: string, what: string, value: unknown): string {
  if (typeof value !== "string") throw refuse(operation, `${what} must be a string, not ${kindOf(value)}`);
  if (value.length > maxPayloadBytes) throw refuseSize(operation, what);
  if (!wellFormed(value)) throw refuse(operation, `${what} must not contain lone surrogates`);
  return value;
}

/** A name, or the beginning of one. Its exact rules are those of core.CheckName in Go. */
export function name(operation: string, what: string, value: unknown): string {
  if (typeof value === "string" && value.length > maxNameBytes) throw refuse(operation, `${what} is longer than the limit of ${maxNameBytes} bytes`);
  return text(operation, what, value);
}

export function wellFormed(value: string): boolean {
  return !/\p{Surrogate}/u.test(value);
}

/** A string with U+FFFD in place of each lone surrogate. */
export function repaired(value: string): string {
  return value.replace(/\p{Surrogate}/gu, "\u{fffd}");
}

/** An integer from `min` to `max`. */
export function integer(operation: string, what: string, value: unknown, min: number, max: number): number {
  if (typeof value !== "number") throw refuse(operation, `${what} must be a number, not ${kindOf(value)}`);
  if (!Number.isInteger(value)) throw refuse(operation, `${what} must be an integer, not ${value}`);
  if (value < min || value > max) throw refuse(operation, `${what} must be from ${min} to ${max}`, "out_of_range");
  return value;
}

/** One of a list of strings. */
export function oneOf<T extends string>(operation: string, what: string, value: unknown, choices: readonly T[]): T {
  const found = choices.find((choice) => choice === value);
  if (found === undefined) throw refuse(operation, `${what} must be ${choices.map((c) => `"${c}"`).join(" or ")}`);
  return found;
}

export function flag(operation: string, what: string, value: unknown): boolean {
  if (typeof value !== "boolean") throw refuse(operation, `${what} must be true or false`);
  return value;
}

/**
 * What an object of the caller has under `names`, each read once. These are all that there are, those with `false` elsewhere:
 * another name may be a mistake that costs. In an instance of a class they are not looked for, as an array of bytes may have millions.
 */
export function options<T extends object>(operation: string, what: string, value: T, names: Readonly<Record<keyof T, boolean>>): Readonly<Record<keyof T, unknown>> {
  if (typeof value !== "object" || value === null) throw refuse(operation, `${what} must be an object, not ${kindOf(value)}`);
  const known = Object.keys(names).filter((key) => names[key as keyof T]);
  try {
    if (Array.isArray(value)) throw refuse(operation, `${what} must be an object, not an array`);
    const other = isPlain(value) ? Object.keys(value).find((key) => !known.includes(key)) : undefined;
    if (other !== undefined) throw refuse(operation, `${what} must not have ${JSON.stringify(other.slice(0, 40))}, only ${known.join(", ")}`);
    return Object.fromEntries(known.map((key) => [key, Reflect.get(value, key) as unknown])) as Record<keyof T, unknown>;
  } catch (thrown) {
    throw refuseUnread(operation, what, thrown);
  }
}

/** Whether an object is of no class. Object.prototype of another realm, such as a frame, has no prototype either. */
export function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

import { HoldfastError } from "./errors.js";

// Arguments are checked before they cross into WebAssembly, where a JavaScript
// string would be folded silently and a number would be cut.

/** An `invalid_argument` or another error about an argument, which never reached the store. */
export function refuse(operation: string, problem: string, code: "invalid_argument" | "out_of_range" = "invalid_argument", cause?: unknown): HoldfastError {
  return new HoldfastError(code, `holdfast: ${operation}: ${code}: ${problem}`, { operation, cause });
}

/** What a value is, for error messages. */
export function kindOf(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "an array" : `a value of type ${typeof value}`;
}

/** A string without lone surrogates, which UTF-8 cannot hold: two of them would become one name. */
export function text(operation: string, what: string, value: unknown): string {
  if (typeof value !== "string") throw refuse(operation, `${what} must be a string, not ${kindOf(value)}`);
  if (!wellFormed(value)) throw refuse(operation, `${what} must not contain lone surrogates`);
  return value;
}

export function wellFormed(value: string): boolean {
  return !/\p{Surrogate}/u.test(value);
}

/** An integer from `min` to `max`. */
export function integer(operation: string, what: string, value: unknown, min: number, max: number): number {
  if (typeof value !== "number") throw refuse(operation, `${what} must be a number, not ${kindOf(value)}`);
  if (!Number.isInteger(value)) throw refuse(operation, `${what} must be an integer`);
  if (value < min || value > max) throw refuse(operation, `${what} must be from ${min} to ${max}`, "out_of_range");
  return value;
}

/** One of a list of strings. */
export function oneOf<T extends string>(operation: string, what: string, value: unknown, choices: readonly T[]): T {
  const found = choices.find((choice) => choice === value);
  if (found === undefined) throw refuse(operation, `${what} must be ${choices.map((c) => `"${c}"`).join(" or ")}`);
  return found;
}

/** An object to read named arguments from. */
export function record(operation: string, what: string, value: unknown): { readonly [key: string]: unknown } {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw refuse(operation, `${what} must be an object, not ${kindOf(value)}`);
  }
  return value as { readonly [key: string]: unknown };
}

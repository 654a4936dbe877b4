/** By which the errors of every copy of this package are known: it may be there twice, once within another package. */
const brand = Symbol.for("@holdfast-dev/holdfast");

export type Brand = "StepError" | "TerminalError";

export function mark(error: Error, name: Brand): void {
  Object.defineProperty(error, brand, { value: name });
}

/** Whether something that was thrown is such an error. To look at it may throw: it may be a proxy. */
export function isMarked(thrown: unknown, name: Brand): boolean {
  try {
    return typeof thrown === "object" && thrown !== null && Reflect.get(thrown, brand) === name;
  } catch {
    return false;
  }
}

import { isMarked } from "./brand.js";
import { repaired } from "./check.js";
import { HoldfastError, type StepError } from "./errors.js";

// What is kept of whatever an application throws. To look at that may throw: it may be a proxy.

/** The greatest length of a text, in characters. The rest of a longer one is of no use to people. */
const maxText = 4_000;

/** As many errors and causes as package core stores of one failure. */
const maxCauses = 16;

/** What was thrown, and then its causes, from the nearest on. */
function allOf(thrown: unknown, most: number): unknown[] {
  const all = new Set<unknown>();
  const add = (error: unknown): void => {
    if (all.size >= most || all.has(error)) return;
    all.add(error);
    for (const cause of causesOf(error)) add(cause);
  };
  add(thrown);
  return [...all];
}

/** Name and message of what was thrown, and then of its causes. */
export function textsOf(thrown: unknown): string[] {
  return allOf(thrown, maxCauses).flatMap(nameAndMessage);
}

/** The indexes of the failed steps that what was thrown is made of. */
export function stepsOf(thrown: unknown): number[] {
  const steps = allOf(thrown, 10_000).filter(isStep);
  return [...new Set(steps.map(({ index }) => index))].toSorted((a, b) => a - b);
}

/** Whether it is what a step has failed with, of whatever copy of this package. */
function isStep(thrown: unknown): thrown is StepError {
  return isMarked(thrown, "StepError");
}

/** Whether it says that certainly nothing was done. */
export function isTerminal(thrown: unknown): boolean {
  return isMarked(thrown, "TerminalError");
}

/** Whether it is of no use to call a step's function again: a step within it has failed, or something was refused for good. */
export function isFinal(thrown: unknown): boolean {
  try {
    return isStep(thrown) || (thrown instanceof HoldfastError && thrown.outcome === "permanent");
  } catch {
    return false;
  }
}

/** One text, for people. */
export function textOf(thrown: unknown): string {
  const texts = textsOf(thrown);
  const parts: string[] = [];
  for (let i = 0; i < texts.length; i += 2) parts.push([texts[i], texts[i + 1]].filter((part) => part !== "").join(": "));
  return parts.join("; caused by ");
}

function causesOf(error: unknown): unknown[] {
  try {
    if (typeof error !== "object" || error === null) return [];
    const errors = Reflect.get(error, "errors") as unknown;
    const cause = Reflect.get(error, "cause") as unknown;
    return [...(Array.isArray(errors) ? errors : []), ...(cause === undefined ? [] : [cause])];
  } catch {
    return [];
  }
}

/** What was thrown as an Error. */
export function asError(thrown: unknown): Error {
  try {
    if (thrown instanceof Error) return thrown;
  } catch {
    // A proxy.
  }
  return new Error(textOf(thrown), { cause: thrown });
}

const nameless = "something was thrown that has no text";

function nameAndMessage(error: unknown): [string, string] {
  const [name, message] = read(error);
  return name === "" && message === "" ? ["", nameless] : [name, message];
}

function read(error: unknown): [string, string] {
  try {
    if (typeof error !== "object" || error === null) return ["", short(String(error))];
    const [name, message] = ["name", "message"].map((key) => Reflect.get(error, key) as unknown);
    const named = short(typeof name === "string" ? name : "");
    const text = typeof message === "string" ? message : "";
    // An Error of another realm, such as a frame, is one, too.
    if (Object.prototype.toString.call(error) === "[object Error]" || error instanceof Error) return [named, short(text)];
    return [named, short([text, contentOf(error)].filter((part) => part !== "").join(" "))];
  } catch {
    return ["", nameless];
  }
}

/** What an object says of itself, or what is in it. */
function contentOf(error: object): string {
  try {
    const text: unknown = Reflect.apply(Reflect.get(error, "toString") as () => unknown, error, []);
    if (typeof text === "string" && !text.startsWith("[object ")) return text;
    return JSON.stringify(error) ?? "";
  } catch {
    return ""; // it contains itself, or has no text
  }
}

function short(text: string): string {
  return repaired(text.slice(0, maxText));
}

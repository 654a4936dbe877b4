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
    // What a SuppressedError, an ErrorEvent, the event of a rejection, or an answer of Promise.allSettled is about.
    const inner = ["error", "suppressed", "reason"].map((key) => Reflect.get(error, key) as unknown).filter(isError);
    return [...(Array.isArray(errors) ? errors : []), ...inner, ...(cause === undefined ? [] : [cause])];
  } catch {
    return [];
  }
}

/** Reports an error that nobody catches. Node has no `reportError`. */
export const report = (error: unknown): void => (typeof reportError === "function" ? reportError(error) : console.error(error));

/** What was thrown as an Error. */
export function asError(thrown: unknown): Error {
  if (isError(thrown)) return thrown;
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
    if (isError(error)) return [named, short(text)];
    return [named, short([text, contentOf(error)].filter((part) => part !== "").join(" "))];
  } catch {
    return ["", nameless];
  }
}

/** Also one of another realm, such as a frame. */
function isError(thrown: unknown): thrown is Error {
  try {
    return Object.prototype.toString.call(thrown) === "[object Error]" || thrown instanceof Error;
  } catch {
    return false;
  }
}

/** What an object says of itself, or what is in it. */
function contentOf(error: object): string {
  try {
    if (!Array.isArray(error)) {
      const text: unknown = Reflect.apply(Reflect.get(error, "toString") as () => unknown, error, []);
      if (typeof text === "string" && !text.startsWith("[object ")) return text;
    }
    const seen = new Set<unknown>();
    const json: string = JSON.stringify(error, (_, part: unknown) => {
      if (isError(part)) return String(part);
      if (typeof part !== "object" || part === null) return part;
      return seen.has(part) ? undefined : (seen.add(part), part);
    });
    return /^\{("isTrusted":\w+)?\}$/.test(json) ? classAndState(error) : json;
  } catch {
    return ""; // it has no text
  }
}

/** Of a platform object, such as a Response or an event, which has nothing of its own. */
function classAndState(error: object): string {
  const state = ["type", "status", "statusText", "url", "code", "data", "detail"].map((key) => Reflect.get(error, key) as unknown);
  const told = state.filter((one) => (typeof one === "string" && one !== "") || typeof one === "number");
  return [Object.prototype.toString.call(error).slice("[object ".length, -1), ...told].join(" ");
}

function short(text: string): string {
  return repaired(text.slice(0, maxText));
}

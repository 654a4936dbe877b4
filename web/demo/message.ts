// What the demo keeps in a message. The log is read as anybody's: it may hold other shapes.
import { HoldfastError, type Message, type OpenStep, type Storable, type Verification } from "@holdfast-dev/holdfast";
import type { Question } from "./agent/agent.js";

/** The text of a stored body. */
export function textOf(body: unknown): string {
  return field(body, "text") ?? compact(body);
}

/** The line that a step's output shows of itself. */
export function lineOf(output: unknown): string {
  return field(output, "line") ?? compact(output);
}

/** The answer, which is the output of the last step. */
export function answerOf(message: Message): string {
  return compact(message.steps.at(-1)?.output);
}

/** Whether somebody should go on with the message without being asked. */
export function isUnfinished(message: Message): boolean {
  return message.status === "received" || message.status === "processing" || message.status === "waiting";
}

/** The step that waits for the user's answer. */
export function askedBy(message: Message): OpenStep | undefined {
  return isUnfinished(message) ? message.openSteps.find(({ waiting }) => waiting?.for === "answer") : undefined;
}

/** What a step asks. */
export function questionOf(step: OpenStep): Question {
  const prompt = step.waiting?.prompt;
  const choices = listOf(prompt, "choices").map((choice) => ({
    label: field(choice, "label") ?? compact(choice),
    answer: Reflect.get(Object(choice) as object, "answer") as Storable,
  }));
  return { text: field(prompt, "text") ?? compact(prompt), about: field(prompt, "about") ?? "", choices };
}

/** At most `length` characters of a text, in one line. */
export function excerpt(text: string, length: number): string {
  // A text can be megabytes long, and only its beginning matters.
  const line = text.slice(0, 4 * length).replace(/\s+/gu, " ").trim();
  const characters = Array.from(line);
  return characters.length > length ? `${characters.slice(0, length - 1).join("").trimEnd()}…` : line;
}

/** A value as a short text, for people. */
export function compact(value: unknown): string {
  if (value === undefined) return "";
  if (typeof value === "string") return value;
  return JSON.stringify(value, (_, item: unknown) => {
    if (typeof item === "bigint") return String(item);
    return item instanceof Uint8Array ? `${item.length} bytes` : item;
  });
}

/** A property of a value, if it is a text. */
export function field(value: unknown, name: string): string | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const found: unknown = Reflect.get(value, name);
  return typeof found === "string" ? found : undefined;
}

/** A property of a value, if it is a list. */
export function listOf(value: unknown, name: string): readonly unknown[] {
  const found: unknown = Reflect.get(Object(value) as object, name);
  return Array.isArray(found) ? found : [];
}

export function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? "" : "s"}`;
}

/** Whether it says that what is stored is damaged, or of another release. */
export function isDamage(error: unknown): error is HoldfastError {
  return error instanceof HoldfastError && ["corrupt", "gap", "unsupported_version"].includes(error.code);
}

/** What is left of a damaged conversation, and what is not. */
export function describeDamage({ head, events, damage }: Verification): string {
  const lost = damage.map(({ from, to, code }) => `${from === to ? from : `${from} to ${to}`} (${code})`);
  return `Damaged: ${events} of ${count(head, "event")} can be read, all but ${lost.join(", ")}`;
}

// What a shape is: a handler, and what is needed to judge it.
import type { Conversation, Message, ProcessOptions, RunStep, Work } from "@holdfast-dev/holdfast";
import type { World } from "./world.js";

export interface Shape {
  readonly name: string;
  readonly handler: (step: RunStep, world: World, work: Work) => unknown;
  /** What it may end with: a result, or the text of an error. */
  readonly ends: readonly (string | RegExp)[];
  readonly options?: ProcessOptions;
  /** What people do with the conversation, whenever it changes; nothing twice at the same time. */
  readonly people?: (conversation: Conversation, message: Message, act: (what: string, doing: () => Promise<unknown>) => void, world: World) => void;
  /** Has a message that has failed retried once, perhaps from the step with a name. */
  readonly retry?: { readonly from?: string };
  /** Whether calls have no order: they come out of waits for what is no step. */
  readonly foreign?: boolean;
  /** Whether the events depend on which of two is faster, or on when it was killed. */
  readonly varies?: boolean;
  /** What `onError` hears, and whether it must hear of it in the first life. */
  readonly reports?: RegExp;
  readonly told?: boolean;
  /** What may be called again though it has an outcome. */
  readonly again?: RegExp;
  /** What is called no more often than people have said, and once. */
  readonly careful?: string;
  /** Whether it is another release. */
  readonly changed?: boolean;
  /** Whether the first life rehearses: nothing is found but in a shape that is not sure. */
  readonly rehearses?: boolean;
  /** That it may go another way: if that is reported or ends in `step_mismatch`, or in any case. */
  readonly unsure?: "reported" | "silent";
  /** Whether what has been streamed is not produced again. */
  readonly resumes?: boolean;
}

export const result = (value: unknown): string => JSON.stringify(value);

/** Waits for so many microtasks. */
export async function hops(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await Promise.resolve();
}

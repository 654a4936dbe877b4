// How a message becomes an answer, so that a crash at any point costs one step at most. Copy this one.
import type { Handler, Storable } from "@holdfast-dev/holdfast";
import { textOf } from "./message.js";

/** What a step works on. All of it is in the log, so a step gets the same after a crash as before it. */
export interface StepInput {
  readonly text: string;
  /** The stored outputs of the steps before, by index. */
  readonly outputs: readonly unknown[];
}

export type AgentStep =
  | { readonly name: string; run(input: StepInput): Promise<Storable> }
  /** Has its output in parts, which can be seen as they come. */
  | { readonly name: string; stream(input: StepInput): AsyncIterable<string> };

/** Takes a message through `steps`: those that have completed are not run again. */
export function handlerOf(steps: readonly AgentStep[]): Handler {
  return async ({ message, step }) => {
    const text = textOf(message.body);
    const outputs: unknown[] = [];
    // They compute and call nobody, so what fails once fails always.
    const once = { maxAttempts: 1 };
    for (const next of steps) {
      const output =
        "stream" in next
          ? await step.stream(next.name, () => next.stream({ text, outputs }), once)
          : await step(next.name, () => next.run({ text, outputs }), once);
      outputs.push(output);
    }
  };
}

// How a message becomes an answer, so that a crash at any point costs one step at most. Copy this one.
import type { Handler, Storable } from "@holdfast-dev/holdfast";
import { textOf } from "./message.js";

/** What a step works on. All of it is in the log, so a step gets the same after a crash as before it. */
export interface StepInput {
  readonly text: string;
  /** The stored outputs of the steps before, by index. */
  readonly outputs: readonly unknown[];
}

export interface AgentStep {
  readonly name: string;
  run(input: StepInput): Promise<Storable>;
}

/** Takes a message through `steps`: those that have completed are not run again. */
export function handlerOf(steps: readonly AgentStep[]): Handler {
  return async ({ message, step }) => {
    const text = textOf(message.body);
    const outputs: unknown[] = [];
    // They compute and call nobody, so what fails once fails always.
    for (const next of steps) outputs.push(await step(next.name, () => next.run({ text, outputs }), { maxAttempts: 1 }));
  };
}

// How a message becomes an answer, so that a crash at any point costs one step at most. Copy this one.
import { type Conversation, SequenceConflictError, type Storable } from "@holdfast-dev/holdfast";

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

/**
 * Takes a received message through `steps`, from the first one that the log does not have. Whatever a
 * step throws is recorded as the message's error; an error of Holdfast itself rejects, and
 * the message stays as the log has it. Returns early if somebody else has gone on with it, or deleted it; to notice
 * that, `conversation` must be a handle without subscribers.
 */
export async function process(
  conversation: Conversation,
  message: { readonly id: string; readonly text: string },
  steps: readonly AgentStep[],
): Promise<void> {
  const { id, text } = message;
  const first = await nextStep(conversation, id);
  if (first === undefined) return;
  const outputs: unknown[] = [];
  for (const done of conversation.state.message(id)?.steps ?? []) outputs[done.index] = done.output;

  if (!(await append(conversation, id, first, () => conversation.recordProcessingStarted(id)))) return;
  for (const [index, step] of steps.entries()) {
    if (index < first) continue;
    let output: Storable;
    try {
      output = await step.run({ text, outputs });
    } catch (error) {
      await append(conversation, id, index, () => conversation.recordError(id, `${step.name}: ${String(error)}`));
      return;
    }
    if (!(await append(conversation, id, index, () => conversation.recordStepCompleted(id, index, output)))) return;
    outputs[index] = output;
  }
  const last = Math.max(first, steps.length);
  await append(conversation, id, last, () => conversation.recordProcessingFinished(id));
}

/**
 * Writes, and after a conflict decides again: as long as `step` is still the next one of the message, whoever
 * has appended was busy with something else, and what was computed is written behind it. Resolves with
 * whether it was written.
 */
async function append(conversation: Conversation, id: string, step: number, write: () => Promise<number>): Promise<boolean> {
  for (;;) {
    try {
      await write();
      return true;
    } catch (error) {
      if (!(error instanceof SequenceConflictError)) throw error;
      await conversation.refresh();
      if ((await nextStep(conversation, id)) !== step) return false;
    }
  }
}

/** The step that the log says is next; undefined if there is nothing left to do. */
async function nextStep(conversation: Conversation, id: string): Promise<number | undefined> {
  // Receiving a message that was deleted would bring it back.
  if (!conversation.state.isReceived(id)) return undefined;
  const decision = await conversation.receiveMessage({ id });
  switch (decision.kind) {
    case "skip":
      return undefined;
    case "start":
      return 0;
    case "resume":
      return decision.step;
  }
}

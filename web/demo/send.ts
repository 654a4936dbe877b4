import { type Conversation, SequenceConflictError } from "@holdfast-dev/holdfast";
import { bodyOf } from "./message.js";

/** Stores a new message. Once this resolves a crash cannot lose it, and whichever tab runs the agent answers it. */
export async function send(conversation: Conversation, text: string): Promise<void> {
  // The id makes sending twice harmless.
  const message = { id: crypto.randomUUID(), body: bodyOf(text), receivedAt: Date.now() };
  for (;;) {
    try {
      await conversation.receiveMessage(message);
      return;
    } catch (error) {
      // Another tab was faster; behind what it wrote there is a place, too.
      if (!(error instanceof SequenceConflictError)) throw error;
      await conversation.refresh();
    }
  }
}

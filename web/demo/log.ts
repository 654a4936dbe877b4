// The event log as it grows.
import type { Conversation, ConversationEvent } from "@holdfast-dev/holdfast";

const pageSize = 1000;

export class Log {
  readonly #conversation: Conversation;
  readonly #show: (events: readonly ConversationEvent[]) => void;
  #next = 0;
  #length = 0;
  #reading: Promise<void> = Promise.resolve();

  /** `show` gets each event once, in order, several at a time. */
  constructor(conversation: Conversation, show: (events: readonly ConversationEvent[]) => void) {
    this.#conversation = conversation;
    this.#show = show;
  }

  /** How many events have been read since the conversation was last deleted. */
  get length(): number {
    return this.#length;
  }

  /** Reads what was not read yet. */
  update(): Promise<void> {
    // One reading at a time: two would show the same events. A failed one has rejected to its own caller.
    const reading = this.#reading.catch(() => undefined).then(() => this.#read());
    this.#reading = reading;
    return reading;
  }

  async #read(): Promise<void> {
    for (;;) {
      const events = await this.#conversation.events({ from: this.#next, limit: pageSize });
      for (const event of events) this.#length = event.kind === "deleted" ? 0 : this.#length + 1;
      this.#next = (events.at(-1)?.sequence ?? this.#next - 1) + 1;
      if (events.length > 0) this.#show(events);
      if (events.length < pageSize) return;
    }
  }
}

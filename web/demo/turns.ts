// Which tab runs the agent, and which message is next.
import type { Conversation, Message } from "@holdfast-dev/holdfast";
import { isUnfinished, textOf } from "./message.js";
import { type AgentStep, process } from "./process.js";

/** `"agent"`: this tab answers. `"follower"`: another one does, and this one watches. `"stopped"`: this one has, and failed. */
export type Role = "agent" | "follower" | "stopped";

export class Turns {
  readonly #conversation: Conversation;
  /**
   * What the agent writes through. Nobody subscribes to it, so it does not follow what others append: whatever that is,
   * even that the conversation was deleted, meets the next write as a conflict and cannot slip by.
   */
  readonly #own: Conversation;
  readonly #steps: readonly AgentStep[];
  readonly #lock: string;
  /** Messages that have failed in this tab: they wait for somebody to press a button. */
  readonly #failed = new Set<string>();
  #wake: () => void = () => undefined;

  constructor(conversation: Conversation, steps: readonly AgentStep[]) {
    this.#conversation = conversation;
    this.#own = conversation.clone();
    this.#steps = steps;
    this.#lock = `holdfast-demo:${conversation.id}`;
  }

  /**
   * Answers messages for as long as the tab lives, once no other tab does: the browser hands the
   * lock on when a tab closes or dies. Rejects when the storage fails; then the lock is free for others.
   */
  async run(became: (role: Role) => void): Promise<never> {
    const work = async (): Promise<never> => {
      // The lock may be here before the news of what its last holder has written.
      await this.#conversation.refresh();
      became("agent");
      return await this.#work();
    };
    const worked = await navigator.locks.request(this.#lock, { ifAvailable: true }, (lock) => (lock === null ? "taken" : work()));
    if (worked !== "taken") return worked;
    became("follower");
    return await navigator.locks.request(this.#lock, work);
  }

  /** Lets a failed message have another try. */
  retry(id: string): void {
    this.#failed.delete(id);
    this.#wake();
  }

  async #work(): Promise<never> {
    for (;;) {
      const message = this.#next();
      if (message === undefined) {
        await this.#change();
        continue;
      }
      const { id, body } = message;
      await this.#own.refresh();
      await process(this.#own, { id, text: textOf(body) }, this.#steps);
      await this.#conversation.refresh();
      if (this.#conversation.state.message(id)?.status === "failed") this.#failed.add(id);
    }
  }

  /** The oldest message with something left to do; also one that has failed, once in the life of a page. */
  #next(): Message | undefined {
    return this.#conversation.state.messages.find(
      (message) => isUnfinished(message) || (message.status === "failed" && !this.#failed.has(message.id)),
    );
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      const stop = this.#conversation.subscribe(() => this.#wake());
      this.#wake = () => {
        stop();
        this.#wake = () => undefined;
        resolve();
      };
    });
  }
}

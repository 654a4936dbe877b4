// Which tab runs the agent. Holdfast sees to it that one does; this is to tell which.
import type { Conversation, Handler } from "@holdfast-dev/holdfast";

/** `"agent"`: this tab answers. `"follower"`: another one does, and this one watches. `"stopped"`: this one has, and failed. */
export type Role = "agent" | "follower" | "stopped";

export class Turns {
  readonly #conversation: Conversation;
  readonly #handler: Handler;
  readonly #lock: string;

  constructor(conversation: Conversation, handler: Handler) {
    this.#conversation = conversation;
    this.#handler = handler;
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

  /** The runner tries again by itself when the storage has failed. People are asked first: they may have to make room. */
  #work(): Promise<never> {
    return new Promise((_, reject) => {
      const stop = this.#conversation.process(this.#handler, {
        onError: (error) => {
          if (error.code === "lost_ownership") return; // the other tab goes on
          void stop();
          reject(error);
        },
      });
    });
  }
}

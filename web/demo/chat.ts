// A conversation that was opened, and the branch of it that this tab sees.
import type { Conversation, Message, Storable } from "@holdfast-dev/holdfast";
import { askedBy, excerpt, isUnfinished, textOf } from "./message.js";

export const maxTitle = 80;

/**
 * Who works on a chat. `"here"`: this tab. `"elsewhere"`: another one, and this one watches. `"starting"`: nobody yet.
 * `"asking"`: nobody, until the user has answered a question.
 * `"idle"`: there is nothing to do. `"stopped"`: this tab works on none, since the storage has failed.
 */
export type Role = "here" | "elsewhere" | "starting" | "asking" | "idle" | "stopped";

/** The agents of this tab. */
export interface Agents {
  /** Whether none works, since the storage has failed. */
  readonly stopped: boolean;
  /** Whether one works on a conversation. */
  isAt(id: string): boolean;
}

export class Chat {
  readonly conversation: Conversation;
  readonly #agents: Agents;
  readonly #changed: () => void;
  readonly #end: () => void;
  #elsewhere = false;
  /** The branch that this tab sees. */
  #seen: readonly Message[] = [];
  #sent: Promise<unknown> = Promise.resolve();

  constructor(conversation: Conversation, agents: Agents, changed: () => void) {
    this.conversation = conversation;
    this.#agents = agents;
    this.#changed = changed;
    this.see();
    this.#end = conversation.subscribe(() => {
      this.see();
      void this.#look();
      changed();
    });
    void this.#look();
  }

  get id(): string {
    return this.conversation.id;
  }

  /** The branch that this tab sees: at first the newest one, and then the same, whatever is sent elsewhere. */
  get messages(): readonly Message[] {
    return this.#seen;
  }

  /** The message that is worked on, or comes next, of whichever branch. */
  get current(): Message | undefined {
    return this.conversation.state.received.find(isUnfinished);
  }

  get role(): Role {
    const next = this.current;
    if (this.#agents.stopped) return "stopped";
    if (next !== undefined && askedBy(next) !== undefined) return "asking";
    if (this.#agents.isAt(this.id)) return "here";
    if (next === undefined) return "idle";
    return this.#elsewhere ? "elsewhere" : "starting";
  }

  /** Stores a message, and sees its branch. Without `after` it follows what is seen then. */
  async send(body: Storable, after?: string | null): Promise<void> {
    const sending = this.#sent.then(() => this.#store(body, after)); // what is sent next may follow this one
    this.#sent = sending.catch(() => undefined);
    await sending;
  }

  async #store(body: Storable, after: string | null | undefined): Promise<void> {
    this.see(await this.conversation.send({ body, after: after === undefined ? this.#last : after }));
    if (this.conversation.metadata["title"] === undefined) void this.rename("").catch(() => undefined); // the next message tries again
    this.#changed();
  }

  /** Without a title it is called by its first question. */
  async rename(title: string): Promise<void> {
    const [first] = this.conversation.state.received;
    await this.conversation.setMetadata({ title: title === "" && first !== undefined ? excerpt(textOf(first.body), maxTitle) : title }, { onlyIf: "exists" });
  }

  /** The last message that is seen. Undefined for the newest one: two tabs that send at once follow one another. */
  get #last(): string | undefined {
    const [seen, newest] = [this.#seen, this.conversation.state.messages].map((branch) => branch.at(-1)?.id);
    return seen === newest ? undefined : seen;
  }

  /** Sees the branch through a message, by itself the one that is seen, as it has gone on. */
  see(through = this.#seen.at(-1)?.id): void {
    const { state } = this.conversation;
    const branch = through === undefined ? [] : state.branch(through);
    this.#seen = branch.length > 0 ? branch : state.messages;
  }

  /** Lets go of the conversation. */
  leave(): void {
    this.#end();
  }

  /** Finds out whether another tab works on it. */
  async #look(): Promise<void> {
    if (this.role !== "starting" && this.role !== "elsewhere") return;
    const place = await this.conversation.runner().catch(() => undefined); // whose failure is told where something is appended
    const elsewhere = place === "elsewhere";
    if (elsewhere === this.#elsewhere) return;
    this.#elsewhere = elsewhere;
    this.#changed();
  }
}

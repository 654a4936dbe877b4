// The chat that is shown, with its log.
import type { Storable } from "@holdfast-dev/holdfast";
import type { Chat, Role } from "./chat.js";
import { Log } from "./log.js";
import { describeRecovery, describeTakeover, type Recovery } from "./recovery.js";
import type { Banner } from "./view/banner.js";
import { EventLog } from "./view/eventlog.js";
import { Messages } from "./view/messages.js";

export class Room {
  readonly chat: Chat;
  readonly #messages: Messages;
  readonly #banner: Banner;
  readonly #log: Log;
  readonly #bodyOf: (text: string) => Storable;
  readonly #failed: (error: unknown) => void;
  #role: Role | undefined;
  /** To be told of when it is clear who works. */
  #recovery: Recovery | undefined;
  #left = false;

  /** `recovery` is given in the room that a page begins with. `bodyOf` makes a message of what is typed. */
  constructor(chat: Chat, banner: Banner, recovery: Recovery | undefined, bodyOf: (text: string) => Storable, failed: (error: unknown) => void) {
    this.chat = chat;
    this.#banner = banner;
    this.#recovery = recovery;
    this.#bodyOf = bodyOf;
    this.#failed = failed;
    const { conversation } = chat;
    const found = recovery === undefined ? [] : conversation.state.received;
    this.#messages = new Messages(conversation.state, found, {
      edit: async (message, text) => await this.#send(bodyOf(text), message.after ?? null),
      repeat: ({ body, after = null }) => void this.#send(body as Storable, after).catch(() => undefined),
      see: (id) => {
        chat.see(id);
        this.show();
      },
      cancel: (id) => void conversation.cancel(id).catch(failed),
      retry: (id) => void conversation.retry(id).catch(failed),
      answer: async (id, step, answer) => void (await this.#tell(conversation.answer(id, step, answer))),
    });
    const rows = new EventLog();
    let fresh = false;
    this.#log = new Log(conversation, (events) => {
      if (!this.#left) rows.add(events, this.#log.length, fresh);
      fresh = true;
    });
    this.#banner.hide();
    this.show();
    this.#messages.toActive();
  }

  show(): void {
    const { role, messages, conversation } = this.chat;
    this.#messages.show(conversation.state, messages, role);
    this.#log.update().catch(this.#failed);
    if (this.#recovery !== undefined && role !== "starting") {
      if (this.#recovery.events > 0) this.#banner.show(describeRecovery(this.#recovery, conversation.state.received, role));
      this.#recovery = undefined;
      this.#messages.toActive();
    }
    if (this.#role === "elsewhere" && role === "here") this.#banner.show(describeTakeover(conversation.state.received));
    if (role !== "starting") this.#role = role; // nobody works for a moment while one tab takes over from another
  }

  /** Cancels the message that is worked on. */
  stop(): void {
    const { current } = this.chat;
    if (current !== undefined) this.chat.conversation.cancel(current.id).catch(this.#failed);
  }

  /** Sends what is typed, and brings it into sight. Rejects if it could not be stored, which the user is told. */
  async send(text: string): Promise<void> {
    await this.#send(this.#bodyOf(text));
  }

  async #send(body: Storable, after?: string | null): Promise<void> {
    this.#banner.hide();
    await this.#tell(this.chat.send(body, after));
    if (!this.#left) this.#messages.toEnd();
  }

  async #tell<T>(task: Promise<T>): Promise<T> {
    try {
      return await task;
    } catch (error) {
      this.#failed(error);
      throw error;
    }
  }

  leave(): void {
    this.#left = true;
  }
}

// The chat that is shown, with its log.
import type { Message } from "@holdfast-dev/holdfast";
import type { Chat, Role } from "./chats.js";
import { Log } from "./log.js";
import { isUnfinished } from "./message.js";
import { describeRecovery, describeTakeover, type Recovery } from "./recovery.js";
import type { Banner } from "./view/banner.js";
import { EventLog } from "./view/eventlog.js";
import { Messages } from "./view/messages.js";

export class Room {
  readonly chat: Chat;
  readonly #messages: Messages;
  readonly #banner: Banner;
  readonly #log: Log;
  readonly #failed: (error: unknown) => void;
  #role: Role | undefined;
  /** To be told of when it is clear who works. */
  #recovery: Recovery | undefined;
  #left = false;

  /** `recovery` is given in the room that a page begins with. */
  constructor(chat: Chat, banner: Banner, recovery: Recovery | undefined, failed: (error: unknown) => void) {
    this.chat = chat;
    this.#banner = banner;
    this.#recovery = recovery;
    this.#failed = failed;
    const { conversation } = chat;
    const found: readonly Message[] = recovery === undefined ? [] : chat.messages;
    this.#messages = new Messages(conversation.state, found, {
      cancel: (id) => void conversation.cancel(id).catch(failed),
      retry: (id) => void conversation.retry(id).catch(failed),
      answer: async (id, step, answer) => {
        try {
          await conversation.answer(id, step, answer);
        } catch (error) {
          failed(error);
          throw error;
        }
      },
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
    this.#messages.show(conversation.state, role);
    this.#log.update().catch(this.#failed);
    if (this.#recovery !== undefined && role !== "starting") {
      if (this.#recovery.events > 0) this.#banner.show(describeRecovery(this.#recovery, messages, role));
      this.#recovery = undefined;
      this.#messages.toActive();
    }
    if (this.#role === "elsewhere" && role === "here") this.#banner.show(describeTakeover(messages));
    if (role !== "starting") this.#role = role; // nobody works for a moment while one tab takes over from another
  }

  /** Cancels the message that is worked on. */
  stop(): void {
    const active = this.chat.messages.find(isUnfinished);
    if (active !== undefined) this.chat.conversation.cancel(active.id).catch(this.#failed);
  }

  /** Brings the newest message into sight. */
  toEnd(): void {
    this.#messages.toEnd();
  }

  leave(): void {
    this.#left = true;
  }
}

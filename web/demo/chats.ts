// All conversations of this browser. Each is followed, and worked on, whichever of them is shown.
import { type Conversation, type Handler, type Holdfast, HoldfastError, type Message, type Storable, type Verification } from "@holdfast-dev/holdfast";
import type { Tools } from "./agent/agent.js";
import { agentOf } from "./agent/agents.js";
import { askedBy, field, isDamage, isUnfinished, textOf } from "./message.js";

const prefix = "chat/";

/**
 * Who works on a chat. `"here"`: this tab. `"elsewhere"`: another one, and this one watches. `"starting"`: nobody yet.
 * `"asking"`: nobody, until the user has answered a question.
 * `"idle"`: there is nothing to do. `"stopped"`: this tab has, since the storage has failed.
 */
export type Role = "here" | "elsewhere" | "starting" | "asking" | "idle" | "stopped";

/** What chats tell the page. */
export interface Listener {
  /** Something about a chat has changed. */
  changed(chat: Chat): void;
  /** The storage has failed, or has lost the end of a chat. An agent that has stopped for it goes on with `goOn`. */
  failed(error: HoldfastError): void;
}

/** One conversation. */
export class Chat {
  readonly conversation: Conversation;
  readonly #tools: Tools;
  readonly #listener: Listener;
  readonly #end: () => void;
  #stop: () => Promise<void> = () => Promise.resolve();
  /** The message that this tab is working on. */
  #active: string | undefined;
  #elsewhere = false;
  /** The branch that this tab sees. */
  #seen: readonly Message[] = [];
  #sending = 0;
  #sent: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(conversation: Conversation, tools: Tools, listener: Listener) {
    this.conversation = conversation;
    this.#tools = tools;
    this.#listener = listener;
    this.see();
    this.#end = conversation.subscribe(() => {
      this.see();
      void this.#look();
      listener.changed(this);
    });
    this.#process();
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

  /** What the user has called it, or else its first question. */
  get title(): string {
    const [first] = this.conversation.state.received;
    return field(this.conversation.metadata, "title") ?? (first === undefined ? "New conversation" : textOf(first.body));
  }

  get isPinned(): boolean {
    return this.conversation.metadata["pinned"] === true;
  }

  get role(): Role {
    if (this.#stopped) return "stopped";
    const next = this.current;
    if (next !== undefined && askedBy(next) !== undefined) return "asking";
    if (this.#active !== undefined) return "here";
    if (next === undefined) return "idle";
    return this.#elsewhere ? "elsewhere" : "starting";
  }

  /** Whether nobody has written into it yet. */
  get isFresh(): boolean {
    return this.conversation.expectedSeq === 0;
  }

  /** Whether nobody is about to write into it either. */
  get isFree(): boolean {
    return this.isFresh && this.#sending === 0;
  }

  /** Stores a message, and sees its branch. Without `after` it follows what is seen then. */
  async send(body: Storable, after?: string | null): Promise<void> {
    this.#sending++;
    const sending = this.#store(body, after, this.#sent);
    this.#sent = sending.catch(() => undefined);
    try {
      await sending;
    } finally {
      this.#sending--;
    }
  }

  /** One after the other: what is sent next may follow this one. */
  async #store(body: Storable, after: string | null | undefined, before: Promise<void>): Promise<void> {
    await before;
    this.see(await this.conversation.send({ body, after: after === undefined ? this.#last : after }));
    this.#listener.changed(this);
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

  /** Without a title it is called by its first question again. */
  async rename(title: string): Promise<void> {
    await this.conversation.setMetadata({ title: title === "" ? undefined : title });
  }

  async pin(pinned: boolean): Promise<void> {
    await this.conversation.setMetadata({ pinned: pinned || undefined });
  }

  /** Lets the agent work again, if it has stopped. */
  goOn(): void {
    if (!this.#stopped) return;
    this.#process();
    this.#listener.changed(this);
  }

  /** Lets go of the conversation. */
  leave(): void {
    this.#end();
    void this.#stop();
  }

  /** The runner tries again by itself when the storage has failed. People are asked first: they may have to make room. */
  #process(): void {
    this.#stopped = false;
    const stop = this.conversation.process(this.#handle, {
      onError: (error) => {
        if (!(error instanceof HoldfastError)) return reportError(error); // of an agent, whose message has failed of it
        if (error.code === "lost_ownership") return; // another tab goes on
        this.#stopped = true;
        void stop();
        this.#listener.changed(this);
        this.#listener.failed(error);
      },
    });
    this.#stop = stop;
  }

  readonly #handle: Handler = async (work) => {
    this.#work(work.message.id);
    work.signal.addEventListener("abort", () => this.#work(undefined));
    try {
      await agentOf(work.message.body).answer(work, this.#tools);
    } finally {
      if (!work.signal.aborted) this.#work(undefined);
    }
  };

  /** Finds out whether another tab works on it. */
  async #look(): Promise<void> {
    if (this.role !== "starting" && this.role !== "elsewhere") return;
    const place = await this.conversation.runner().catch(() => undefined); // whose failure is told where something is appended
    const elsewhere = place === "elsewhere";
    if (elsewhere === this.#elsewhere) return;
    this.#elsewhere = elsewhere;
    this.#listener.changed(this);
  }

  #work(id: string | undefined): void {
    this.#active = id;
    this.#elsewhere = false;
    this.#listener.changed(this);
  }
}

export class Chats {
  readonly #holdfast: Holdfast;
  readonly #tools: Tools;
  readonly #listener: Listener;
  readonly #open = new Map<string, Chat>();
  readonly #damaged = new Map<string, Verification>();
  #updating: Promise<void> = Promise.resolve();

  constructor(holdfast: Holdfast, tools: Tools, listener: Listener) {
    this.#holdfast = holdfast;
    this.#tools = tools;
    this.#listener = listener;
  }

  /** Those with messages: first those that are pinned, and newest first. Ids begin with the time they were made at. */
  get all(): readonly Chat[] {
    const used = [...this.#open.values()].filter(({ messages }) => messages.length > 0);
    return used.sort((a, b) => Number(b.isPinned) - Number(a.isPinned) || (a.id < b.id ? 1 : -1));
  }

  /** Those that cannot be opened, and why. */
  get damaged(): readonly Verification[] {
    return [...this.#damaged.values()];
  }

  /** Whether a chat has not been let go of. */
  has(chat: Chat): boolean {
    return this.#open.get(chat.id) === chat;
  }

  /** Lets the agents work again that have stopped; undefined if none has. */
  get goOn(): (() => void) | undefined {
    const stopped = [...this.#open.values()].filter(({ role }) => role === "stopped");
    return stopped.length === 0 ? undefined : () => stopped.forEach((chat) => chat.goOn());
  }

  /** Opens what is new in the store, and lets go of what is gone from it. */
  update(): Promise<void> {
    this.#updating = this.#updating.catch(() => undefined).then(() => this.#update());
    return this.#updating;
  }

  async #update(): Promise<void> {
    const stored = new Set((await this.#holdfast.conversations(prefix)).map(({ id }) => id));
    for (const id of stored) if (!this.#open.has(id)) await this.#recover(id);
    for (const id of this.#damaged.keys()) if (!stored.has(id)) this.#damaged.delete(id);
    for (const [id, chat] of this.#open) {
      if (stored.has(id) || chat.isFresh) continue;
      chat.leave();
      this.#open.delete(id);
    }
  }

  /** Opens a chat. One that is damaged must not keep the others from opening. */
  async #recover(id: string): Promise<void> {
    try {
      this.#keep(await this.#holdfast.recover(id));
      this.#damaged.delete(id);
    } catch (error) {
      if (!isDamage(error)) throw error;
      const found = await this.#holdfast.verify(id);
      if (found.damage.some(({ from }) => from < found.head)) {
        this.#damaged.set(id, found);
        return;
      }
      this.#keep(await this.#holdfast.recover(id)); // only its end is lost, and it has been told of that
      this.#listener.failed(error);
    }
  }

  /** A chat without messages. It is stored with the first one. */
  create(): Chat {
    for (const chat of this.#open.values()) if (chat.isFree) return chat;
    const [random = 0] = crypto.getRandomValues(new Uint32Array(1)); // randomUUID is for pages of HTTPS
    const id = `${prefix}${Date.now().toString(36)}-${random.toString(16).padStart(8, "0")}`;
    return this.#keep(this.#holdfast.create(id));
  }

  async delete(id: string): Promise<void> {
    await this.#holdfast.delete(id);
    await this.update();
  }

  #keep(conversation: Conversation): Chat {
    const chat = new Chat(conversation, this.#tools, this.#listener);
    this.#open.set(conversation.id, chat);
    return chat;
  }
}

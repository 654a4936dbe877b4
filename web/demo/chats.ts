// All conversations of this browser: the list of them, those that were opened, and the agents at work in them.
import { type Conversation, type Handler, type Holdfast, HoldfastError, type Summary, type Verification, type Work } from "@holdfast-dev/holdfast";
import type { Tools } from "./agent/agent.js";
import { agentOf } from "./agent/agents.js";
import { type Agents, Chat, type Role } from "./chat.js";
import { field, isDamage } from "./message.js";

const prefix = "chat/";

/** What chats tell the page. */
export interface Listener {
  /** Something about a chat has changed, or whether agents work on it. */
  changed(): void;
  /** The storage has failed, or has lost the end of a chat. Agents that have stopped for it go on with `work`. */
  failed(error: unknown): void;
}

/** A conversation in the list. */
export interface Entry {
  readonly id: string;
  readonly title: string;
  readonly isPinned: boolean;
  readonly role: Role;
}

export class Chats implements Agents {
  readonly #holdfast: Holdfast;
  readonly #tools: Tools;
  readonly #listener: Listener;
  #rows: readonly Summary[] = [];
  readonly #open = new Map<string, Chat>();
  readonly #damaged = new Map<string, Verification>();
  /** What this tab works on. */
  readonly #works = new Set<Work>();
  #stopped = false;

  constructor(holdfast: Holdfast, tools: Tools, listener: Listener) {
    this.#holdfast = holdfast;
    this.#tools = tools;
    this.#listener = listener;
  }

  /** Those that can be opened: first those that are pinned, and then those with the latest news. */
  get entries(): readonly Entry[] {
    const rows = this.#rows.filter(({ id }) => !this.#damaged.has(id));
    const entries = rows.map((row) => ({ id: row.id, title: field(row.metadata, "title") ?? "New conversation", isPinned: row.metadata["pinned"] === true, role: this.#roleOf(row) }));
    return entries.sort((a, b) => Number(b.isPinned) - Number(a.isPinned));
  }

  /** Those that cannot be opened, and why. */
  get damaged(): readonly Verification[] {
    return [...this.#damaged.values()];
  }

  /** Whether a chat has not been let go of. */
  has(chat: Chat): boolean {
    return this.#open.get(chat.id) === chat;
  }

  get stopped(): boolean {
    return this.#stopped;
  }

  isAt(id: string): boolean {
    return [...this.#works].some(({ conversation }) => conversation.id === id);
  }

  /** Reads the list, and lets go of what is gone. */
  async update(): Promise<void> {
    const stored = [...this.#open.values()].filter(({ conversation }) => conversation.expectedSeq > 0); // what is begun from now on may not be in the list
    const rows: Summary[] = [];
    for (let after: string | undefined; ; ) {
      const page = await this.#holdfast.list({ prefix, limit: 999, ...(after !== undefined && { after }) });
      rows.push(...page.rows);
      if ((after = page.next) === undefined) break;
    }
    this.#rows = rows;
    const ids = new Set(rows.map(({ id }) => id));
    for (const id of this.#damaged.keys()) if (!ids.has(id)) this.#damaged.delete(id);
    for (const chat of stored) {
      if (ids.has(chat.id)) continue;
      chat.leave();
      this.#open.delete(chat.id);
    }
  }

  /** Opens a chat. Undefined if it is damaged: it is among those then. */
  async open(id: string): Promise<Chat | undefined> {
    const open = this.#open.get(id);
    if (open !== undefined) return open;
    try {
      return this.#keep(await this.#holdfast.recover(id));
    } catch (error) {
      if (!isDamage(error)) throw error;
      if (await this.#isDamaged(id)) return undefined;
      const chat = this.#keep(await this.#holdfast.recover(id)); // only its end is lost, and it has been told of that
      this.#listener.failed(error);
      return chat;
    }
  }

  /** A chat without messages. It is stored with the first one. */
  create(): Chat {
    const [random = 0] = crypto.getRandomValues(new Uint32Array(1)); // randomUUID is for pages of HTTPS
    const id = `${prefix}${Date.now().toString(36)}-${random.toString(16).padStart(8, "0")}`;
    return this.#keep(this.#holdfast.create(id));
  }

  async rename(id: string, title: string): Promise<void> {
    await (await this.open(id))?.rename(title);
  }

  async pin(id: string, pinned: boolean): Promise<void> {
    await (await this.open(id))?.conversation.setMetadata({ pinned: pinned || undefined }, { onlyIf: "exists" });
  }

  async delete(id: string): Promise<void> {
    await this.#holdfast.delete(id);
    await this.update();
  }

  /** Lets the agents work, in whichever conversation there is something to do. Tabs share them. */
  work(): void {
    this.#stopped = false;
    const stop = this.#holdfast.process(this.#handle, { prefix, onError: (error) => this.#heard(error, stop) });
    this.#listener.changed();
  }

  /** The runner tries again by itself when the storage has failed. People are asked first: they may have to make room. */
  #heard(error: Error, stop: () => Promise<void>): void {
    if (!(error instanceof HoldfastError) || error.code === "step_mismatch") return reportError(error); // of an agent, whose message has failed of it
    if (error.code === "lost_ownership") return; // another tab goes on
    if (isDamage(error) && error.stream !== undefined) return void this.#tell(error.stream);
    this.#stopped = true;
    void stop();
    this.#listener.changed();
    this.#listener.failed(error);
  }

  /** Opens a conversation that is damaged, which says what is wrong with it. */
  async #tell(id: string): Promise<void> {
    await this.open(id).catch((error: unknown) => this.#listener.failed(error));
    this.#listener.changed();
  }

  readonly #handle: Handler = async (work) => {
    const end = (): void => void (this.#works.delete(work) && this.#listener.changed());
    this.#works.add(work);
    this.#listener.changed();
    work.signal.addEventListener("abort", end);
    try {
      await agentOf(work.message.body).answer(work, this.#tools);
    } finally {
      end();
    }
  };

  #roleOf({ id, unfinished, due }: Summary): Role {
    const chat = this.#open.get(id);
    if (chat !== undefined) return chat.role;
    if (unfinished === 0) return "idle";
    if (this.#stopped) return "stopped";
    if (due === undefined) return "asking"; // nothing goes on by itself
    return this.isAt(id) ? "here" : "elsewhere";
  }

  /** Whether more of it is damaged than its end, and of that all is known. */
  async #isDamaged(id: string): Promise<boolean> {
    const found = await this.#holdfast.verify(id);
    if (!found.damage.some(({ from }) => from < found.head)) return false;
    this.#damaged.set(id, found);
    return true;
  }

  #keep(conversation: Conversation): Chat {
    const open = this.#open.get(conversation.id);
    if (open !== undefined) return open; // by another call at the same time
    const chat = new Chat(conversation, this, () => this.#listener.changed());
    this.#open.set(chat.id, chat);
    return chat;
  }
}

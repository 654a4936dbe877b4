// The demo: a chat client whose conversations, answers and files are all kept by Holdfast.
import type { Holdfast } from "@holdfast-dev/holdfast";
import { bodyOf } from "./agent/agents.js";
import type { Chat } from "./chat.js";
import { Chats } from "./chats.js";
import { Library } from "./library.js";
import type { Recovery } from "./recovery.js";
import { Room } from "./room.js";
import { Settings } from "./settings.js";
import { Banner } from "./view/banner.js";
import { Composer } from "./view/composer.js";
import { ConnectionView } from "./view/connection.js";
import type { Errors } from "./view/errors.js";
import { Files } from "./view/files.js";
import { Frame } from "./view/frame.js";
import { Sidebar } from "./view/sidebar.js";
import { Storage } from "./view/storage.js";

export class App {
  readonly #chats: Chats;
  readonly #frame = new Frame(() => this.#room?.stop());
  readonly #banner = new Banner();
  readonly #sidebar: Sidebar;
  readonly #files: Files;
  readonly #connection: ConnectionView;
  readonly #composer: Composer;
  readonly #settings: Settings;
  readonly #storage: Storage;
  readonly #failed: (error: unknown) => void;
  #room: Room | undefined;
  /** The conversation that was chosen last. */
  #chosen: string | undefined;
  #relisting = false;
  #stale = false;

  constructor(holdfast: Holdfast, errors: Errors) {
    this.#failed = (error) => errors.show(error, this.#chats.stopped ? () => this.#chats.work() : undefined);
    const library = new Library(holdfast);
    const settings = (this.#settings = new Settings(() => this.#connection.show()));
    const tools = {
      search: (query: string) => library.search(query),
      quote: (text: string) => library.quote(text),
      connection: (signal: AbortSignal) => settings.connection(signal),
    };
    this.#chats = new Chats(holdfast, tools, { changed: () => this.#show(), failed: this.#failed });
    this.#connection = new ConnectionView(settings, errors);
    this.#storage = new Storage(holdfast, this.#failed);
    this.#files = new Files(library, (name) => this.#frame.confirm(`Delete the file “${name}”?`, "Its text goes, in every tab. What was quoted from it stays."), this.#failed);
    this.#sidebar = new Sidebar({
      select: (id) => void this.#open(id).catch(this.#failed),
      rename: async (id, title) => await this.#chats.rename(id, title).catch((error: unknown) => {
        this.#failed(error);
        throw error;
      }),
      pin: (id, pinned) => void this.#chats.pin(id, pinned).catch(this.#failed),
      delete: (id) => void this.#delete(id).catch(this.#failed),
      create: () => this.#select(this.#chats.create()),
    });
    this.#composer = new Composer(async (text) => await this.#room?.send(text));
    holdfast.subscribe(() => void this.#relist().catch(this.#failed));
  }

  async start(): Promise<void> {
    this.#connection.offer();
    const start = performance.now();
    await this.#chats.update();
    const { entries } = this.#chats;
    const first = entries.find(({ role }) => role !== "idle") ?? entries[0];
    const chat = (first && (await this.#chats.open(first.id))) ?? this.#chats.create();
    this.#select(chat, { events: chat.conversation.expectedSeq, milliseconds: performance.now() - start });
    this.#chats.work();
    await this.#files.start(this.#settings.arrive());
    this.#composer.enable();
  }

  /** Shows a conversation, unless another one is chosen while it is read. */
  async #open(id: string): Promise<void> {
    this.#chosen = id;
    const chat = await this.#chats.open(id);
    if (this.#chosen !== id) return;
    if (chat !== undefined) return this.#select(chat);
    this.#chosen = this.#room?.chat.id; // it is damaged
    await this.#leaveWhatIsGone();
  }

  #select(chat: Chat, recovery?: Recovery): void {
    this.#chosen = chat.id;
    this.#room?.leave();
    this.#room = new Room(chat, this.#banner, recovery, (text) => bodyOf(text, this.#connection.agent), this.#failed);
    this.#frame.closeMenu();
    this.#composer.focus();
    this.#show();
  }

  #show(): void {
    const { entries, damaged } = this.#chats;
    const chat = this.#room?.chat;
    this.#sidebar.show(entries, chat?.id, damaged);
    if (chat === undefined) return;
    this.#frame.show(chat.role, chat.role === "here" || chat.role === "asking" || entries.some(({ role }) => role === "here" || role === "asking"));
    this.#room?.show();
    this.#storage.update().catch(this.#failed);
  }

  /** Shows what has come and what has gone; once more, if that changes while it looks. */
  async #relist(): Promise<void> {
    this.#stale = true;
    if (this.#relisting) return;
    this.#relisting = true;
    try {
      while (this.#stale) {
        this.#stale = false;
        await this.#chats.update();
        await this.#leaveWhatIsGone();
        await this.#files.show();
      }
    } finally {
      this.#relisting = false;
    }
  }

  async #leaveWhatIsGone(): Promise<void> {
    const chat = this.#room?.chat;
    if (chat === undefined || this.#chats.has(chat)) return this.#show();
    const [next] = this.#chats.entries;
    const other = (next && (await this.#chats.open(next.id))) ?? this.#chats.create();
    if (this.#chosen === chat.id) this.#select(other); // else another one was chosen while that was read
  }

  async #delete(id: string): Promise<void> {
    const sure = await this.#frame.confirm("Delete this conversation?", "All its messages, steps and answers go, in every tab. This cannot be undone.");
    if (!sure) return;
    await this.#chats.delete(id);
    await this.#leaveWhatIsGone();
  }
}

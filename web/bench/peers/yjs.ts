// Yjs with y-indexeddb: a document for each log, its events in an array.
import { IndexeddbPersistence } from "y-indexeddb";
import { Doc } from "yjs";
import { addFields, type Fields, fields } from "./documents.js";
import { type AgentEvent, type Log, Messages, type Peer } from "./peer.js";

export const yjs: Peer = {
  name: "y-indexeddb",
  check: "none",
  strict: false,
  note: "9.0.12 with yjs 13.6.33; merges whatever comes; does not tell when it has stored, so a read behind the write tells; has no option for strict durability",
  open: (name) => Promise.resolve(new YLog(name)),
};

interface Stored {
  readonly doc: Doc;
  readonly store: IndexeddbPersistence;
}

class YLog implements Log {
  readonly #name: string;
  readonly #open = new Map<string, Promise<Stored>>();

  constructor(name: string) {
    this.#name = name;
  }

  append(stream: string, expected: number, event: AgentEvent): Promise<void> {
    return this.batch(stream, expected, [event]);
  }

  async batch(stream: string, _expected: number, events: readonly AgentEvent[]): Promise<void> {
    let opened = this.#open.get(stream);
    if (opened === undefined) this.#open.set(stream, (opened = this.#load(stream)));
    const { doc, store } = await opened;
    doc.getArray<Fields>("events").push(events.map(fields));
    await store.get("written"); // it began after the write, and so is answered after its commit
  }

  async recover(stream: string): Promise<number> {
    const { doc, store } = await this.#load(stream);
    const state = new Messages();
    doc.getArray<Fields>("events").forEach((event) => addFields(state, event));
    await store.destroy();
    doc.destroy();
    return state.count;
  }

  async #load(stream: string): Promise<Stored> {
    const doc = new Doc();
    const store = new IndexeddbPersistence(`${this.#name}/${stream}`, doc);
    await store.whenSynced;
    return { doc, store };
  }

  async close(): Promise<void> {
    for (const opened of this.#open.values()) {
      const { doc, store } = await opened;
      await store.destroy();
      doc.destroy();
    }
  }
}

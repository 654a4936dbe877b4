// Yjs with y-indexeddb: a document for each log, its events in an array.
import { IndexeddbPersistence } from "y-indexeddb";
import { Doc } from "yjs";
import { addFields, type Fields, fields } from "./documents.js";
import { type AgentEvent, type Log, Messages, type Peer } from "./peer.js";

export const yjs: Peer = {
  name: "y-indexeddb",
  check: "none",
  strict: false,
  note: "9.0.12 with yjs 13.6.33; merges whatever comes, checks nothing; does not tell when it has stored, so a read behind the write tells; has no option for strict durability",
  open: (name) => Promise.resolve(new YLog(name)),
};

class YLog implements Log {
  readonly #name: string;
  readonly #open = new Map<string, { readonly doc: Doc; readonly stored: IndexeddbPersistence }>();

  constructor(name: string) {
    this.#name = name;
  }

  append(stream: string, expected: number, event: AgentEvent): Promise<void> {
    return this.batch(stream, expected, [event]);
  }

  async batch(stream: string, _expected: number, events: readonly AgentEvent[]): Promise<void> {
    const { doc, stored } = this.#open.get(stream) ?? (await this.#load(stream));
    doc.getArray<Fields>("events").push(events.map(fields));
    await stored.get("written"); // it began after the write, and so is answered after its commit
  }

  async recover(stream: string): Promise<number> {
    const { doc, stored } = await this.#read(stream);
    const state = new Messages();
    doc.getArray<Fields>("events").forEach((event) => addFields(state, event));
    await stored.destroy();
    doc.destroy();
    return state.count;
  }

  async #load(stream: string): Promise<{ readonly doc: Doc; readonly stored: IndexeddbPersistence }> {
    const loaded = await this.#read(stream);
    this.#open.set(stream, loaded);
    return loaded;
  }

  async #read(stream: string): Promise<{ readonly doc: Doc; readonly stored: IndexeddbPersistence }> {
    const doc = new Doc();
    const stored = new IndexeddbPersistence(`${this.#name}/${stream}`, doc);
    await stored.whenSynced;
    return { doc, stored };
  }

  async close(): Promise<void> {
    for (const { doc, stored } of this.#open.values()) {
      await stored.destroy();
      doc.destroy();
    }
  }
}

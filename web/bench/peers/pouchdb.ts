// PouchDB on its IndexedDB adapter.
import PouchDB from "pouchdb-browser";
import { addFields, type Fields, fields, place } from "./documents.js";
import { type AgentEvent, type Log, Messages, type Peer } from "./peer.js";

export const pouchdb: Peer = {
  name: "PouchDB",
  check: "place taken",
  strict: false,
  note: "9.0.0, adapter idb; has no option for strict durability",
  open: (name) => Promise.resolve(new PouchLog(new PouchDB<Fields>(name, { auto_compaction: false, revs_limit: 1 }))),
};

class PouchLog implements Log {
  readonly #database: PouchDB<Fields>;

  constructor(database: PouchDB<Fields>) {
    this.#database = database;
  }

  async append(stream: string, expected: number, event: AgentEvent): Promise<void> {
    await this.#database.put({ _id: place(stream, expected + 1), ...fields(event) });
  }

  async batch(stream: string, expected: number, events: readonly AgentEvent[]): Promise<void> {
    const answers = await this.#database.bulkDocs(events.map((event, i) => ({ _id: place(stream, expected + i + 1), ...fields(event) })));
    if (answers.some((answer) => answer.error === true)) throw new Error("conflict");
  }

  async recover(stream: string): Promise<number> {
    const found = await this.#database.allDocs({ include_docs: true, startkey: place(stream, 0), endkey: `${stream}0` });
    const state = new Messages();
    for (const row of found.rows) addFields(state, row.doc);
    return state.count;
  }

  close(): Promise<void> {
    return this.#database.close();
  }
}

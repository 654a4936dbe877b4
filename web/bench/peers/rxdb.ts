// RxDB on the storage that comes with it for free, which is Dexie.
import { createRxDatabase, normalizeMangoQuery, prepareQuery, type RxCollection, type RxDatabase, type RxJsonSchema } from "rxdb/plugins/core";
import { getRxStorageDexie } from "rxdb/plugins/storage-dexie";
import { addFields, type Fields, fields, place } from "./documents.js";
import { type AgentEvent, type Log, Messages, type Peer } from "./peer.js";

type Document = Fields & { readonly place: string };

const schema: RxJsonSchema<Document> = {
  version: 0,
  primaryKey: "place",
  type: "object",
  properties: {
    place: { type: "string", maxLength: 100 },
    event: { type: "string" },
    message: { type: "string" },
    step: { type: "integer" },
    output: { type: "string" },
  },
  required: ["place", "event", "message", "step", "output"],
};

export const rxdb: Peer = {
  name: "RxDB",
  check: "place taken",
  strict: true,
  note: "17.6.0 on its Dexie storage; gathers inserts by itself",
  async open(name, durability) {
    const database = await createRxDatabase({
      name,
      storage: getRxStorageDexie({ chromeTransactionDurability: durability }),
      multiInstance: true, // several tabs, as all the others
      closeDuplicates: true,
    });
    const { events } = await database.addCollections<{ events: RxCollection<Document> }>({ events: { schema } });
    return new RxLog(database, events);
  },
};

class RxLog implements Log {
  readonly #database: RxDatabase;
  readonly #events: RxCollection<Document>;

  constructor(database: RxDatabase, events: RxCollection<Document>) {
    this.#database = database;
    this.#events = events;
  }

  async append(stream: string, expected: number, event: AgentEvent): Promise<void> {
    await this.#events.insert({ place: place(stream, expected + 1), ...fields(event) });
  }

  async batch(stream: string, expected: number, events: readonly AgentEvent[]): Promise<void> {
    const { error } = await this.#events.bulkInsert(events.map((event, i) => ({ place: place(stream, expected + i + 1), ...fields(event) })));
    if (error.length > 0) throw new Error("conflict");
  }

  async recover(stream: string): Promise<number> {
    // Its collections keep in memory what they have read; the storage below has to read. Sorted by the primary key.
    const { storageInstance } = this.#events;
    const query = normalizeMangoQuery(storageInstance.schema, { selector: { place: { $gt: place(stream, 0), $lt: `${stream}0` } } });
    const { documents } = await storageInstance.query(prepareQuery(storageInstance.schema, query));
    const state = new Messages();
    for (const document of documents) addFields(state, document);
    return state.count;
  }

  async close(): Promise<void> {
    await this.#database.close();
  }
}

// idb: the floor's transaction, written with promises.
import { type DBSchema, type IDBPDatabase, openDB } from "idb";
import { addBytes, toBytes } from "./bytes.js";
import { isHead } from "./floor.js";
import { type AgentEvent, type Durability, type Log, Messages, type Peer } from "./peer.js";

interface Schema extends DBSchema {
  events: { key: [string, number]; value: Uint8Array };
}

export const idb: Peer = {
  name: "idb",
  check: "expected sequence",
  strict: true,
  note: "8.0.4; the same rows and the same check as by hand",
  async open(name, durability) {
    return new Idb(
      await openDB<Schema>(name, 1, {
        upgrade: (created) => void created.createObjectStore("events"),
      }),
      durability,
    );
  },
};

class Idb implements Log {
  readonly #database: IDBPDatabase<Schema>;
  readonly #durability: Durability;

  constructor(database: IDBPDatabase<Schema>, durability: Durability) {
    this.#database = database;
    this.#durability = durability;
  }

  append(stream: string, expected: number, event: AgentEvent): Promise<void> {
    return this.batch(stream, expected, [event]);
  }

  async batch(stream: string, expected: number, events: readonly AgentEvent[]): Promise<void> {
    const rows = events.map(toBytes);
    const transaction = this.#database.transaction("events", "readwrite", { durability: this.#durability });
    const head = transaction.store.getAllKeys(range(stream, expected), 2);
    // An aborted transaction rejects each of its requests, and `done` besides.
    const added = rows.map((bytes, i) => transaction.store.add(bytes, [stream, expected + i + 1]));
    const settled = Promise.allSettled([...added, transaction.done]);
    if (isHead(await head, expected)) transaction.commit();
    else transaction.abort();
    await settled;
    await transaction.done;
  }

  async recover(stream: string): Promise<number> {
    const state = new Messages();
    for (const bytes of await this.#database.getAll("events", range(stream, 0))) addBytes(state, bytes);
    return state.count;
  }

  close(): Promise<void> {
    this.#database.close();
    return Promise.resolve();
  }
}

function range(stream: string, from: number): IDBKeyRange {
  return IDBKeyRange.bound([stream, from], [stream, Infinity]);
}

// Dexie. The release is the one that RxDB brings: two in one page refuse to work.
import { type Collection, Dexie, type IndexableTypeArrayReadonly, type Table } from "dexie";
import { addBytes, toBytes } from "./bytes.js";
import { isHead } from "./floor.js";
import { type AgentEvent, type Log, Messages, type Peer } from "./peer.js";

type Rows = Table<Uint8Array, [string, number]>;

export const dexie: Peer = {
  name: "Dexie",
  check: "expected sequence",
  strict: true,
  note: "4.4.2; the option chromeTransactionDurability gives the durability",
  async open(name, durability) {
    const database = new Dexie(name, { chromeTransactionDurability: durability });
    database.version(1).stores({ events: "" });
    await database.open();
    return new DexieLog(database);
  },
};

class DexieLog implements Log {
  readonly #database: Dexie;
  readonly #events: Rows;

  constructor(database: Dexie) {
    this.#database = database;
    this.#events = database.table("events");
  }

  append(stream: string, expected: number, event: AgentEvent): Promise<void> {
    const bytes = toBytes(event);
    return this.#update(stream, expected, () => this.#events.add(bytes, [stream, expected + 1]));
  }

  batch(stream: string, expected: number, events: readonly AgentEvent[]): Promise<void> {
    const rows = events.map(toBytes);
    const keys = rows.map((_, i): [string, number] => [stream, expected + i + 1]);
    return this.#update(stream, expected, () => this.#events.bulkAdd(rows, keys as unknown as IndexableTypeArrayReadonly));
  }

  async #update(stream: string, expected: number, write: () => PromiseLike<unknown>): Promise<void> {
    await this.#database.transaction("rw", this.#events, async () => {
      const keys = await this.#range(stream, expected).limit(2).primaryKeys();
      if (!isHead(keys, expected)) throw new Error("conflict");
      await write();
    });
  }

  async recover(stream: string): Promise<number> {
    const state = new Messages();
    for (const bytes of await this.#range(stream, 0).toArray()) addBytes(state, bytes);
    return state.count;
  }

  #range(stream: string, from: number): Collection<Uint8Array, [string, number]> {
    return this.#events.where(":id").between([stream, from], [stream, Infinity], true, true);
  }

  close(): Promise<void> {
    this.#database.close();
    return Promise.resolve();
  }
}

// The floor: IndexedDB by hand. One row for each event, under [stream, sequence behind it]; one round trip for an append.
import { addBytes, toBytes } from "./bytes.js";
import { type AgentEvent, type Durability, type Log, Messages, type Peer } from "./peer.js";

export const floor: Peer = {
  name: "by hand",
  check: "expected sequence",
  strict: true,
  note: "the floor; one row for each event, one round trip, nothing else",
  open: async (name, durability) => new Floor(await database(name), durability),
};

class Floor implements Log {
  readonly #database: IDBDatabase;
  readonly #durability: Durability;

  constructor(opened: IDBDatabase, durability: Durability) {
    this.#database = opened;
    this.#durability = durability;
  }

  append(stream: string, expected: number, event: AgentEvent): Promise<void> {
    return this.batch(stream, expected, [event]);
  }

  batch(stream: string, expected: number, batch: readonly AgentEvent[]): Promise<void> {
    return new Promise((resolve, reject) => {
      const rows = batch.map(toBytes);
      const transaction = this.#database.transaction("events", "readwrite", { durability: this.#durability });
      const events = transaction.objectStore("events");
      const head = events.getAllKeys(IDBKeyRange.bound([stream, expected], [stream, Infinity]), 2);
      let end = expected;
      for (const bytes of rows) events.add(bytes, [stream, ++end]);
      head.onsuccess = () => {
        if (isHead(head.result, expected)) transaction.commit();
        else transaction.abort();
      };
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(transaction.error ?? new Error("conflict"));
    });
  }

  recover(stream: string): Promise<number> {
    return new Promise((resolve, reject) => {
      const request = this.#database.transaction("events").objectStore("events").getAll(IDBKeyRange.bound([stream, 0], [stream, Infinity]));
      request.onerror = () => reject(request.error ?? new Error("no log"));
      request.onsuccess = () => {
        const state = new Messages();
        for (const bytes of request.result as Uint8Array[]) addBytes(state, bytes);
        resolve(state.count);
      };
    });
  }

  list(): Promise<number> {
    return new Promise((resolve, reject) => {
      const request = this.#database.transaction("events").objectStore("events").getAllKeys();
      request.onerror = () => reject(request.error ?? new Error("no list"));
      // Of the keys of one log the last stays, which has its length.
      request.onsuccess = () => resolve(new Map(request.result as [string, number][]).size);
    });
  }

  close(): Promise<void> {
    this.#database.close();
    return Promise.resolve();
  }
}

/** Whether the keys at and behind the expected head say that it is the head. */
export function isHead(keys: readonly unknown[], expected: number): boolean {
  if (expected === 0) return keys.length === 0;
  return keys.length === 1 && (keys[0] as [string, number])[1] === expected;
}

function database(name: string): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(name, 1);
    request.onupgradeneeded = () => request.result.createObjectStore("events");
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("no database"));
  });
}

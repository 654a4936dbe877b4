// The log of a conversation as its bytes, in the database of Holdfast: a crash leaves the beginning of it.
import { eventsOf, record, recordKey } from "../../harness/record.js";

const store = "records";

/** The events of a conversation of this database. */
export async function readLog(database: string, id: string): Promise<Uint8Array[]> {
  return await within(database, "readonly", async (records) => {
    const found = await result(records.getAll(IDBKeyRange.bound(recordKey(id, 0), recordKey(id, 2 ** 53))));
    return (found as Uint8Array[]).flatMap(eventsOf);
  });
}

/** Makes a conversation of events. */
export async function writeLog(database: string, id: string, events: readonly Uint8Array[]): Promise<void> {
  await within(database, "readwrite", (records) => result(records.add(record(id, 0, Date.now(), events), recordKey(id, events.length))));
}

async function within<T>(database: string, mode: IDBTransactionMode, work: (records: IDBObjectStore) => Promise<T>): Promise<T> {
  const db = await result(indexedDB.open(database));
  try {
    const transaction = db.transaction(store, mode);
    const done = new Promise<void>((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(transaction.error ?? new Error("the transaction was aborted"));
    });
    const value = await work(transaction.objectStore(store));
    await done;
    return value;
  } finally {
    db.close();
  }
}

function result<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("the request has failed"));
  });
}

// The transaction of an append, for the Go program: idbstore/appender_js.go calls it. Step by step from there it takes the
// program dozens of crossings between Go and JavaScript, each of which costs time, and this way a few.

/** Told the end of an append, once: a state, and the name and the message of what went wrong. */
type Ended = (call: number, state: number, name?: string, message?: string) => void;

// The states, as idbstore knows them.
const committed = 0;
const headMoved = 1;
/** It failed before the commit was asked for. */
const failed = 2;
/** It failed behind that. */
const commitFailed = 3;

/** The greatest length of what a tombstone's key has behind that of a record. */
const markLength = 1;

/** An append under way. */
interface Appending {
  readonly tx: IDBTransaction;
  committing: boolean;
}

/** What the Go program finds as `holdfastAppender`. */
export class Appender {
  readonly #appending = new Map<number, Appending>();

  /**
   * Begins a transaction that adds a record if the head is as expected. `bytes` are four parts in a row, which end at
   * `lower`, `upper`, `key` and `value`: the least key of the stream's records from its expected head on, the greatest, the record's key, and the record. The
   * head is as expected if there is no such record where `first` is set, and else only the one whose key is the least, perhaps
   * with a tombstone's mark. Throws as IndexedDB does; then nothing was begun.
   */
  readonly append = (
    call: number,
    db: IDBDatabase,
    store: string,
    options: IDBTransactionOptions,
    first: boolean,
    bytes: Uint8Array<ArrayBuffer>,
    lower: number,
    upper: number,
    key: number,
    value: number,
    ended: Ended,
  ): void => {
    const tx = db.transaction(store, "readwrite", options);
    const appending: Appending = { tx, committing: false };
    let state = failed;
    // The end is an event of the transaction: request success is no commit (Indexed Database API 3.0, section 5.4).
    // But if the record is refused behind the call of commit(), Firefox says `complete` although it has not stored it (seen
    // with 153), and WebKit leaves the error of the transaction null (2.50).
    let refusal: DOMException | null = null;
    tx.onerror = ({ target }) => {
      const { error } = target as IDBRequest;
      if (error?.name !== "AbortError") refusal ??= error; // else the transaction knows why
    };
    const end = (now: number, error: DOMException | null): void => {
      this.#appending.delete(call);
      if (error === null) ended(call, now);
      else ended(call, now, error.name, error.message);
    };
    tx.oncomplete = () => end(refusal === null ? committed : state, refusal);
    tx.onabort = () => end(state, refusal ?? tx.error);
    try {
      const records = tx.objectStore(store);
      const least = bytes.slice(0, lower);
      const heads = records.getAllKeys(IDBKeyRange.bound(least, bytes.subarray(lower, upper)), 2);
      heads.onsuccess = () => {
        if (isExpected(heads.result, least, first)) {
          state = commitFailed;
          appending.committing = true;
          tx.commit();
        } else {
          state = headMoved;
          tx.abort();
        }
      };
      records.add(bytes.slice(key, value), bytes.subarray(upper, key));
    } catch (error) {
      // It would commit what was asked for before.
      tx.onabort = tx.oncomplete = null;
      tx.abort();
      throw error;
    }
    this.#appending.set(call, appending);
  };

  /** Undoes an append, unless its commit was asked for before. Returns whether it was. */
  readonly abort = (call: number): boolean => {
    const appending = this.#appending.get(call);
    if (appending === undefined || appending.committing) return true;
    appending.tx.abort();
    return false;
  };
}

function isExpected(keys: readonly IDBValidKey[], least: Uint8Array, first: boolean): boolean {
  if (first) return keys.length === 0;
  const [key] = keys;
  if (keys.length !== 1 || !(key instanceof ArrayBuffer) || key.byteLength > least.length + markLength) return false;
  const found = new Uint8Array(key);
  return least.every((byte, i) => found[i] === byte);
}

// The transaction of an append, for idbstore/appender_js.go. Step by step from Go it would take
// dozens of crossings between Go and JavaScript, each of which costs time. This way it takes a few.

/** Reports the end of an append, once: a state, and the name and the message of an error. */
type Ended = (call: number, state: number, name?: string, message?: string) => void;

// The states; idbstore/appender_js.go has the same numbers.
const committed = 0;
const headMoved = 1;
/** It failed before the commit was requested. */
const failed = 2;
/** It failed after that. */
const commitFailed = 3;

/** How many bytes the key of a tombstone or of a large record has after those of a small one's. */
const markLength = 1;

/** An append under way. */
interface Appending {
  readonly tx: IDBTransaction;
  committing: boolean;
}

/** Where the next append to a stream looks for the head, after one that has committed. */
export interface Next {
  readonly db: IDBDatabase;
  readonly store: string;
  readonly options: IDBTransactionOptions;
  readonly least: Uint8Array<ArrayBuffer>;
  readonly greatest: Uint8Array<ArrayBuffer>;
}

/** A transaction that looks for a head. */
interface Lookup extends Next {
  readonly tx: IDBTransaction;
  readonly records: IDBObjectStore;
  readonly heads: IDBRequest<IDBValidKey[]>;
}

/** The global `holdfastAppender` of the Go program. */
export class Appender {
  readonly #appending = new Map<number, Appending>();
  readonly #over: (call: number, committed: boolean) => boolean;
  #early: Lookup | undefined;
  #next: Next | undefined;
  #last = 0;

  /** `over` hears of each end first. If it returns true, the Go program is not notified here. */
  constructor(over: (call: number, committed: boolean) => boolean) {
    this.#over = over;
  }

  /** The number of the last append that was begun. */
  get last(): number {
    return this.#last;
  }

  /** Within `over`: where the next append to the same stream looks for the head. */
  get next(): Next | undefined {
    return this.#next;
  }

  /** Begins to look for a head. The next append takes that over if it needs the same one. */
  lookAhead(next: Next): void {
    this.lookNoLonger();
    try {
      this.#early = lookup(next);
    } catch {
      // The append fails for the same reason, and reports it.
    }
  }

  /** Undoes `lookAhead`, unless an append has taken it over. */
  lookNoLonger(): void {
    this.#take()?.tx.abort();
  }

  #take(): Lookup | undefined {
    const early = this.#early;
    this.#early = undefined;
    return early;
  }

  /**
   * Begins a transaction that adds a record if the head is as expected. Throws what IndexedDB
   * throws; then nothing was begun.
   *
   * `bytes` are four parts in a row, which end at `lower`, `upper`, `key` and `value`: the least
   * and the greatest key that the stream's records can have from the expected head on, the new key,
   * and the record. The head is as expected if there is no record between the two where `first` is
   * set; otherwise only the one with the least key, perhaps with a mark.
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
    const next: Next = { db, store, options, least: bytes.slice(0, lower), greatest: bytes.slice(lower, upper) };
    const recordKey = bytes.slice(upper, key);
    const early = this.#take();
    const same = early !== undefined && isSame(early, next);
    if (early !== undefined && !same) early.tx.abort();
    const { tx, records, heads } = same ? early : lookup(next);
    const appending: Appending = { tx, committing: false };
    let state = failed;
    // Only an event of the transaction is the end: the success of a request is no commit (Indexed
    // Database API 3.0, section 5.4). But if the record is refused after the call of commit(),
    // Firefox 153 fires `complete` without having stored it, and WebKit 2.50 leaves tx.error null.
    let refusal: DOMException | null = null;
    tx.onerror = ({ target }) => {
      const { error } = target as IDBRequest;
      if (error?.name !== "AbortError") refusal ??= error; // else tx.error has the reason
    };
    const end = (now: number, error: DOMException | null): void => {
      this.#appending.delete(call);
      const hasCommitted = error === null && now === committed;
      if (hasCommitted) this.#next = { ...next, least: recordKey.slice(0, lower) };
      if (this.#over(call, hasCommitted)) return;
      if (error === null) ended(call, now);
      else ended(call, now, error.name, error.message);
    };
    tx.oncomplete = () => end(refusal === null ? committed : state, refusal);
    tx.onabort = () => end(state, refusal ?? tx.error);
    try {
      heads.onsuccess = () => {
        if (isExpected(heads.result, next.least, first)) {
          state = commitFailed;
          appending.committing = true;
          tx.commit();
        } else {
          state = headMoved;
          tx.abort();
        }
      };
      records.add(bytes.slice(key, value), recordKey);
    } catch (error) {
      // Otherwise the requests made so far would commit.
      tx.onabort = tx.oncomplete = null;
      tx.abort();
      throw error;
    }
    this.#appending.set(call, appending);
    this.#last = call;
  };

  /** Undoes an append, unless its commit was requested before. Returns whether it was. */
  readonly abort = (call: number): boolean => {
    const appending = this.#appending.get(call);
    if (appending === undefined || appending.committing) return true;
    appending.tx.abort();
    return false;
  };
}

function lookup(next: Next): Lookup {
  const tx = next.db.transaction(next.store, "readwrite", next.options);
  try {
    const records = tx.objectStore(next.store);
    return { ...next, tx, records, heads: records.getAllKeys(IDBKeyRange.bound(next.least, next.greatest), 2) };
  } catch (error) {
    tx.abort();
    throw error;
  }
}

function isSame(a: Next, b: Next): boolean {
  return a.db === b.db && a.store === b.store && a.options.durability === b.options.durability && isEqual(a.least, b.least) && isEqual(a.greatest, b.greatest);
}

function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

function isExpected(keys: readonly IDBValidKey[], least: Uint8Array, first: boolean): boolean {
  if (first) return keys.length === 0;
  const [key] = keys;
  if (keys.length !== 1 || !(key instanceof ArrayBuffer) || key.byteLength < least.length || key.byteLength > least.length + markLength) return false;
  return isEqual(new Uint8Array(key, 0, least.length), least);
}

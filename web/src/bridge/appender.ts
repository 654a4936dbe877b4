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

/** The global `holdfastAppender` of the Go program. */
export class Appender {
  readonly #appending = new Map<number, Appending>();
  readonly #over: (call: number, committed: boolean) => boolean;
  #last = 0;
  /** That of the program, once it has started. */
  memory: WebAssembly.Memory | undefined;

  /** `over` hears of each end first. If it returns true, the Go program is not notified here. */
  constructor(over: (call: number, committed: boolean) => boolean) {
    this.#over = over;
  }

  /** The number of the last append that was begun. */
  get last(): number {
    return this.#last;
  }

  /**
   * Begins a transaction that adds a record if the head is as expected. Throws what IndexedDB
   * throws; then nothing was begun.
   *
   * At the address `keys` in the program's memory are three in a row, which end at `lower`, `upper`
   * and `key`: the least and the greatest that the stream's records can have from the expected head
   * on, and the new one. At `value` is the record. The head is as expected if there is no record
   * between the two where `first` is set; otherwise only the one with the least key, perhaps with a
   * mark.
   *
   * Where `directory` is given, it puts a summary there, too. At `parts` are three in a row, which end at
   * `recent`, `due` and `all`: two properties that have indexes, of which the second may be empty,
   * and the summary. The name of the stream is in the first, after eight bytes.
   */
  readonly append = (
    call: number,
    db: IDBDatabase,
    store: string,
    options: IDBTransactionOptions,
    first: boolean,
    keys: number,
    lower: number,
    upper: number,
    key: number,
    value: number,
    size: number,
    ended: Ended,
    directory?: string,
    parts = 0,
    recent = 0,
    due = 0,
    all = 0,
  ): void => {
    const least = this.#copy(keys, lower);
    const tx = db.transaction(directory === undefined ? store : [store, directory], "readwrite", options);
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
      if (this.#over(call, error === null && now === committed)) return;
      if (error === null) ended(call, now);
      else ended(call, now, error.name, error.message);
    };
    tx.oncomplete = () => end(refusal === null ? committed : state, refusal);
    tx.onabort = () => end(state, refusal ?? tx.error);
    try {
      const records = tx.objectStore(store);
      const heads = records.getAllKeys(IDBKeyRange.bound(least, this.#copy(keys + lower, upper - lower)), 2);
      const commit = (): void => {
        state = commitFailed;
        appending.committing = true;
        tx.commit();
      };
      heads.onsuccess = () => {
        if (!isExpected(heads.result, least, first)) {
          state = headMoved;
          tx.abort();
        } else if (directory === undefined) commit();
      };
      records.add(this.#copy(value, size), this.#copy(keys + upper, key - upper));
      if (directory !== undefined) {
        const listed = {
          recent: this.#copy(parts, recent),
          ...(due > recent && { due: this.#copy(parts + recent, due - recent) }),
          summary: this.#copy(parts + due, all - due),
        };
        // Of several changes that are still under way at the commit Firefox keeps some if others fail.
        tx.objectStore(directory).put(listed, listed.recent.slice(8)).onsuccess = commit;
      }
    } catch (error) {
      // Otherwise the requests made so far would commit.
      tx.onabort = tx.oncomplete = null;
      tx.abort();
      throw error;
    }
    this.#appending.set(call, appending);
    this.#last = call;
  };

  #copy(address: number, size: number): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.memory?.buffer as ArrayBuffer, address, size).slice();
  }

  /** Undoes an append, unless its commit was requested before. Returns whether it was. */
  readonly abort = (call: number): boolean => {
    const appending = this.#appending.get(call);
    if (appending === undefined || appending.committing) return true;
    appending.tx.abort();
    return false;
  };
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

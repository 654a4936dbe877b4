import { IDBFactory, IDBKeyRange } from "fake-indexeddb";
import * as check from "./check.js";
import type { Registry } from "./conversation.js";
import { HoldfastError } from "./errors.js";
import { loadModule } from "./load.js";
import { openIn } from "./open.js";
import type { Holdfast, OpenOptions } from "./types.js";

/** What stays in a browser when a page is closed, reloaded or killed. */
export interface SharedStore {
  /**
   * Opens the store as one more page does: what others have stored is there, and of all that call
   * `process` for a conversation one does the work. It stores by the same code as in a browser,
   * in an IndexedDB in memory, without reading or setting a global of the test.
   */
  open(options?: Pick<OpenOptions, "database" | "timeout" | "wasm">): Promise<Holdfast>;
}

/** The ranges that the program makes. fake-indexeddb takes an empty array of bytes for a detached one, and refuses it. */
const ranges = {
  bound: (lower: Uint8Array, upper: Uint8Array) => (lower.length === 0 ? IDBKeyRange.upperBound(upper) : IDBKeyRange.bound(lower, upper)),
};

/** Compiled once: tests open often. */
let compiled: Promise<WebAssembly.Module> | undefined;

/** By what `open` of a shared store has returned. */
const pages = new WeakMap<Holdfast, Page>();

/**
 * Makes a store for tests that several `open`s share, so that a reload or a second tab can be
 * played. It is empty, and is gone with the last reference to it. Needs the package
 * `fake-indexeddb`. Throws `invalid_argument` where that cannot work, as under Vitest with jsdom.
 */
export function sharedStore(): SharedStore {
  // fake-indexeddb knows the bytes of a key by their class.
  if (!(structuredClone(new ArrayBuffer(0)) instanceof ArrayBuffer)) {
    const text = "what structuredClone returns is of another realm here, and fake-indexeddb refuses it as a key";
    throw check.refuse("sharedStore", `${text}; under Vitest with jsdom put // @vitest-environment node at the top of the file`);
  }
  const databases = new IDBFactory();
  const locks = new Locks();
  const channels = new Set<Channel>();
  return {
    open: async (options = {}) => {
      const given = check.options("open", "options", options, { database: true, timeout: true, wasm: true }) as OpenOptions;
      const page = new Page();
      const navigator = { locks };
      const wasm = given.wasm ?? (await (compiled ??= loadModule(undefined)));
      const { holdfast, registry } = await openIn({ ...given, wasm }, {
        indexedDB: page.watch(databases),
        IDBKeyRange: ranges,
        navigator,
        self: Object.assign(new EventTarget(), { navigator }),
        document: undefined,
        localStorage: undefined,
        BroadcastChannel: class extends Channel {
          constructor(name: string) {
            super(name, channels);
          }
        },
      });
      page.registry = registry;
      pages.set(holdfast, page);
      return holdfast;
    },
  };
}

/**
 * Ends what `open` of a shared store has returned, as a kill of its page does: right after its
 * `appends`-th append from now has been committed, before anybody hears of it; at once for 0. An
 * append is a commit, which may hold several events. Resolves when it has crashed, also by another
 * call; rejects with `closed` if it is over for another reason, or has crashed before. What is
 * pending then never settles, later calls fail with `instance_lost`, and handlers that are at work
 * see their `signal` aborted.
 */
export async function crashAfter(holdfast: Holdfast, appends: number): Promise<void> {
  const page = pages.get(holdfast);
  if (page === undefined) throw check.refuse("crashAfter", "only what open of a shared store has returned can crash");
  await page.crashAfter(check.integer("crashAfter", "appends", appends, 0, 2 ** 31));
}

/** A page that can be killed. */
class Page {
  readonly #waiting = new Set<{ readonly resolve: () => void; readonly reject: (error: HoldfastError) => void }>();
  #registry: Registry | undefined;
  #left = Infinity;

  /** What runs in it. */
  set registry(registry: Registry) {
    this.#registry = registry;
    registry.instance.onEnd.add(() => {
      for (const { reject } of this.#waiting) reject(this.#closed());
    });
  }

  crashAfter(appends: number): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#registry?.instance.over !== undefined) throw this.#closed();
      this.#left = Math.min(this.#left, appends);
      this.#waiting.add({ resolve, reject });
      if (appends === 0) this.#crash();
    });
  }

  #closed(): HoldfastError {
    const details = { operation: "crashAfter", cause: this.#registry?.instance.over };
    return new HoldfastError("closed", "holdfast: crashAfter: closed: the store was closed, or has crashed; open it again", details);
  }

  #crash(): void {
    this.#registry?.crash();
    for (const { resolve } of this.#waiting) resolve();
  }

  /** An IndexedDB whose appends are counted: what is stored as durably as can be, among the records. */
  watch(databases: IDBFactory): Pick<globalThis.IDBFactory, "open"> {
    return {
      open: (name, version) => {
        const request = databases.open(name, version);
        request.addEventListener("success", () => {
          const { result } = request;
          const transaction = result.transaction.bind(result);
          result.transaction = (stores, mode, options) => {
            const begun = transaction(stores, mode, options);
            const appends = mode === "readwrite" && options?.durability === "strict" && [stores].flat().includes("records");
            // Before the program hears of it.
            if (appends) begun.addEventListener("complete", () => --this.#left === 0 && this.#crash());
            return begun;
          };
        });
        return request;
      },
    };
  }
}

/** Web Locks of one origin, as far as the program needs them. */
class Locks {
  /** By name: who has the lock, then who waits. */
  readonly #queues = new Map<string, (() => void)[]>();

  request(name: string, options: { readonly signal?: AbortSignal; readonly ifAvailable?: boolean }, granted: (lock: object | null) => unknown): Promise<unknown> {
    const queue = this.#queues.get(name) ?? [];
    this.#queues.set(name, queue);
    if (options.ifAvailable === true && queue.length > 0) return Promise.resolve().then(() => granted(null));
    return new Promise((resolve, reject) => {
      const begin = (): void => {
        options.signal?.removeEventListener("abort", giveUp);
        const end = (): void => {
          queue.shift();
          queue[0]?.();
        };
        Promise.resolve()
          .then(() => granted({ name, mode: "exclusive" }))
          .finally(end)
          .then(resolve, reject);
      };
      const giveUp = (): void => {
        queue.splice(queue.indexOf(begin), 1);
        reject(options.signal?.reason as Error);
      };
      options.signal?.addEventListener("abort", giveUp);
      if (queue.push(begin) === 1) begin();
    });
  }

  async query(): Promise<{ readonly held: readonly { readonly name: string }[] }> {
    return { held: [...this.#queues].filter(([, queue]) => queue.length > 0).map(([name]) => ({ name })) };
  }
}

/** A BroadcastChannel of one origin: the others of the same name hear what it posts. */
class Channel {
  onmessage: ((event: { readonly data: unknown }) => void) | null = null;
  readonly #name: string;
  readonly #channels: Set<Channel>;

  constructor(name: string, channels: Set<Channel>) {
    this.#name = name;
    this.#channels = channels;
    channels.add(this);
  }

  postMessage(data: unknown): void {
    for (const other of this.#channels) {
      if (other !== this && other.#name === this.#name) queueMicrotask(() => other.onmessage?.({ data }));
    }
  }

  close(): void {
    this.#channels.delete(this);
  }
}

import type { Call, SummaryValue } from "./bridge/bridge.js";
import type { Instance } from "./bridge/instance.js";
import * as check from "./check.js";
import { Listeners } from "./listeners.js";
import { withDecoded } from "./state/lazy.js";
import { decodeMetadata } from "./state/metadata.js";
import type { ListOptions, Page, Summary } from "./types.js";

const defaultLimit = 50;
/** The same as core.MaxListing in Go. */
const mostListed = 1000;
/** How many values the bridge returns of each row. */
const columns = 7;

/** {@link Holdfast.list}. */
export async function listPage(instance: Instance, options: ListOptions): Promise<Page> {
  const given = check.options("list", "options", options, { prefix: true, order: true, limit: true, after: true, ids: true });
  const rows = (...which: [string | undefined, string, boolean, string, number, number]): Promise<Summary[]> =>
    instance.call((bridge, call: Call<SummaryValue[]>) => bridge.summaries(...which, call)).then(rowsOf);
  if (given.ids !== undefined) {
    const ids = idsOf(given.ids);
    return { rows: ids.length === 0 ? [] : await rows(ids.join("\0"), "", false, "", 0, 0), next: undefined };
  }
  const prefix = check.name("list", "prefix", given.prefix ?? "");
  const recent = check.oneOf("list", "order", given.order ?? "recent", ["recent", "id"]) === "recent";
  const limit = check.integer("list", "limit", given.limit ?? defaultLimit, 1, mostListed - 1);
  const { id, updated } = given.after === undefined ? { id: "", updated: 0 } : place(check.text("list", "after", given.after));
  const found = await rows(undefined, prefix, recent, id, updated, limit + 1);
  const page = found.slice(0, limit);
  const last = page.at(-1);
  return { rows: page, next: found.length > limit && last !== undefined ? `${last.updated} ${last.id}` : undefined };
}

function idsOf(value: unknown): string[] {
  let ids: unknown[];
  try {
    // Each is read once: it may be a proxy.
    const length = Array.isArray(value) ? value.length : Infinity;
    if (!(length <= mostListed)) throw check.refuse("list", `ids must be an array of at most ${mostListed} ids`);
    ids = Array.from({ length }, (_, i) => (value as readonly unknown[])[i]);
  } catch (thrown) {
    throw check.refuseUnread("list", "ids", thrown);
  }
  return ids.map((id) => {
    const name = check.name("list", "ids", id);
    if (name === "" || name.includes("\0")) throw check.refuse("list", "an id must not be empty, or contain NUL");
    return name;
  });
}

/** Reads `next` of a page. */
function place(after: string): { readonly id: string; readonly updated: number } {
  const at = after.indexOf(" ");
  const updated = Number(after.slice(0, Math.max(at, 0)));
  if (at < 1 || at === after.length - 1 || !Number.isSafeInteger(updated) || updated < 0) throw check.refuse("list", "after must be the next of another page");
  return { id: check.name("list", "after", after.slice(at + 1)), updated };
}

function rowsOf(flat: readonly SummaryValue[]): Summary[] {
  const rows: Summary[] = [];
  for (let i = 0; i < flat.length; i += columns) {
    const [id, created, updated, unfinished, waiting, due, metadata] = flat.slice(i, i + columns) as [string, number, number, number, number, number, Uint8Array | null];
    rows.push(withDecoded({ id, created, updated, unfinished, waiting, due: due === 0 ? undefined : Math.max(due, 0) }, "metadata", metadata, decodeMetadata));
  }
  return rows;
}

/** The least time between two calls of a listener, in milliseconds: a frame. */
const frame = 16;

/** Tells listeners which rows of the list have changed. */
export class News {
  readonly #instance: Instance;
  readonly #listeners = new Listeners<[ids: readonly string[] | undefined]>();
  /** The ids that they have not heard of yet; "" stands for any. */
  readonly #changed = new Set<string>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(instance: Instance) {
    this.#instance = instance;
    instance.onEnd.add(() => this.#end());
  }

  subscribe(listener: (ids: readonly string[] | undefined) => void): () => void {
    if (typeof listener !== "function") throw check.refuse("subscribe", "listener must be a function");
    const { over } = this.#instance;
    if (over !== undefined) throw over;
    if (this.#listeners.size === 0) this.#instance.callNow((bridge) => bridge.watch((id) => this.#note(id)));
    const remove = this.#listeners.add(listener);
    return () => {
      if (!remove() || this.#listeners.size > 0) return;
      this.#forget();
      this.#instance.callIfOpen((bridge) => bridge.unwatch());
    };
  }

  #note(id: string): void {
    this.#changed.add(id);
    this.#timer ??= setTimeout(() => this.#tell(), frame);
  }

  #tell(): void {
    const ids = this.#changed.has("") ? undefined : [...this.#changed];
    this.#forget();
    if (this.#instance.over === undefined) this.#listeners.call(ids); // else #end does, or the page has crashed
  }

  #forget(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#changed.clear();
  }

  /** Tells the listeners, as those of a conversation, that nothing more can come. */
  #end(): void {
    this.#forget();
    queueMicrotask(() => {
      this.#listeners.call(undefined);
      this.#listeners.clear();
    });
  }
}

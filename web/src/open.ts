import type { Call, Verified } from "./bridge/bridge.js";
import { errorOf } from "./bridge/failure.js";
import { Instance } from "./bridge/instance.js";
import * as check from "./check.js";
import { Registry } from "./conversation.js";
import { listPage, News } from "./directory.js";
import { noticeLeftOver } from "./leftover.js";
import { loadModule } from "./load.js";
import { ProcessAll } from "./process-all.js";
import { State } from "./state/state.js";
import type { Conversation, ConversationInfo, Damage, Health, Holdfast, ListOptions, OpenOptions, Page, ProcessAllOptions, Verification } from "./types.js";

const maxTimeout = 600_000;

/**
 * Opens a store and starts its WebAssembly instance. Rejects with a
 * {@link HoldfastError}: `store_reset`, once, when the browser has emptied the store since the
 * page last had it open; `blocked` when another tab keeps it from opening;
 * `storage_unavailable`, `unsupported_version` or `quota_exceeded` as the browser has it;
 * `instance_lost` when the WebAssembly cannot be fetched; `invalid_argument`.
 * Several may be open at once, also of one database.
 */
export async function open(options: OpenOptions = {}): Promise<Holdfast> {
  return (await openIn(options)).holdfast;
}

/** Does the same. In a `world` the program has those globals before those of the page, see testing.ts. */
export async function openIn(options: OpenOptions, world?: object): Promise<{ readonly holdfast: Holdfast; readonly registry: Registry }> {
  const given = check.options("open", "options", options, { database: true, storage: true, durability: true, timeout: true, wasm: true });
  const settings: Settings = {
    database: check.name("open", "database", given.database ?? "holdfast"),
    storage: check.oneOf("open", "storage", given.storage ?? "indexeddb", ["indexeddb", "memory"]),
    durability: check.oneOf("open", "durability", given.durability ?? "strict", ["strict", "default"]),
    timeout: check.integer("open", "timeout", given.timeout ?? 30_000, 1, maxTimeout),
  };
  const instance = await Instance.start(await loadModule(given.wasm), world);
  const registry = new Registry(instance, settings.database);
  try {
    await instance.call<null>((bridge, call) =>
      bridge.open(settings.storage, settings.database, settings.durability === "default", settings.timeout, call),
    );
  } catch (error) {
    instance.abandon();
    throw error;
  }
  if (settings.storage === "indexeddb" && world === undefined) noticeLeftOver(settings.database, instance);
  return { holdfast: new OpenStore(registry, settings), registry };
}

type Settings = Required<Pick<OpenOptions, "database" | "storage" | "durability" | "timeout">>;

class OpenStore implements Holdfast {
  readonly #registry: Registry;
  readonly #settings: Settings;
  readonly #all: ProcessAll;
  readonly #news: News;
  #closing: Promise<void> | undefined;

  constructor(registry: Registry, settings: Settings) {
    this.#registry = registry;
    this.#news = new News(registry.instance);
    this.#all = new ProcessAll(registry);
    this.#settings = settings;
  }

  get [Symbol.toStringTag](): string {
    return "Holdfast";
  }

  create<Body, Result>(id: string): Conversation<Body, Result> {
    const name = check.name("create", "id", id);
    return typed(this.#registry.adopt(name, this.#registry.instance.callNow((bridge) => bridge.create(name)), State.empty));
  }

  async recover<Body, Result>(id: string): Promise<Conversation<Body, Result>> {
    return typed(await this.#registry.recover(check.name("recover", "id", id)));
  }

  async conversations(prefix = ""): Promise<readonly ConversationInfo[]> {
    const start = check.name("conversations", "prefix", prefix);
    const flat = await this.#registry.instance.call((bridge, call: Call<(string | number)[]>) => bridge.conversations(start, call));
    const list: ConversationInfo[] = [];
    for (let i = 0; i < flat.length; i += 2) list.push({ id: flat[i] as string, head: flat[i + 1] as number });
    return list;
  }

  process(handler: unknown, options: ProcessAllOptions = {}): () => Promise<void> {
    return this.#all.process(handler, options);
  }

  async list(options: ListOptions = {}): Promise<Page> {
    return listPage(this.#registry.instance, options);
  }

  subscribe(listener: (ids: readonly string[] | undefined) => void): () => void {
    return this.#news.subscribe(listener);
  }

  async delete(id: string): Promise<void> {
    const name = check.name("delete", "id", id);
    await this.#registry.instance.call<null>((bridge, call) => bridge.delete(name, call));
  }

  async verify(id: string): Promise<Verification> {
    const name = check.name("verify", "id", id);
    const { head, events, damage: flat, snapshot } = await this.#registry.instance.call((bridge, call: Call<Verified>) => bridge.verify(name, call));
    const damage: Damage[] = [];
    for (let i = 0; i < flat.length; i += 4) {
      const [from, to, code, message] = flat.slice(i) as [number, number, Damage["code"], string];
      damage.push({ from, to, code, message });
    }
    return { id: name, head, events, damage, snapshot };
  }

  async health(): Promise<Health> {
    const { epoch = "", lastError, due } = this.#registry.instance.callNow((bridge) => bridge.health());
    const { storage, durability } = this.#settings;
    const manager = storage === "indexeddb" ? storageManager() : undefined;
    const [persisted, { usage, quota } = {}] = await Promise.all([
      manager?.persisted().catch(() => undefined),
      manager?.estimate().catch(() => undefined),
    ]);
    return { storage, durability, persisted, usage, quota, epoch, due, lastError: lastError && errorOf(lastError) };
  }

  async persist(): Promise<boolean> {
    this.#registry.instance.callNow((bridge) => bridge.health()); // rejects if the store is no longer open
    const manager = this.#settings.storage === "indexeddb" ? storageManager() : undefined;
    if (manager === undefined) return false;
    // Workers can only ask whether it is so.
    const answer = typeof manager.persist === "function" ? manager.persist() : manager.persisted();
    // Firefox asks the user, and an answer may never come.
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<false>((resolve) => (timer = setTimeout(resolve, this.#settings.timeout, false)));
    return Promise.race([answer.catch(() => false), late]).finally(() => clearTimeout(timer));
  }

  close(): Promise<void> {
    this.#closing ??= this.#registry.close();
    return this.#closing;
  }
}

/** The types of bodies and results are what the application says. */
function typed<Body, Result>(conversation: Conversation): Conversation<Body, Result> {
  return conversation as Conversation<Body, Result>;
}

/** The StorageManager, which only secure contexts have, and Node has not. */
function storageManager(): StorageManager | undefined {
  try {
    return (globalThis as { readonly navigator?: { readonly storage?: StorageManager } }).navigator?.storage;
  } catch {
    return undefined; // the browser denies it to this page
  }
}

// Holdfast, through its public API.
import * as thisBuild from "@holdfast-dev/holdfast";
import type { Conversation, Holdfast } from "@holdfast-dev/holdfast";
import { timed } from "../workloads/log.js";
import { type AgentEvent, type Log, ourName, type Peer, text } from "./peer.js";

export const holdfast: Peer = peerOf(thisBuild, ourName, "");

/** A peer of one build: of the module that its dist/index.js is. */
export function peerOf({ open }: Pick<typeof thisBuild, "open">, name: string, note: string): Peer {
  return {
    name,
    check: "expected sequence",
    strict: true,
    note,
    open: async (database, durability) => new HoldfastLog(await open({ database, durability }), database),
  };
}

class HoldfastLog implements Log {
  readonly #holdfast: Holdfast;
  readonly #conversations = new Map<string, Conversation>();
  readonly #agents = new Map<string, Agent>();

  readonly #database: string;

  constructor(opened: Holdfast, database: string) {
    this.#holdfast = opened;
    this.#database = database;
  }

  async append(stream: string, _expected: number, event: AgentEvent): Promise<void> {
    await this.#record(stream, event);
  }

  async batch(stream: string, _expected: number, events: readonly AgentEvent[]): Promise<void> {
    await Promise.all(events.map((event) => this.#record(stream, event)));
  }

  #record(stream: string, { message, step, output }: AgentEvent): Promise<number> {
    return this.#conversation(stream).recordStepCompleted(message, step, output);
  }

  #conversation(stream: string): Conversation {
    let conversation = this.#conversations.get(stream);
    if (conversation === undefined) this.#conversations.set(stream, (conversation = this.#holdfast.create(stream)));
    return conversation;
  }

  async recover(stream: string): Promise<number> {
    return (await this.#holdfast.recover(stream)).expectedSeq;
  }

  async list(): Promise<number> {
    return (await this.#holdfast.conversations()).length;
  }

  async send(stream: string, id: string): Promise<void> {
    await this.#conversation(stream).send({ id, body: text });
  }

  async page(): Promise<number | undefined> {
    const { list } = this.#holdfast as Partial<Holdfast>; // a build of before may have none
    return list === undefined ? undefined : (await this.#holdfast.list()).rows.length;
  }

  async begin(count: number): Promise<(() => Promise<void>) | undefined> {
    const { process } = this.#holdfast as Partial<Holdfast>;
    if (process === undefined) return undefined;
    const begun = new Set<string>();
    return new Promise((resolve) => {
      const stop = this.#holdfast.process(({ conversation, signal }) => {
        if (begun.add(conversation.id).size === count) resolve(stop);
        return new Promise((_, reject) => {
          signal.addEventListener("abort", () => reject(signal.reason as Error));
        });
      });
    });
  }

  answer(stream: string, message: string): Promise<void> {
    let agent = this.#agents.get(stream);
    if (agent === undefined) this.#agents.set(stream, (agent = new Agent(this.#conversation(stream))));
    return agent.answer(message);
  }

  async replay(stream: string, steps: number): Promise<number> {
    const conversation = this.#conversation(stream);
    await conversation.send({ id: "message", body: text });
    const attempt = (): Promise<number> =>
      new Promise((resolve) => {
        const stop = conversation.process(async ({ step, signal }) => {
          const ms = await timed(async () => {
            for (let i = 0; i < steps; i++) await step(`step ${i}`, () => text);
          });
          setTimeout(() => void stop().then(() => resolve(ms)));
          await new Promise((_, reject) => {
            signal.addEventListener("abort", () => reject(signal.reason as Error));
          });
        });
      });
    await attempt();
    return attempt();
  }

  /** Holdfast saves one by itself when a log has been quiet for a second. */
  async snapshot(stream: string, wanted: boolean): Promise<void> {
    const snapshots = await Snapshots.open(this.#database);
    if (wanted) await snapshots.saved(stream);
    else await snapshots.clear();
    snapshots.close();
  }

  async close(): Promise<void> {
    for (const agent of this.#agents.values()) await agent.stop();
    await this.#holdfast.close();
  }
}

/** The object store that Holdfast keeps snapshots in, looked at from outside. */
class Snapshots {
  readonly #database: IDBDatabase;

  private constructor(database: IDBDatabase) {
    this.#database = database;
  }

  static async open(name: string): Promise<Snapshots> {
    return new Snapshots(await answered(indexedDB.open(name)));
  }

  /** Waits until there is one. */
  async saved(stream: string): Promise<void> {
    const key = new TextEncoder().encode(stream);
    const end = performance.now() + 30_000;
    while ((await answered(this.#store("readonly").count(key))) === 0) {
      if (performance.now() > end) throw new Error("no snapshot was saved");
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async clear(): Promise<void> {
    await answered(this.#store("readwrite").clear());
  }

  close(): void {
    this.#database.close();
  }

  #store(mode: IDBTransactionMode): IDBObjectStore {
    return this.#database.transaction("snapshots", mode).objectStore("snapshots");
  }
}

function answered<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("it failed"));
  });
}

/** Answers each message of a conversation in six steps, through the runner. It subscribes once, as applications do. */
class Agent {
  readonly #conversation: Conversation;
  readonly #waiting = new Map<string, () => void>();
  readonly stop: () => Promise<void>;

  constructor(conversation: Conversation) {
    this.#conversation = conversation;
    this.stop = conversation.process(async ({ step }) => {
      for (let i = 0; i < 6; i++) await step(`step ${i}`, () => "x".repeat(80));
    });
    conversation.subscribe(() => {
      for (const [id, resolve] of this.#waiting) {
        if (conversation.state.isFullyProcessed(id) && this.#waiting.delete(id)) resolve();
      }
    });
  }

  answer(id: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, resolve);
      this.#conversation.send({ id, body: "how deep is the sea?" }).catch(reject);
    });
  }
}

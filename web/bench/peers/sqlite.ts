// SQLite compiled to WebAssembly, on the origin private file system. Only a worker may open its files, so the page asks one.
import type { Answer, Question } from "./sqlite.worker.js";
import { toBytes, addBytes } from "./bytes.js";
import { type AgentEvent, type Log, Messages, type Peer } from "./peer.js";

export const sqlite: Peer = {
  name: "SQLite on OPFS",
  check: "expected sequence",
  strict: true,
  note: "3.51.2 in a worker, VFS opfs-sahpool, which one tab at a time can open; synchronous=FULL is strict, OFF is default",
  async open(name, durability) {
    const log = new SqliteLog();
    await log.ask({ do: "open", name, strict: durability === "strict" });
    return log;
  },
};

class SqliteLog implements Log {
  readonly #worker = new Worker(new URL("./sqlite.worker.ts", import.meta.url), { type: "module" });
  readonly #waiting: { readonly resolve: (rows: readonly Uint8Array[]) => void; readonly reject: (error: Error) => void }[] = [];

  constructor() {
    this.#worker.onmessage = ({ data }: MessageEvent<Answer>) => {
      const next = this.#waiting.shift();
      if (data.error === undefined) next?.resolve(data.rows);
      else next?.reject(new Error(data.error));
    };
    this.#worker.onerror = (event) => {
      for (const { reject } of this.#waiting.splice(0)) reject(new Error(event.message));
    };
  }

  /** Answers come in the order of the questions. */
  ask(question: Question): Promise<readonly Uint8Array[]> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- that is for windows
      this.#worker.postMessage(question);
    });
  }

  append(stream: string, expected: number, event: AgentEvent): Promise<void> {
    return this.batch(stream, expected, [event]);
  }

  async batch(stream: string, expected: number, events: readonly AgentEvent[]): Promise<void> {
    await this.ask({ do: "append", stream, expected, rows: events.map(toBytes) });
  }

  async recover(stream: string): Promise<number> {
    const state = new Messages();
    for (const bytes of await this.ask({ do: "read", stream })) addBytes(state, bytes);
    return state.count;
  }

  async close(): Promise<void> {
    await this.ask({ do: "close" });
    this.#worker.terminate();
  }
}

// Who answers, and where the model is. The key stays in the memory of open tabs, unless the user asks to keep it.
import type { Connection } from "./agent/agent.js";
import type { AgentName } from "./agent/agents.js";
import { field } from "./message.js";

const agentKey = "holdfast-demo:agent";
const connectionKey = "holdfast-demo:connection";
const visitKey = "holdfast-demo:visited";

/** What tabs tell each other: a new one asks, the others answer. */
type Word = { readonly connection?: Connection };

export class Settings {
  readonly #channel = new BroadcastChannel("holdfast-demo:connection");
  readonly #changed: () => void;
  #connection: Connection | undefined;
  /** Those who wait for a connection. */
  readonly #waiting = new Set<(connection: Connection) => void>();

  /** `changed` is called when there is a connection, or somebody has begun or ended to wait for one. */
  constructor(changed: () => void) {
    this.#changed = changed;
    this.#connection = keptConnection();
    this.#channel.addEventListener("message", ({ data }: MessageEvent<Word | undefined>) => {
      const connection = connectionFrom(data?.connection);
      if (connection !== undefined) this.#take(connection);
      else if (this.#connection !== undefined) this.#tell({ connection: this.#connection });
    });
    if (this.#connection === undefined) this.#tell({});
  }

  get agent(): AgentName {
    const name = recall(agentKey);
    return name === "endpoint" || name === "builtin" ? name : "research";
  }

  set agent(name: AgentName) {
    keep(agentKey, name);
  }

  /** Notes that this browser has been here. Returns whether this is its first visit, which it is each time where nothing can be noted. */
  arrive(): boolean {
    const isFirst = recall(visitKey) === null;
    keep(visitKey, "yes");
    return isFirst;
  }

  get current(): Connection | undefined {
    return this.#connection;
  }

  /** Whether the connection outlives this visit. */
  get kept(): boolean {
    return recall(connectionKey) !== null;
  }

  /** Whether a message waits for a connection. */
  get wanted(): boolean {
    return this.#waiting.size > 0;
  }

  set(connection: Connection, kept: boolean): void {
    keep(connectionKey, kept ? JSON.stringify(connection) : null);
    this.#tell({ connection });
    this.#take(connection);
  }

  /** Resolves with the connection, once there is one. */
  async connection(signal: AbortSignal): Promise<Connection> {
    signal.throwIfAborted();
    if (this.#connection !== undefined) return this.#connection;
    return await new Promise((resolve, reject) => {
      const end = (): void => {
        this.#waiting.delete(take);
        signal.removeEventListener("abort", abort);
        this.#changed();
      };
      const take = (connection: Connection): void => (end(), resolve(connection));
      const abort = (): void => (end(), reject(signal.reason as Error));
      signal.addEventListener("abort", abort);
      this.#waiting.add(take);
      this.#changed();
    });
  }

  #take(connection: Connection): void {
    this.#connection = connection;
    for (const take of this.#waiting) take(connection);
    this.#changed();
  }

  #tell(word: Word): void {
    this.#channel.postMessage(word);
  }
}

/** The connection that is kept. Another page of the origin may have written anything there. */
function keptConnection(): Connection | undefined {
  try {
    return connectionFrom(JSON.parse(recall(connectionKey) ?? "null"));
  } catch {
    return undefined;
  }
}

function connectionFrom(stored: unknown): Connection | undefined {
  const [address, model, key] = ["address", "model", "key"].map((name) => field(stored, name));
  return address === undefined || model === undefined || key === undefined ? undefined : { address, model, key };
}

// The user may have forbidden localStorage.

function recall(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

function keep(key: string, value: string | null): void {
  try {
    if (value === null) localStorage.removeItem(key);
    else localStorage.setItem(key, value);
  } catch {
    // Then it lasts as long as the page.
  }
}

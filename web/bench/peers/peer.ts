// What every contestant offers, in terms of the job: append an event if the log is as long as expected, and read a log back.

/** What this build of Holdfast is called, and one that is compared with it. */
export const ourName = "Holdfast";
export const otherName = "Holdfast, other build";

/** How far a commit is pushed before it is acknowledged. */
export type Durability = "strict" | "default";

/** An event of an agent's log; about 120 bytes once it is encoded. */
export interface AgentEvent {
  readonly id: Uint8Array;
  readonly message: string;
  readonly step: number;
  readonly output: string;
}

/** What a peer refuses when somebody else has appended. */
export type Check =
  /** An append whose place is not the end of the log; checked in the transaction that writes. */
  | "expected sequence"
  /** An append whose place is taken; one that leaves a hole is not noticed. */
  | "place taken"
  /** Nothing: both are kept, in an order of its own. */
  | "none";

/** An open database of a peer. */
export interface Log {
  /** Resolves once the event is committed. */
  append(stream: string, expected: number, event: AgentEvent): Promise<void>;
  /** Appends events that are all at hand, in the way the library has for that. */
  batch(stream: string, expected: number, events: readonly AgentEvent[]): Promise<void>;
  /** Reads a log and builds what an agent needs of it, by message. Resolves with the number of events found. */
  recover(stream: string): Promise<number>;
  /** Lists the logs, with the length of each. Resolves with how many there are. */
  list?(): Promise<number>;
  /** Sends a message of the text of an event, if the peer has messages. */
  send?(stream: string, id: string): Promise<void>;
  /** Reads the first page of the list, the logs with the latest news first. Resolves with how many rows it has. */
  page?(): Promise<number | undefined>;
  /** Finds the logs with unfinished messages among all, and begins to work on them. Resolves with what stops that once it has begun `count`. */
  begin?(count: number): Promise<(() => Promise<void>) | undefined>;
  /** Answers a message in six steps, if the peer has a way of its own for that. */
  answer?(stream: string, message: string): Promise<void>;
  /** Has a handler do so many steps twice, and resolves with the milliseconds that the second time took, when all were stored; if the peer has handlers. */
  replay?(stream: string, steps: number): Promise<number>;
  /** Sees to it that a log has a snapshot up to its end, or none; if the peer has snapshots. */
  snapshot?(stream: string, wanted: boolean): Promise<void>;
  close(): Promise<void>;
}

export interface Peer {
  readonly name: string;
  readonly check: Check;
  /** Whether it can be asked for strict durability. If not, its commits are as durable as the browser's default. */
  readonly strict: boolean;
  /** What a reader of the table has to know. */
  readonly note: string;
  open(database: string, durability: Durability): Promise<Log>;
}

/** An event that tells its place in the log: messages of eight events each. */
export function eventAt(i: number): AgentEvent {
  return { id: crypto.getRandomValues(new Uint8Array(16)), message: `message-${i >> 3}`, step: i & 7, output: text };
}

/** What is in an event. */
export const text = "x".repeat(80);

/** The state that every peer without one of its own builds, and how many events are in it. */
export class Messages {
  readonly #steps = new Map<string, unknown[]>();
  count = 0;

  add(message: string, step: unknown): void {
    const known = this.#steps.get(message);
    if (known === undefined) this.#steps.set(message, [step]);
    else known.push(step);
    this.count++;
  }
}

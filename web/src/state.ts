import { decode } from "@msgpack/msgpack";
import type { ConversationState, Message, OpenStep, Step } from "./types.js";
import { decodeValue, decodeValues } from "./values.js";

// The state lives in Go. What changes there arrives here as rows, and becomes
// immutable objects: a new one for each message that changed, the old ones for
// the others. Bodies and outputs are decoded when they are first looked at.

/**
 * `[position, id, flags, receivedAt, body, error, [index, name, output, …],
 * [index, name, uncertain, output, …], result, starts]`, see wasm/view_js.go.
 */
type Row = readonly [
  number,
  string,
  number,
  number,
  Uint8Array | null,
  string | null,
  readonly (number | string | Uint8Array | null)[],
  readonly (number | string | boolean | Uint8Array | null)[],
  Uint8Array | null,
  number,
];

const inProgress = 1;
const finished = 2;
const failed = 8;
const cancelled = 16;

/** What `read` makes of bytes, from when it is first looked at. */
class Lazy<T> {
  #bytes: Uint8Array | null;
  readonly #read: (bytes: Uint8Array | null) => T;
  #decoded: { readonly value: T } | undefined;

  constructor(bytes: Uint8Array | null, read: (bytes: Uint8Array | null) => T) {
    this.#bytes = bytes;
    this.#read = read;
  }

  get value(): T {
    if (this.#decoded === undefined) {
      this.#decoded = { value: this.#read(this.#bytes) };
      this.#bytes = null;
    }
    return this.#decoded.value;
  }
}

class StoredStep implements Step {
  readonly index: number;
  readonly name: string | undefined;
  readonly #output: Lazy<unknown>;

  constructor(index: number, name: string, output: Uint8Array | null) {
    this.index = index;
    this.name = name === "" ? undefined : name;
    this.#output = new Lazy(output, decodeValue);
    Object.freeze(this);
  }

  get output(): unknown {
    return this.#output.value;
  }

  toJSON(): Step {
    return { index: this.index, name: this.name, output: this.output };
  }
}

class StoredOpenStep implements OpenStep {
  readonly index: number;
  readonly name: string;
  readonly uncertain: boolean;
  readonly #chunks: Lazy<readonly unknown[]>;

  constructor(index: number, name: string, uncertain: boolean, output: Uint8Array | null) {
    this.index = index;
    this.name = name;
    this.uncertain = uncertain;
    this.#chunks = new Lazy(output, (bytes) => Object.freeze(decodeValues(bytes)));
    Object.freeze(this);
  }

  get chunks(): readonly unknown[] {
    return this.#chunks.value;
  }

  toJSON(): OpenStep {
    const { index, name, uncertain, chunks } = this;
    return { index, name, uncertain, chunks };
  }
}

class StoredMessage implements Message {
  readonly id: string;
  readonly receivedAt: number;
  readonly steps: readonly Step[];
  readonly openSteps: readonly OpenStep[];
  readonly error: string | undefined;
  readonly starts: number;
  /** Place in order of arrival; -1 if only later events of it are in the log. */
  readonly position: number;
  readonly #flags: number;
  readonly #body: Lazy<unknown>;
  readonly #result: Lazy<unknown>;

  constructor([position, id, flags, receivedAt, body, error, steps, open, result, starts]: Row) {
    this.position = position;
    this.id = id;
    this.receivedAt = receivedAt;
    this.error = error ?? undefined;
    this.starts = starts;
    this.#flags = flags;
    this.#body = new Lazy(body, decodeValue);
    this.#result = new Lazy(result, decodeValue);
    const completed: Step[] = [];
    for (let i = 0; i < steps.length; i += 3) {
      completed.push(new StoredStep(steps[i] as number, steps[i + 1] as string, steps[i + 2] as Uint8Array | null));
    }
    this.steps = Object.freeze(completed);
    const opened: OpenStep[] = [];
    for (let i = 0; i < open.length; i += 4) {
      opened.push(new StoredOpenStep(open[i] as number, open[i + 1] as string, open[i + 2] as boolean, open[i + 3] as Uint8Array | null));
    }
    this.openSteps = Object.freeze(opened);
    Object.freeze(this);
  }

  get body(): unknown {
    return this.#body.value;
  }

  get result(): unknown {
    return this.#result.value;
  }

  get status(): Message["status"] {
    if (this.#flags & finished) return "finished";
    if (this.#flags & cancelled) return "cancelled";
    if (this.#flags & inProgress) return "processing";
    return this.#flags & failed ? "failed" : "received";
  }

  get inProgress(): boolean {
    return (this.#flags & inProgress) !== 0;
  }

  toJSON(): Message {
    const { id, receivedAt, body, status, steps, openSteps, result, starts, error } = this;
    return { id, receivedAt, body, status, steps, openSteps, result, starts, error };
  }
}

/** An immutable state. `after` makes the next one. */
export class State implements ConversationState {
  readonly messages: readonly StoredMessage[];
  /**
   * The places of the messages, by id. The states of a log share it: a message keeps its place for ever, and a state has
   * those that are within its messages. A copy for each state would make appends slower as messages become more.
   */
  readonly #places: Map<string, number>;
  /** Messages that were never received, but named by other events. */
  readonly #others: Map<string, StoredMessage>;

  private constructor(messages: readonly StoredMessage[], places: Map<string, number>, others: Map<string, StoredMessage>) {
    this.messages = Object.freeze(messages);
    this.#places = places;
    this.#others = others;
    Object.freeze(this);
  }

  /** The state of a log in which these messages are all there is. */
  static of(rows: Uint8Array): State {
    return new State([], new Map(), new Map()).after(rows, true);
  }

  /** The state in which the messages of `rows` have changed; after a reset, they are all there is. Call it once: see `#places`. */
  after(rows: Uint8Array, reset: boolean): State {
    const changed = (decode(rows) as readonly Row[]).map((row) => new StoredMessage(row));
    changed.sort((a, b) => a.position - b.position); // an array with holes is slow, for good
    const messages = reset ? [] : [...this.messages]; // V8 takes much longer for the slice() of a frozen array
    const places = reset ? new Map<string, number>() : this.#places;
    let others: Map<string, StoredMessage> = reset ? new Map() : this.#others;
    if (changed.some(({ id, position }) => position < 0 || others.has(id))) others = new Map(others);
    for (const message of changed) {
      if (message.position < 0) {
        others.set(message.id, message);
      } else {
        others.delete(message.id);
        places.set(message.id, message.position);
        messages[message.position] = message;
      }
    }
    return new State(messages, places, others);
  }

  message(id: string): StoredMessage | undefined {
    return this.messages[this.#places.get(id) ?? -1];
  }

  /** The message, received or not. */
  #known(id: string): StoredMessage | undefined {
    return this.message(id) ?? this.#others.get(id);
  }

  isReceived(id: string): boolean {
    return this.message(id) !== undefined;
  }

  isInProgress(id: string): boolean {
    return this.#known(id)?.inProgress ?? false;
  }

  isFullyProcessed(id: string): boolean {
    return this.#known(id)?.status === "finished";
  }

  lastCompletedStep(id: string): number | undefined {
    return this.#known(id)?.steps.at(-1)?.index;
  }

  completedStep(id: string, index: number): Step | undefined {
    return this.#known(id)?.steps.find((step) => step.index === index);
  }

  error(id: string): string | undefined {
    return this.#known(id)?.error;
  }
}

import { decode } from "@msgpack/msgpack";
import type { ConversationState, Message, Step } from "./types.js";
import { decodeValue } from "./values.js";

// The state lives in Go. What changes there arrives here as rows, and becomes
// immutable objects: a new one for each message that changed, the old ones for
// the others. Bodies and outputs are decoded when they are first looked at.

/** `[position, id, flags, receivedAt, body, error, [index, output, …]]`, see wasm/view_js.go. */
type Row = readonly [number, string, number, number, Uint8Array | null, string | null, readonly (number | Uint8Array | null)[]];

const inProgress = 1;
const finished = 2;
const errored = 4;

class StoredStep implements Step {
  readonly index: number;
  readonly #bytes: Uint8Array | null;
  #output: { readonly value: unknown } | undefined;

  constructor(index: number, bytes: Uint8Array | null) {
    this.index = index;
    this.#bytes = bytes;
    Object.freeze(this);
  }

  get output(): unknown {
    this.#output ??= { value: decodeValue(this.#bytes) };
    return this.#output.value;
  }

  toJSON(): Step {
    return { index: this.index, output: this.output };
  }
}

class StoredMessage implements Message {
  readonly id: string;
  readonly receivedAt: number;
  readonly steps: readonly Step[];
  readonly error: string | undefined;
  /** Place in order of arrival; -1 if only later events of it are in the log. */
  readonly position: number;
  readonly #flags: number;
  readonly #bytes: Uint8Array | null;
  #body: { readonly value: unknown } | undefined;

  constructor([position, id, flags, receivedAt, body, error, steps]: Row) {
    this.position = position;
    this.id = id;
    this.receivedAt = receivedAt;
    this.error = error ?? undefined;
    this.#flags = flags;
    this.#bytes = body;
    const list: Step[] = [];
    for (let i = 0; i < steps.length; i += 2) {
      list.push(new StoredStep(steps[i] as number, steps[i + 1] as Uint8Array | null));
    }
    this.steps = Object.freeze(list);
    Object.freeze(this);
  }

  get body(): unknown {
    this.#body ??= { value: decodeValue(this.#bytes) };
    return this.#body.value;
  }

  get status(): Message["status"] {
    if (this.#flags & finished) return "finished";
    if (this.#flags & inProgress) return "processing";
    return this.#flags & errored ? "failed" : "received";
  }

  get inProgress(): boolean {
    return (this.#flags & inProgress) !== 0;
  }

  toJSON(): Message {
    const { id, receivedAt, body, status, steps, error } = this;
    return { id, receivedAt, body, status, steps, error };
  }
}

/** An immutable state. `after` makes the next one. */
export class State implements ConversationState {
  readonly messages: readonly Message[];
  readonly #known: ReadonlyMap<string, StoredMessage>;

  private constructor(messages: readonly Message[], known: ReadonlyMap<string, StoredMessage>) {
    this.messages = Object.freeze(messages);
    this.#known = known;
    Object.freeze(this);
  }

  static readonly empty: State = new State([], new Map());

  /** The state in which the messages of `rows` have changed; of an empty one after a reset. */
  after(rows: Uint8Array, reset: boolean): State {
    const changed = (decode(rows) as readonly Row[]).map((row) => new StoredMessage(row));
    const known = new Map(reset ? [] : this.#known);
    const messages = reset ? [] : this.messages.slice();
    for (const message of changed) {
      known.set(message.id, message);
      if (message.position >= 0) messages[message.position] = message;
    }
    return new State(messages, known);
  }

  message(id: string): Message | undefined {
    const found = this.#known.get(id);
    return found !== undefined && found.position >= 0 ? found : undefined;
  }

  isReceived(id: string): boolean {
    return this.message(id) !== undefined;
  }

  isInProgress(id: string): boolean {
    return this.#known.get(id)?.inProgress ?? false;
  }

  isFullyProcessed(id: string): boolean {
    return this.#known.get(id)?.status === "finished";
  }

  lastCompletedStep(id: string): number | undefined {
    return this.#known.get(id)?.steps.at(-1)?.index;
  }

  completedStep(id: string, index: number): Step | undefined {
    return this.#known.get(id)?.steps.find((step) => step.index === index);
  }

  error(id: string): string | undefined {
    return this.#known.get(id)?.error;
  }
}

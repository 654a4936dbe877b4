import type { ConversationState, Message, OpenStep, Step } from "../types.js";
import { decodeValue, decodeValues } from "../values.js";
import { decodeMulti } from "./decode.js";
import { Lazy } from "./lazy.js";
import { Table } from "./table.js";

// The state lives in Go. What changes there arrives here as rows, and becomes
// immutable objects: a new one for each message that changed, the old ones for
// the others. Bodies and outputs are decoded when they are first looked at.

/**
 * `[position, id, flags, receivedAt, body, error, steps,
 * [index, name, uncertain, output, …], result, starts]`, see wasm/view_js.go. The completed steps are index, name and output of
 * each, encoded. Of a message that is known already, there are only those that are new, and a body or a result that is not is false.
 */
type Row = readonly [
  number,
  string,
  number,
  number,
  Uint8Array | null | false,
  string | null,
  Uint8Array,
  readonly (number | string | boolean | Uint8Array | null)[],
  Uint8Array | null | false,
  number,
];

const inProgress = 1;
const finished = 2;
const failed = 8;
const cancelled = 16;

class StoredStep implements Step {
  readonly index: number;
  readonly name: string | undefined;
  readonly #output: Lazy<Uint8Array | null, unknown>;

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
  readonly #chunks: Lazy<Uint8Array | null, readonly unknown[]>;

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
  readonly openSteps: readonly OpenStep[];
  readonly error: string | undefined;
  readonly starts: number;
  /** Place in order of arrival; -1 if only later events of it are in the log. */
  readonly position: number;
  readonly #flags: number;
  readonly #body: Lazy<Uint8Array | null, unknown>;
  readonly #result: Lazy<Uint8Array | null, unknown>;
  readonly #steps: Lazy<Uint8Array, readonly Step[]>;

  constructor([position, id, flags, receivedAt, body, error, steps, open, result, starts]: Row, before: StoredMessage | undefined) {
    this.position = position;
    this.id = id;
    this.receivedAt = receivedAt;
    this.error = error ?? undefined;
    this.starts = starts;
    this.#flags = flags;
    this.#body = body === false && before !== undefined ? before.#body : new Lazy(body || null, decodeValue);
    this.#result = result === false && before !== undefined ? before.#result : new Lazy(result || null, decodeValue);
    if (before === undefined) this.#steps = new Lazy(steps, (bytes) => completed([], bytes));
    else if (steps.length === 0) this.#steps = before.#steps;
    else {
      const all = completed(before.steps, steps); // at once: else each step would hold all states before it
      this.#steps = new Lazy(steps, () => all);
    }
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

  get steps(): readonly Step[] {
    return this.#steps.value;
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

/** The steps and those that have completed since, which are encoded, by ascending index. */
function completed(before: readonly Step[], encoded: Uint8Array): readonly Step[] {
  const steps = before.slice();
  const parts = [...decodeMulti(encoded)];
  for (let i = 0; i < parts.length; i += 3) {
    const step = new StoredStep(parts[i] as number, parts[i + 1] as string, parts[i + 2] as Uint8Array | null);
    let place = steps.length; // they usually complete in order
    while (place > 0 && (steps[place - 1]?.index ?? 0) > step.index) place--;
    const again = steps[place - 1]?.index === step.index;
    steps.splice(again ? place - 1 : place, again ? 1 : 0, step);
  }
  return Object.freeze(steps);
}

/** An immutable state. `after` makes the next one, which shares with it what has not changed: a long log makes it no slower. */
export class State implements ConversationState {
  /** Where each message is in `#table`. Shared by all states that follow one another: it only grows. */
  readonly #places: Map<string, number>;
  readonly #table: Table<StoredMessage>;
  readonly #ordered: Lazy<Table<StoredMessage>, readonly Message[]>;

  private constructor(places: Map<string, number>, table: Table<StoredMessage>) {
    this.#places = places;
    this.#table = table;
    this.#ordered = new Lazy(table, inOrder);
    Object.freeze(this);
  }

  static readonly empty: State = new State(new Map(), Table.empty());

  get messages(): readonly Message[] {
    return this.#ordered.value;
  }

  toJSON(): { readonly messages: readonly Message[] } {
    return { messages: this.messages };
  }

  /** The state in which the messages of `rows` have changed; of an empty one after a reset. */
  after(rows: Uint8Array, reset: boolean): State {
    const before = reset ? State.empty : this;
    const places = before.#ownPlaces();
    const changes: [number, StoredMessage][] = [];
    for (const row of decodeMulti(rows) as Iterable<Row>) {
      const [, id] = row;
      const place = places.get(id) ?? places.size;
      places.set(id, place);
      changes.push([place, new StoredMessage(row, before.#table.at(place))]);
    }
    const table = before.#table.after(changes);
    return new State(places, table);
  }

  /** The places, to be added to. They are shared unless another state has followed this one before. */
  #ownPlaces(): Map<string, number> {
    const { size } = this.#table;
    if (size > 0 && this.#places.size === size) return this.#places;
    return new Map(this.#table.items().map(({ id }, place) => [id, place]));
  }

  /** What is known of a message, also if it was never received. */
  #known(id: string): StoredMessage | undefined {
    const place = this.#places.get(id);
    const found = place === undefined ? undefined : this.#table.at(place);
    return found?.id === id ? found : undefined; // a later state may have put it there
  }

  message(id: string): Message | undefined {
    const found = this.#known(id);
    return found !== undefined && found.position >= 0 ? found : undefined;
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

/** Those which were received, in order of arrival. */
function inOrder(table: Table<StoredMessage>): readonly Message[] {
  const messages: Message[] = [];
  for (const message of table.items()) if (message.position >= 0) messages[message.position] = message;
  return Object.freeze(messages);
}

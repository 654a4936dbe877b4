import { StepError } from "../errors.js";
import type { Message, Step, Waiting } from "../types.js";
import { decodeShared, decodeValue, decodeValues, frozen } from "../values.js";
import { Lazy } from "./lazy.js";
import { decodeDetails, decodeOpenStep, decodeSteps, type Details, flag, openFlag, type OpenStepRow, type Place, type Row, startLength } from "./row.js";
import { MessageView, StepView } from "./view.js";

// What rows become, immutable. Bodies and outputs are decoded when they are first needed. Applications see
// it as the objects of view.ts.

/** A value as its readers share it. */
type Shared = ReturnType<typeof decodeShared>;

export class StoredStep {
  readonly index: number;
  readonly name: string | undefined;
  readonly #output: Lazy<Uint8Array, Shared>;
  readonly #details: Lazy<Uint8Array, Details>;
  readonly #error: Lazy<StoredStep, StepError | undefined>;
  #view: Step | undefined;

  constructor(index: number, name: string, output: Uint8Array, details: Uint8Array) {
    this.index = index;
    this.name = name === "" ? undefined : name;
    this.#output = new Lazy(output, decodeShared);
    this.#details = new Lazy(details, (bytes) => decodeDetails(name, bytes));
    this.#error = new Lazy<StoredStep, StepError | undefined>(this, ({ details: { failure, attempts } }) => failure && new StepError(name, index, attempts, failure));
    Object.freeze(this);
  }

  /** As applications see it. */
  get view(): Step {
    return (this.#view ??= new StepView(this));
  }

  get details(): Details {
    return this.#details.value;
  }

  get output(): unknown {
    return this.#output.value.value;
  }

  get error(): StepError | undefined {
    return this.#error.value;
  }

  get calledAt(): number | undefined {
    return this.details.place?.called;
  }
}

export class StoredOpenStep {
  readonly index: number;
  readonly name: string;
  readonly uncertain: boolean;
  readonly attempts: number;
  readonly due: number | undefined;
  readonly error: StepError | undefined;
  readonly place: Place | undefined;
  readonly #waiting: "answer" | "time" | undefined;
  readonly #output: Lazy<Uint8Array | null, { readonly chunks: readonly unknown[]; readonly prompt: unknown }>;

  constructor(row: OpenStepRow) {
    const [index, name, flags, output, attempts, due] = row;
    const has = (one: number): boolean => (flags & one) !== 0;
    const { place, failure } = decodeOpenStep(row);
    this.index = index;
    this.name = name;
    this.uncertain = has(openFlag.uncertain);
    this.attempts = attempts;
    this.due = due === 0 ? undefined : due;
    this.error = failure && new StepError(name, index, attempts, failure);
    this.place = place;
    this.#waiting = has(openFlag.waiting) ? (has(openFlag.sleep) ? "time" : "answer") : undefined;
    const waits = this.#waiting !== undefined;
    this.#output = new Lazy(has(openFlag.output) ? output : null, (bytes) =>
      frozen(waits ? { chunks: [], prompt: decodeValue(bytes) } : { chunks: decodeValues(bytes), prompt: undefined }),
    );
    Object.freeze(this);
  }

  get chunks(): readonly unknown[] {
    return this.#output.value.chunks;
  }

  get waiting(): Waiting | undefined {
    return this.#waiting && { for: this.#waiting, prompt: this.#output.value.prompt };
  }
}

export class StoredMessage {
  readonly id: string;
  readonly receivedAt: number;
  readonly openSteps: readonly StoredOpenStep[];
  readonly due: number | undefined;
  readonly error: string | undefined;
  readonly starts: number;
  /** Its place in the order of arrival, and that of the message that it follows; -1 for none. */
  readonly position: number;
  readonly parent: number;
  readonly after: string | undefined;
  /** How many notes there were when it began to be processed; `undefined` if it never has. */
  readonly noted: number | undefined;
  readonly #flags: number;
  readonly #body: Lazy<Uint8Array | null, Shared>;
  readonly #result: Lazy<Uint8Array | null, Shared>;
  readonly #steps: Lazy<Uint8Array, readonly StoredStep[]>;
  readonly #views: Lazy<StoredMessage, readonly Step[]>;
  #view: Message | undefined;

  /** `known` is the same message before the change that the row is of; `idAt` finds the id of a message by its position. */
  constructor(
    [id, flags, receivedAt, body, error, , result, starts, steps, open, , , , , due, back, began, , noted]: Row,
    position: number,
    known: StoredMessage | undefined,
    idAt: (position: number) => string | undefined,
  ) {
    const has = (one: number): boolean => (flags & one) !== 0;
    const before = has(flag.part) ? known : undefined;
    this.id = id;
    this.receivedAt = receivedAt;
    this.error = has(flag.errored) ? error : undefined;
    this.starts = starts.byteLength / startLength;
    this.due = has(flag.parked) && due > 0 ? due : undefined;
    this.position = position;
    this.parent = back > 0 ? position - back : -1;
    this.after = known?.received === true ? known.after : idAt(this.parent);
    this.noted = began > 0 ? noted : undefined;
    this.#flags = flags;
    this.#body = has(flag.bodyOmitted) && before !== undefined ? before.#body : new Lazy(has(flag.body) ? body : null, decodeShared);
    this.#result = has(flag.resultOmitted) && before !== undefined ? before.#result : new Lazy(has(flag.result) ? result : null, decodeShared);
    if (before === undefined) this.#steps = new Lazy(steps, (bytes) => withEnded([], bytes));
    else if (steps.length === 0) this.#steps = before.#steps;
    else {
      const all = withEnded(before.ended, steps); // at once: else each step would hold all states before it
      this.#steps = new Lazy(steps, () => all);
    }
    const viewed = ({ ended: all }: StoredMessage): readonly Step[] => Object.freeze(all.map(({ view }) => view));
    this.#views = before !== undefined && before.#steps === this.#steps ? before.#views : new Lazy<StoredMessage, readonly Step[]>(this, viewed);
    this.openSteps = open.map((step) => new StoredOpenStep(step));
    Object.freeze(this);
  }

  /** Whether it was received, and not only named by other events. */
  get received(): boolean {
    return (this.#flags & flag.received) !== 0;
  }

  get body(): unknown {
    return this.#body.value.value;
  }

  /** The steps with an outcome. */
  get ended(): readonly StoredStep[] {
    return this.#steps.value;
  }

  /** The same as applications see them. */
  get steps(): readonly Step[] {
    return this.#views.value;
  }

  /** The message as applications see it. */
  get view(): Message {
    return (this.#view ??= new MessageView(this));
  }

  get result(): unknown {
    return this.#result.value.value;
  }

  get status(): Message["status"] {
    if (this.#flags & flag.finished) return "finished";
    if (this.#flags & flag.cancelled) return "cancelled";
    if (this.#flags & flag.inProgress) return "processing";
    if (this.#flags & flag.parked) return "waiting";
    return this.#flags & flag.failed ? "failed" : "received";
  }

  get inProgress(): boolean {
    return (this.#flags & flag.inProgress) !== 0;
  }
}

/** The steps and those that have ended since, which are encoded, by ascending index. */
function withEnded(before: readonly StoredStep[], encoded: Uint8Array): readonly StoredStep[] {
  const steps = before.slice();
  const parts = decodeSteps(encoded);
  for (let i = 0; i < parts.length; i += 4) {
    const step = new StoredStep(parts[i] as number, parts[i + 1] as string, parts[i + 2] as Uint8Array, parts[i + 3] as Uint8Array);
    let place = steps.length; // they usually end in order
    while (place > 0 && (steps[place - 1]?.index ?? 0) > step.index) place--;
    const again = steps[place - 1]?.index === step.index;
    steps.splice(again ? place - 1 : place, again ? 1 : 0, step);
  }
  return Object.freeze(steps);
}

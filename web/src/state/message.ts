import type { Message, OpenStep, Step } from "../types.js";
import { decodeValue, decodeValues } from "../values.js";
import { Lazy } from "./lazy.js";
import { decodeSteps, flag, openFlag, type OpenStepRow, type Row, startLength } from "./row.js";

// The immutable objects that rows become. Bodies and outputs are decoded when they are first needed.

class StoredStep implements Step {
  readonly index: number;
  readonly name: string | undefined;
  readonly #output: Lazy<Uint8Array, unknown>;

  constructor(index: number, name: string, output: Uint8Array) {
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

  constructor([index, name, flags, output]: OpenStepRow) {
    this.index = index;
    this.name = name;
    this.uncertain = (flags & openFlag.uncertain) !== 0;
    this.#chunks = new Lazy((flags & openFlag.output) === 0 ? null : output, (bytes) => Object.freeze(decodeValues(bytes)));
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

export class StoredMessage implements Message {
  readonly id: string;
  readonly receivedAt: number;
  readonly openSteps: readonly OpenStep[];
  readonly error: string | undefined;
  readonly starts: number;
  readonly #flags: number;
  readonly #body: Lazy<Uint8Array | null, unknown>;
  readonly #result: Lazy<Uint8Array | null, unknown>;
  readonly #steps: Lazy<Uint8Array, readonly Step[]>;

  /** `before` is the same message before the change that the row is of. */
  constructor([id, flags, receivedAt, body, error, , result, starts, steps, open]: Row, before: StoredMessage | undefined) {
    const has = (one: number): boolean => (flags & one) !== 0;
    this.id = id;
    this.receivedAt = receivedAt;
    this.error = has(flag.errored) ? error : undefined;
    this.starts = starts.byteLength / startLength;
    this.#flags = flags;
    this.#body = has(flag.bodyOmitted) && before !== undefined ? before.#body : new Lazy(has(flag.body) ? body : null, decodeValue);
    this.#result = has(flag.resultOmitted) && before !== undefined ? before.#result : new Lazy(has(flag.result) ? result : null, decodeValue);
    if (before === undefined) this.#steps = new Lazy(steps, (bytes) => completed([], bytes));
    else if (steps.length === 0) this.#steps = before.#steps;
    else {
      const all = completed(before.steps, steps); // at once, or it would keep `before`
      this.#steps = new Lazy(steps, () => all);
    }
    this.openSteps = Object.freeze(open.map((step) => new StoredOpenStep(step)));
    Object.freeze(this);
  }

  /** Whether it was received, and not only named by other events. */
  get received(): boolean {
    return (this.#flags & flag.received) !== 0;
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
    if (this.#flags & flag.finished) return "finished";
    if (this.#flags & flag.cancelled) return "cancelled";
    if (this.#flags & flag.inProgress) return "processing";
    return this.#flags & flag.failed ? "failed" : "received";
  }

  get inProgress(): boolean {
    return (this.#flags & flag.inProgress) !== 0;
  }

  toJSON(): Message {
    const { id, receivedAt, body, status, steps, openSteps, result, starts, error } = this;
    return { id, receivedAt, body, status, steps, openSteps, result, starts, error };
  }
}

/** Returns the steps `before` with those that have completed since, by ascending index. */
function completed(before: readonly Step[], encoded: Uint8Array): readonly Step[] {
  const steps = before.slice();
  const parts = decodeSteps(encoded);
  for (let i = 0; i < parts.length; i += 3) {
    const step = new StoredStep(parts[i] as number, parts[i + 1] as string, parts[i + 2] as Uint8Array);
    let place = steps.length; // they usually complete in order
    while (place > 0 && (steps[place - 1]?.index ?? 0) > step.index) place--;
    const again = steps[place - 1]?.index === step.index;
    steps.splice(again ? place - 1 : place, again ? 1 : 0, step);
  }
  return Object.freeze(steps);
}

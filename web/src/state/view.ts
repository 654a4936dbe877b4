import type { Message, OpenStep, Step } from "../types.js";

// Messages and steps as applications see them: what they hold is in properties of their own, so that `{...message}`,
// `structuredClone` and `postMessage` find it. What would have to be decoded is read when it is needed.

/** What a view is made of. A symbol finds it through a proxy, too, which a private member does not. */
const source = Symbol("source");

interface View {
  readonly [source]: Readonly<Record<string, unknown>>;
}

/** Properties that are read from the source. All views of a kind share them: functions for each would cost more than all else. */
function lazily(...keys: readonly string[]): PropertyDescriptorMap {
  const property = (key: string): PropertyDescriptor => ({
    enumerable: true,
    get(this: View) {
      return this[source][key];
    },
  });
  return Object.fromEntries(keys.map((key) => [key, property(key)]));
}

/** Gives a view its source, and what is read from that. */
function complete(view: object, from: object, lazy: PropertyDescriptorMap): void {
  Object.defineProperty(view, source, { value: from });
  Object.freeze(Object.defineProperties(view, lazy));
}

/** For JSON, in which an error would be empty. */
const withText = (step: Step | OpenStep): object => ({ ...step, error: step.error && String(step.error) });

const ofStep = lazily("output", "error", "calledAt");

export class StepView implements Step {
  readonly index: number;
  readonly name: string | undefined;
  declare readonly output: Step["output"];
  declare readonly error: Step["error"];
  declare readonly calledAt: Step["calledAt"];

  constructor(step: Step) {
    this.index = step.index;
    this.name = step.name;
    complete(this, step, ofStep);
  }

  toJSON(): object {
    return withText(this);
  }
}

const ofOpenStep = lazily("chunks", "waiting");

class OpenStepView implements OpenStep {
  readonly index: number;
  readonly name: string;
  declare readonly chunks: OpenStep["chunks"];
  readonly uncertain: boolean;
  readonly attempts: number;
  readonly error: OpenStep["error"];
  readonly due: number | undefined;
  declare readonly waiting: OpenStep["waiting"];

  constructor(step: OpenStep) {
    this.index = step.index;
    this.name = step.name;
    this.uncertain = step.uncertain;
    this.attempts = step.attempts;
    this.error = step.error;
    this.due = step.due;
    complete(this, step, ofOpenStep);
  }

  toJSON(): object {
    return withText(this);
  }
}

const ofMessage = lazily("body", "steps", "result");

export class MessageView implements Message {
  readonly id: string;
  readonly receivedAt: number;
  readonly after: string | undefined;
  declare readonly body: Message["body"];
  readonly status: Message["status"];
  declare readonly steps: Message["steps"];
  readonly openSteps: Message["openSteps"];
  declare readonly result: Message["result"];
  readonly starts: number;
  readonly due: number | undefined;
  readonly error: string | undefined;

  constructor(message: Omit<Message, "output">) {
    this.id = message.id;
    this.receivedAt = message.receivedAt;
    this.after = message.after;
    this.status = message.status;
    this.openSteps = Object.freeze(message.openSteps.map((step) => new OpenStepView(step)));
    this.starts = message.starts;
    this.due = message.due;
    this.error = message.error;
    complete(this, message, ofMessage);
  }

  output(name: string): unknown {
    const isNamed = (step: { readonly name: string | undefined }): boolean => step.name === name;
    const [ended, open] = [this.steps.findLast(isNamed), this.openSteps.findLast(isNamed)];
    if (open === undefined || (ended !== undefined && ended.index > open.index)) return ended?.output;
    const { chunks } = open;
    if (chunks.length === 0) return undefined;
    return chunks.every((chunk) => typeof chunk === "string") ? chunks.join("") : chunks;
  }
}

// What is outside of the program: it outlives crashes, and its functions do what costs, fails or varies.
import type * as Package from "@holdfast-dev/holdfast";
import type { Conversation } from "@holdfast-dev/holdfast";

/** A call of a function, and how many events the log had then. */
interface Called {
  readonly label: string;
  readonly at: number;
}

/** How a function behaves. */
export interface Behaviour {
  /** Milliseconds that it takes. */
  readonly ms?: number;
  /** How many of its first calls fail, and whether for good. */
  readonly fails?: number;
  readonly terminal?: boolean;
  /** How many of its first calls do not end. */
  readonly hangs?: number;
}

export class World {
  readonly package: typeof Package;
  /** How many crashes there were. */
  readonly life: number;
  /** What should not have happened. */
  readonly faults: string[] = [];
  /** Hears of what the handler sees. */
  onSee: (what: string) => void = () => undefined;
  /** The conversation of this life. */
  conversation: Conversation | undefined;
  readonly #called: Called[] = [];
  /** How often functions were called in the lives before. */
  readonly #before: ReadonlyMap<string, number>;
  readonly #known: Map<string, unknown>;

  constructor(holdfast: typeof Package, life = 0, before: ReadonlyMap<string, number> = new Map(), known: Map<string, unknown> = new Map()) {
    this.package = holdfast;
    this.life = life;
    this.#before = before;
    this.#known = known;
  }

  /** The world after a crash that has left so many events. */
  after(at: number): World {
    return new World(this.package, this.life + 1, this.calls(at), this.#known);
  }

  /** The calls of each function in all lives, of this one those up to a length of the log. */
  calls(at = Infinity): Map<string, number> {
    const calls = new Map(this.#before);
    for (const call of this.#called) if (call.at <= at) calls.set(call.label, (calls.get(call.label) ?? 0) + 1);
    return calls;
  }

  /** Whether a function was called in this life. */
  hasCalled(label: string): boolean {
    return this.#called.some((call) => call.label === label);
  }

  /** Notes a call, and returns which it is, from 1. */
  call(label: string): number {
    this.#called.push({ label, at: this.conversation?.expectedSeq ?? 0 });
    return this.calls().get(label) ?? 0;
  }

  /** A function of a step, whose output is its label. */
  does(label: string, { ms = 0, fails = 0, terminal = false, hangs = 0 }: Behaviour = {}): () => Promise<string> {
    return async () => {
      const count = this.call(label);
      if (count <= hangs) return new Promise(() => undefined);
      if (ms > 0) await pause(ms);
      if (count > fails) return label;
      throw terminal ? new this.package.TerminalError(label) : new Error(label);
    };
  }

  /** Expects the same value in each life. */
  same(what: string, value: unknown): void {
    if (!this.#known.has(what)) this.#known.set(what, value);
    this.expect(this.#known.get(what) === value, `${what} is ${String(value)}, and was ${String(this.#known.get(what))}`);
  }

  expect(holds: boolean, otherwise: string): void {
    if (!holds) this.faults.push(otherwise);
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms));
}

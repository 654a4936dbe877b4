import type { Place } from "./state/row.js";

/** One run of a handler, or of the function of a step. Outcomes have an order within it. */
export class Run {
  /** The number of the call of the function; 0 for the handler. */
  readonly call: number;
  /** The path of its steps before their scopes. */
  readonly path: string;
  /** One more than the order of the outcome that it has got last. */
  after = 0;
  /** Why it calls no more steps. */
  over: (() => Error) | undefined;
  /** The run that has called the step whose function this is a run of. */
  readonly #outer: Run | undefined;

  constructor(call: number, path: string, outer?: Run) {
    this.call = call;
    this.path = path;
    this.#outer = outer;
  }

  isWithin(run: Run): boolean {
    return this === run || this.#outer?.isWithin(run) === true;
  }
}

/** A call of a step that waits for its outcome. */
export interface Waiting {
  readonly run: Run;
  path: string;
  /** The place of the outcome in the log, once that is known. */
  order: number | undefined;
  /** Hands the outcome on, once that is here. */
  deliver: (() => void) | undefined;
  /** The task in which it was called. */
  readonly task: number;
  /** Whether it has no key, and came out of a wait for something that is no step, while others of its function were under way. */
  readonly unordered: boolean;
}

/** What is stored of a step: `order` if it has an outcome. */
export interface Stored {
  readonly place: Place;
  readonly order: number | undefined;
}

/**
 * Milliseconds that an outcome waits for a call that came before it in an earlier run. A call that came out
 * of a wait for something else may take as long again as it took then, but not for ever.
 */
const patience = 1000;
const mostPatience = 10_000;

/**
 * Hands outcomes to a handler one at a time, in the order of the log, each at the beginning of a task
 * of its own: then a handler sees in every replay what it has seen before, whatever it does at the
 * same time.
 */
export class Delivery {
  readonly #waiting = new Set<Waiting>();
  readonly #read: () => readonly Stored[];
  /** What was stored at the beginning, and has not been called yet. */
  readonly #stored = new Map<string, Stored>();
  /** The stored steps that were not called yet, of each function, by when they were called. */
  readonly #uncalled = new Map<string, Stored[]>();
  readonly #channel = new MessageChannel();
  #busy = false;
  #task = 0;
  #delivering = false;
  #ended = false;
  /** Runs out for what was not called: it is taken for removed. */
  #timer: ReturnType<typeof setTimeout> | undefined;
  #impatient = false;
  /** The greatest order that is known. */
  #newest = -1;
  /** When the first of the stored steps was called. */
  #begun = Infinity;

  /** `read` returns what is stored now. */
  constructor(read: () => readonly Stored[]) {
    this.#read = read;
    const all = read();
    const orders = new Set(all.map(({ order }) => order));
    for (const step of all) {
      this.#stored.set(step.place.path, step);
      this.#newest = Math.max(this.#newest, step.order ?? -1);
      this.#begun = Math.min(this.#begun, step.place.called);
      const { after } = step.place;
      if (after > 0 && !orders.has(after - 1)) continue; // nobody knows when it is called: what came before it was forgotten
      const run = runOf(step.place.scope);
      const steps = this.#uncalled.get(run);
      if (steps === undefined) this.#uncalled.set(run, [step]);
      else steps.push(step);
    }
    for (const steps of this.#uncalled.values()) steps.sort((a, b) => b.place.after - a.place.after); // the first one last
    this.#channel.port1.onmessage = () => {
      this.#busy = this.#delivering = false;
      this.#pump();
    };
  }

  /** Begins a call. Nothing is delivered within the task in which it is made. */
  call(run: Run, keyed: boolean): Waiting {
    if (!this.#busy) this.#open();
    const unordered = !keyed && !this.#delivering && this.#inFlight(run);
    const waiting: Waiting = { run, path: "", order: undefined, deliver: undefined, task: this.#task, unordered };
    this.#waiting.add(waiting);
    return waiting;
  }

  /** Says who the step is that was called. */
  identify(waiting: Waiting, path: string): void {
    waiting.path = path;
    const stored = this.#stored.get(path);
    this.#stored.delete(path);
    waiting.order ??= stored?.order;
    if (stored !== undefined && stored.order === undefined) this.#lookBack(); // it was open, and may have ended since
  }

  /** Takes an outcome, to be delivered in its turn. */
  take(waiting: Waiting, order: number, deliver: () => void): void {
    if (order > this.#newest + 1) this.#lookBack();
    this.#newest = Math.max(this.#newest, order);
    waiting.order = order;
    waiting.deliver = deliver;
    this.#pump();
  }

  /**
   * Finds outcomes that are stored already, and are not here yet: the program reports one that another tab, or
   * another call, has stored a little later than those of its own.
   */
  #lookBack(): void {
    const orders = new Map(this.#read().map(({ place, order }) => [place.path, order]));
    for (const one of this.#waiting) one.order ??= orders.get(one.path);
  }

  /** Whether calls of the same function are under way that were made in other tasks. */
  #inFlight(run: Run): boolean {
    for (const one of this.#waiting) if (one.run === run && one.task !== this.#task) return true;
    return false;
  }

  /** Forgets a call that gets no outcome. */
  drop(waiting: Waiting): void {
    this.#waiting.delete(waiting);
    this.#pump();
  }

  end(): void {
    this.#ended = true;
    this.#waiting.clear();
    clearTimeout(this.#timer);
    this.#channel.port1.close();
  }

  /** Nothing is delivered until the task that runs has ended. */
  #open(): void {
    this.#busy = true;
    this.#task++;
    this.#channel.port2.postMessage(null);
  }

  #pump(): void {
    if (this.#busy || this.#ended) return;
    let next: Waiting | undefined;
    for (const one of this.#waiting) if (one.order !== undefined && (next?.order === undefined || one.order < next.order)) next = one;
    if (next?.deliver === undefined || next.order === undefined) return;
    const missing = this.#missing(next.run, next.order);
    if (missing !== undefined) {
      const giveUp = (): void => {
        this.#impatient = true;
        this.#pump();
      };
      const took = missing.unordered ? missing.called - this.#begun : 0;
      this.#timer ??= setTimeout(giveUp, Math.min(patience + took, mostPatience));
      return;
    }
    clearTimeout(this.#timer); // only what is never called is taken for removed
    this.#timer = undefined;
    this.#waiting.delete(next);
    next.run.after = next.order + 1;
    this.#open();
    this.#delivering = true;
    next.deliver();
  }

  /** Where a stored step had been called before this outcome, and has not been called yet. */
  #missing(run: Run, order: number): Place | undefined {
    const steps = this.#uncalled.get(run.path);
    if (this.#impatient || steps === undefined) return undefined;
    for (let first = steps.at(-1); first !== undefined; first = steps.at(-1)) {
      if (this.#stored.has(first.place.path)) return first.place.after <= order ? first.place : undefined;
      steps.pop(); // it was called
    }
    return undefined;
  }
}

/** The path of the function that a scope belongs to. */
function runOf(scope: string): string {
  let path = scope;
  while (path.endsWith(":/")) path = path.slice(0, path.lastIndexOf("/", path.length - 2) + 1);
  return path;
}

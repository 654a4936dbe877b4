import type { Place } from "./state/row.js";

/** How often a step was called, and whether that has no order, which is reported once. */
interface Counted {
  readonly count: number;
  readonly unordered: boolean;
  reported: boolean;
}

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
  /** Its calls of steps, by scope, name and key. */
  readonly counted: Map<string, Counted> = new Map();
  /** Those of them that have keys, and whose outcomes were not delivered yet. */
  readonly keyed: Set<string> = new Set();
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
  readonly scopes: string;
  path: string;
  /** The place of the outcome in the log, once that is known. */
  order: number | undefined;
  /** Hands the outcome on, once that is here. */
  deliver: (() => void) | undefined;
  /** The task in which it was called. */
  readonly task: number;
  /** Whether it has no key, and did not come out of an outcome, while other steps of its function were under way. */
  readonly unordered: boolean;
  /** Whether some of these were of its own scope. */
  readonly crowded: boolean;
}

/** What is stored of a step: `order` if it has an outcome. */
export interface Stored extends Pick<Place, "path" | "scope" | "after" | "unordered"> {
  readonly order: number | undefined;
}

/**
 * Milliseconds that an outcome waits for a call that came before it in an earlier run: longer for one that is
 * unordered, because what that waits for may be slower now. Tests shorten it.
 */
export const patience = { ordered: 1000, unordered: 10_000 };

/**
 * Hands outcomes to a handler one at a time, in the order of the log, each at the beginning of a task
 * of its own: then a handler sees in every replay what it has seen before, whatever it does at the
 * same time.
 */
export class Delivery {
  readonly #waiting = new Set<Waiting>();
  readonly #read: () => readonly Stored[];
  /** What is stored, and has not been called yet. */
  readonly #stored = new Map<string, Stored>();
  /** The stored steps that were not called yet, of each function, by when they were called. */
  readonly #uncalled = new Map<string, Stored[]>();
  readonly #channel = new MessageChannel();
  /** Functions of steps that are to be called, and calls that are to be refused, each in a task of its own. */
  readonly #starts: (() => void)[] = [];
  #busy = false;
  #task = 0;
  /** Whose outcome is being delivered. */
  #delivering: Run | undefined;
  #ended = false;
  /** The path of a call that has not come yet, and the timer after which it is taken for removed. */
  #awaited: string | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #impatient = false;
  /** The calls that wait know their orders up to this one. */
  #known = -1;

  /** `read` returns what is stored now. */
  constructor(read: () => readonly Stored[]) {
    this.#read = read;
    this.replay("");
    this.#channel.port1.onmessage = () => {
      this.#busy = false;
      this.#delivering = undefined;
      const start = this.#starts.shift();
      if (start === undefined) return this.#pump();
      this.#open();
      start();
    };
  }

  /** Begins to replay what is stored of the run with a path, and of those within it. */
  replay(path: string): void {
    const all = this.#read();
    this.#lookBack(all);
    const orders = new Set(all.map(({ order }) => order));
    for (const run of this.#uncalled.keys()) if (run.startsWith(path)) this.#uncalled.delete(run);
    for (const step of all) {
      const run = runOf(step.scope);
      if (!run.startsWith(path)) continue;
      this.#stored.set(step.path, step);
      if (step.after > 0 && !orders.has(step.after - 1)) continue; // nobody knows when it is called: what came before it was forgotten
      const steps = this.#uncalled.get(run);
      if (steps === undefined) this.#uncalled.set(run, [step]);
      else steps.push(step);
    }
    for (const steps of this.#uncalled.values()) steps.sort((a, b) => b.after - a.after); // the first one last
  }

  /** Calls the function of a step, in a task of its own: what is called in that came out of no outcome. */
  start(work: () => void): void {
    this.#starts.push(work);
    if (!this.#busy) this.#open();
  }

  /** Refuses a call of a run in a task of its own, before any outcome: each replay refuses it there, too. */
  refuse(run: Run, reject: () => void): void {
    this.start(() => {
      this.#delivering = run;
      reject();
    });
  }

  /** Begins a call. Nothing is delivered within the task in which it is made. */
  call(run: Run, scopes: string, keyed: boolean): Waiting {
    if (!this.#busy) this.#open();
    const before = keyed || this.#delivering === run ? [] : [...this.#waiting].filter((one) => one.run === run && one.task !== this.#task);
    const crowded = before.some((one) => one.scopes === scopes);
    const waiting: Waiting = { run, scopes, path: "", order: undefined, deliver: undefined, task: this.#task, unordered: before.length > 0, crowded };
    this.#waiting.add(waiting);
    return waiting;
  }

  /**
   * Says who the step is that was called. Returns whether it came out of a wait for what is no step, which has
   * lasted longer than outcomes waited for it that came after it in an earlier run.
   */
  identify(waiting: Waiting, path: string): boolean {
    waiting.path = path;
    const stored = this.#stored.get(path);
    this.#stored.delete(path);
    waiting.order ??= stored?.order;
    if (stored !== undefined && stored.order === undefined) this.#lookBack(this.#read()); // it was open, and may have ended since
    if (stored === undefined || stored.after >= waiting.run.after || this.#delivering === waiting.run) return false;
    return stored.after === 0 || this.#read().some(({ order }) => order === stored.after - 1); // else a retry has forgotten what came before it
  }

  /** Takes an outcome, to be delivered in its turn. */
  take(waiting: Waiting, order: number, deliver: () => void): void {
    if (order > this.#known + 1) this.#lookBack(this.#read());
    this.#known = Math.max(this.#known, order);
    waiting.order = order;
    waiting.deliver = deliver;
    this.#pump();
  }

  /**
   * Finds outcomes that are stored already, and are not here yet: the program reports one that another tab, or
   * another call, has stored a little later than those of its own.
   */
  #lookBack(all: readonly Stored[]): void {
    const orders = new Map(all.map(({ path, order }) => [path, order]));
    for (const one of this.#waiting) one.order ??= orders.get(one.path);
    for (const order of orders.values()) this.#known = Math.max(this.#known, order ?? -1);
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
    this.#await(missing);
    if (missing !== undefined) return;
    this.#waiting.delete(next);
    next.run.after = next.order + 1;
    this.#open();
    this.#delivering = next.run;
    next.deliver();
  }

  /** Where a stored step had been called before this outcome, and has not been called yet. */
  #missing(run: Run, order: number): Stored | undefined {
    const steps = this.#uncalled.get(run.path);
    for (let first = steps?.at(-1); first !== undefined; first = steps?.at(-1)) {
      if (this.#stored.has(first.path) && (first.unordered || !this.#impatient)) return first.after <= order ? first : undefined;
      steps?.pop(); // it was called, or is taken for removed
    }
    return undefined;
  }

  /** Waits for a call that is missing. All ordered ones together get their time once. */
  #await(missing: Stored | undefined): void {
    if (missing?.path === this.#awaited) return;
    clearTimeout(this.#timer);
    this.#awaited = missing?.path;
    if (missing === undefined) return;
    const giveUp = (): void => {
      if (missing.unordered) this.#stored.delete(missing.path);
      else this.#impatient = true;
      this.#pump();
    };
    this.#timer = setTimeout(giveUp, missing.unordered ? patience.unordered : patience.ordered);
  }
}

/** The path of the function that a scope belongs to. */
function runOf(scope: string): string {
  let path = scope;
  while (path.endsWith(":/")) path = path.slice(0, path.lastIndexOf("/", path.length - 2) + 1);
  return path;
}

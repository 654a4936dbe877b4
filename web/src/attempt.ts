import { type Called, type Outcome, policies, type Retry } from "./bridge/bridge.js";
import { errorOf, type Failure } from "./bridge/failure.js";
import type { Instance } from "./bridge/instance.js";
import * as check from "./check.js";
import { Delivery, Run, type Stored, type Waiting } from "./delivery.js";
import { HoldfastError, StepError } from "./errors.js";
import { type BareHandler, callOf, type End, type Noted, rehearse } from "./rehearsal.js";
import { Lazy } from "./state/lazy.js";
import { streamed } from "./streamed.js";
import { asError, isFinal, isTerminal, stepsOf, textOf, textsOf } from "./thrown.js";
import type { Message, RetryOptions, RunStep, StepContext, StepOptions, Streamed, StreamOptions, WaitOptions } from "./types.js";
import { decodeValue, decodeValues, encodeOutput } from "./values.js";

const maxTime = 86_400_000;
const maxKeyBytes = 256;

/** Calls after the end of an attempt that are answered: a handler may swallow errors in a loop for ever. */
const maxRefusals = 100;

/** What a step's function is called with, and what comes of it, in bytes. */
type Work = (context: StepContext, emit: (part: Uint8Array) => Promise<unknown>) => Promise<Uint8Array | undefined>;

/** Calls a step: returns its path, which is empty if it could not be called, and its outcome. */
type Start = () => [path: string, outcome: Promise<Outcome>];

/** What the program says of a call. */
type Given = Pick<StepContext, "attempt" | "idempotencyKey" | "uncertain">;

/** A call of a step, as the application sees it. */
interface Promised {
  readonly name: string;
  readonly promise: Promise<unknown>;
  /** What {@link Run.keyed} has of it. */
  key: string | undefined;
  /** Whether the application has done anything with the promise. */
  awaited: boolean;
  readonly run: Run;
  readonly resolve: (value: unknown) => void;
  readonly reject: (reason: unknown) => void;
}

/** A handler at work on a message. */
export class Attempt {
  readonly #instance: Instance;
  readonly #number: number;
  readonly #report: (error: Error) => void;
  readonly #controller = new AbortController();
  readonly #delivery: Delivery;
  readonly #root = new Run(0, "");
  /** The calls that have no outcome yet. */
  readonly #promised = new Set<Promised>();
  /** Those that have failed. */
  readonly #failed: Promised[] = [];
  /** The calls of the handler itself, for a rehearsal. */
  #notes: Map<string, Noted> | undefined;
  /** Ends when the handler is no longer called. */
  rehearsal: Promise<void> | undefined;
  /** The function within which a function of a step has just been called, until that waits for something. */
  #within: Run | undefined;
  #refusals = 0;
  /** Whether a call has come later than a replay waits for it. */
  #late = false;

  constructor(instance: Instance, number: number, stored: () => readonly Stored[], rehearses: boolean, report: (error: Error) => void) {
    this.#instance = instance;
    this.#number = number;
    this.#delivery = new Delivery(stored);
    this.#report = report;
    if (rehearses) this.#notes = new Map();
  }

  /** Ends the attempt: nothing of it is recorded any more. */
  abort(reason: unknown): void {
    this.#root.over ??= () => reason as Error;
    this.#controller.abort(reason);
    this.#delivery.end();
    for (const call of this.#promised) call.reject(reason);
    this.#promised.clear();
  }

  async run(handler: BareHandler, message: Message): Promise<void> {
    const { signal } = this.#controller;
    const thrown = signal.aborted ? undefined : await this.#handle(handler, message);
    // The runner waits for that: a handler is not called twice at once.
    if (signal.aborted) this.#instance.callIfOpen((bridge) => bridge.handled(this.#number, undefined));
    else if (thrown !== undefined) this.#controller.abort(thrown.error); // what it has opened ends with it
  }

  /** Calls the handler, and returns what it has thrown. */
  async #handle(handler: BareHandler, message: Message): Promise<{ readonly error: unknown } | undefined> {
    const { signal } = this.#controller;
    let result: Uint8Array | undefined;
    let thrown: { readonly error: unknown } | undefined;
    try {
      result = encodeOutput("process", "the result", await handler({ message, step: this.#stepOf(this.#root, ""), signal }));
    } catch (error) {
      thrown = { error };
    }
    const end = thrown === undefined ? result : textOf(thrown.error);
    const forgotten = [...this.#failed, ...this.#promised].filter((call) => call.run === this.#root && !call.awaited);
    const ends = await Promise.allSettled(forgotten.map(({ promise }) => promise));
    if (signal.aborted) return undefined;
    const failed = ends.findIndex(({ status }) => status === "rejected");
    if (thrown === undefined && failed >= 0) {
      const cause = (ends[failed] as PromiseRejectedResult).reason as unknown;
      thrown = { error: new Error(`step ${forgotten[failed]?.name} has failed, and the handler did not await it: await each step`, { cause }) };
    }
    this.#root.over = () => check.refuse("step", "the handler has returned; await its steps in it");
    this.#delivery.end();
    this.rehearsal = this.#rehearse(handler, message, end);
    if (thrown === undefined) {
      this.#answer(() => this.#instance.handled(this.#number, result));
      return undefined;
    }
    const { error } = thrown;
    const steps = stepsOf(error);
    if (steps.length === 0) this.#report(asError(error));
    this.#answer(() => this.#instance.callNow((bridge) => bridge.handled(this.#number, undefined, [...textsOf(error), ...steps])));
    return thrown;
  }

  async #rehearse(handler: BareHandler, message: Message, end: End): Promise<void> {
    const difference = this.#notes && (await rehearse(handler, message, this.#notes, end));
    if (difference === undefined) return;
    const text = `holdfast: process: step_mismatch: in a rehearsal of message ${JSON.stringify(message.id)} the handler went another way: ${difference}; do what varies within steps, give steps that have no order keys, and within a step use the step that its function is given`;
    this.#report(new HoldfastError("step_mismatch", text, { operation: "process" }));
  }

  /** Makes the function that calls steps of a run, within scopes whose names are separated by zeros. */
  #stepOf(run: Run, scopes: string): RunStep {
    const step = <T>(name: string, fn: (context: StepContext) => T | PromiseLike<T>, options?: StepOptions): Promise<T> =>
      this.#call(run, scopes, name, fn, options, async (context) => encodeOutput("step", `the output of ${name}`, await fn(context))) as Promise<T>;
    return Object.assign(step, {
      stream: (name: string, fn: (context: StepContext) => Streamed<unknown>, options?: StreamOptions): Promise<unknown> => {
        const resume = options?.resume === true;
        return this.#call(run, scopes, name, fn, options, (context, emit) => streamed(fn, context, emit, resume, (call) => this.#enter(run, call)), true);
      },
      wait: (name: string, options?: WaitOptions): Promise<unknown> => this.#wait(run, scopes, name, options),
      sleep: (name: string, until: number | Date, options?: { readonly key?: string }): Promise<unknown> => this.#wait(run, scopes, name, options, until),
      scope: (name: string): RunStep => {
        const named = check.name("step.scope", "name", name);
        if (named === "" || named.includes("\0")) throw check.refuse("step.scope", "a name must not be empty, and must not contain NUL");
        return this.#stepOf(run, scopes === "" ? named : `${scopes}\0${named}`);
      },
    }) as RunStep;
  }

  /** Calls a step whose function is `work`; `fn` is what the application gave. */
  #call(run: Run, scopes: string, name: unknown, fn: unknown, options: StreamOptions | undefined, work: Work, streams = false): Promise<unknown> {
    return this.#begin(run, scopes, "step", name, options?.key, (named, waiting) => {
      if (typeof fn !== "function") throw check.refuse("step", `the function of ${named} must be a function, not ${check.kindOf(fn)}`);
      const given = check.options("step", "options", options ?? {}, { maxAttempts: true, backoff: true, timeout: true, sideEffect: true, key: true, resume: streams });
      const retry = retryOptions("step", given);
      const policy = given.sideEffect === undefined ? 0 : policies[check.oneOf("step", "sideEffect", given.sideEffect, ["rerun", "skip", "ask"])];
      const key = keyOf(given.key);
      const calls = new Map<number, AbortController>();
      const begin = (call: number, attempt: number, idempotencyKey: string, uncertain: boolean, stored: Uint8Array = new Uint8Array()): void => {
        const controller = new AbortController();
        calls.set(call, controller);
        const chunks = new Lazy(stored, (bytes) => this.#decoded(named, () => decodeValues(bytes)));
        const begins = (): boolean => policy === 0 || this.#begins(call);
        this.#delivery.start(() => void this.#work(run, waiting, call, controller, begins, work, { attempt, idempotencyKey, uncertain }, chunks).finally(() => calls.delete(call)));
      };
      const abort = (call: number, reason?: Failure): void => {
        const { signal } = this.#controller;
        const timeout = (): DOMException => new DOMException(`step ${named} took longer than its timeout`, "TimeoutError");
        calls.get(call)?.abort(signal.aborted ? signal.reason : reason === undefined ? timeout() : errorOf(reason));
      };
      const step = { attempt: this.#number, within: run.call, scopes, name: named, key, after: run.after, unordered: waiting.unordered, streams, resumes: given.resume === true, policy, retry };
      return () => this.#instance.step(step, { begin, abort, isBusy: () => calls.size > 0 });
    });
  }

  /** Calls the function of a step once. */
  async #work(outer: Run, waiting: Waiting, call: number, controller: AbortController, begins: () => boolean, work: Work, given: Given, chunks: Lazy<Uint8Array, readonly unknown[]>): Promise<void> {
    const isOver = (): boolean => controller.signal.aborted || this.#controller.signal.aborted;
    if (isOver() || !begins()) return;
    const run = new Run(call, `${waiting.path}/`, outer);
    if (given.attempt > 1) this.#delivery.replay(run.path);
    const emit = (part: Uint8Array): Promise<null> => this.#instance.call<null>((bridge, emitting) => bridge.emit(call, part, emitting));
    try {
      const context: StepContext = {
        ...given,
        get chunks() {
          return chunks.value; // which may be no msgpack, and is of no use to most
        },
        signal: controller.signal,
        step: this.#stepOf(run, ""),
      };
      const bytes = await this.#enter(outer, () => work(context, emit));
      if (!isOver()) this.#answer(() => this.#instance.reply(call, bytes));
    } catch (error) {
      if (!isOver()) this.#answer(() => this.#instance.callNow((bridge) => bridge.reply(call, undefined, textsOf(error), isTerminal(error), isFinal(error))));
      controller.abort(error); // what it has opened ends with it
    } finally {
      run.over = () => check.refuse("step", "the function of the step that calls this one has ended; await its steps in it");
      for (const inner of this.#promised) if (inner.run === run) inner.reject(run.over());
    }
  }

  /** Tells the program that a function with side effects is called now, and returns whether it may be. */
  #begins(call: number): boolean {
    try {
      return this.#instance.callNow((bridge) => bridge.begins(call));
    } catch {
      return false; // the instance is over, and the attempt with it
    }
  }

  /** Calls what the application gave, in which steps of `outer` are refused until it waits for something. */
  #enter<T>(outer: Run, call: () => T): T {
    this.#within = outer;
    try {
      return call();
    } finally {
      this.#within = undefined;
    }
  }

  /** Decodes what is stored of a step. If that cannot be done the attempt ends, and the message fails. */
  #decoded<T>(name: string, decode: () => T): T {
    try {
      return decode();
    } catch (cause) {
      const text = `holdfast: step: corrupt: what is stored of step ${name} is not msgpack; another program may have written it; see retry with from`;
      const error = new HoldfastError("corrupt", text, { operation: "step", cause });
      if (this.#root.over === undefined) {
        this.abort(error);
        this.#report(error);
        this.#answer(() => this.#instance.callNow((bridge) => bridge.handled(this.#number, undefined, ["", text])));
      }
      throw error;
    }
  }

  #wait(run: Run, scopes: string, name: unknown, options: WaitOptions | undefined, until?: number | Date): Promise<unknown> {
    const operation = until === undefined ? "step.wait" : "step.sleep";
    return this.#begin(run, scopes, operation, name, options?.key, (named, waiting) => {
      const given = check.options(operation, "options", options ?? {}, { prompt: until === undefined, timeout: until === undefined, pass: true, key: true });
      const prompt = encodeOutput(operation, "the prompt", given.prompt);
      const due = until === undefined ? (given.timeout === undefined ? 0 : Date.now() + check.integer(operation, "timeout", given.timeout, 1, 366 * maxTime)) : timeOf(operation, until);
      const key = keyOf(given.key);
      return () => {
        let path = "";
        const outcome = this.#instance.call<Outcome>((bridge, call) => {
          path = bridge.wait(...this.#where(waiting, scopes, named, key), due, until !== undefined, given.pass === true, prompt, call);
        });
        return [path, outcome];
      };
    });
  }

  /** What is empty does not cross: a text costs more than nothing. */
  #where({ run, unordered }: Waiting, scopes: string, name: string, key: string): Called {
    return [this.#number, run.call, scopes || undefined, name, key || undefined, run.after, unordered];
  }

  /** Begins a step: `make` checks what was given, and returns how the program is called. */
  #begin(
    run: Run,
    scopes: string,
    operation: string,
    name: unknown,
    key: unknown,
    make: (named: string, waiting: Waiting) => Start,
  ): Promise<unknown> {
    const over = this.#root.over ?? run.over;
    if (over !== undefined) return ++this.#refusals <= maxRefusals ? refused(over()) : new Promise(() => undefined);
    const waiting = this.#delivery.call(run, scopes, key !== undefined);
    const promised = this.#promise(run, waiting, typeof name === "string" ? name : check.kindOf(name));
    let start: Start;
    let known: string;
    try {
      const named = check.name(operation, "name", name);
      if (this.#within?.isWithin(run) === true) throw check.refuse(operation, `${named} is called within the function of another step, by the step of an outer one: use context.step`);
      start = make(named, waiting); // which checks the key, too
      known = callOf(scopes, named, (key ?? "") as string, 0);
      // The program knows what is stored: in a replay it would take this call for the next one.
      if (run.keyed.has(known)) throw check.refuse(operation, `${named} is called with a key that another call of it has, which is under way; give each its own key`);
    } catch (error) {
      this.#refuse(promised, error);
      return promised.promise;
    }
    if (key !== undefined) run.keyed.add((promised.key = known));
    const note = this.#note(run, promised.name, known, (count) => callOf(scopes, promised.name, (key ?? "") as string, count), waiting.crowded);
    const [path, outcome] = start();
    if (path !== "" && this.#delivery.identify(waiting, path)) this.#reportLate(promised.name);
    outcome.then(
      ([value, order, index]) =>
        this.#delivery.take(waiting, order, () => {
          if (!(value instanceof Uint8Array)) this.#failed.push(promised);
          const hand: Noted["hand"] = (resolve, reject) => {
            try {
              if (!(value instanceof Uint8Array)) throw new StepError(promised.name, index, value[0], value.slice(1) as string[]);
              resolve(this.#decoded(promised.name, () => decodeValue(value)));
            } catch (error) {
              reject(error);
            }
          };
          if (note !== undefined) Object.assign(note, { order, hand });
          hand(promised.resolve, promised.reject);
        }),
      (error: unknown) => {
        if (this.#root.over === undefined) this.#refuse(promised, error); // a call that outlives its handler ends without a word
      },
    );
    return promised.promise;
  }

  /** Makes the promise of a call. */
  #promise(run: Run, waiting: Waiting, name: string): Promised {
    let resolve!: (value: unknown) => void;
    let reject!: (error: unknown) => void;
    const promise = new Promise<unknown>((...settle) => ([resolve, reject] = settle));
    promise.catch(() => undefined); // nothing is left unhandled
    const over = (): void => {
      this.#promised.delete(promised);
      if (promised.key !== undefined) run.keyed.delete(promised.key);
      this.#delivery.drop(waiting);
    };
    const promised: Promised = {
      name,
      promise,
      key: undefined,
      awaited: false,
      run,
      resolve: (value) => (over(), resolve(value)),
      reject: (reason) => (over(), reject(reason)),
    };
    this.#promised.add(promised);
    // Whatever uses a promise looks at its constructor: await, then, catch, Promise.all, return (ECMA-262, PromiseResolve).
    Reflect.defineProperty(promise, "constructor", {
      get: () => {
        promised.awaited = true;
        return Promise;
      },
    });
    return promised;
  }

  /** Rejects a call that was refused. */
  #refuse(promised: Promised, error: unknown): void {
    this.#notes = undefined; // a rehearsal would take it for another call
    this.#delivery.refuse(promised.run, () => {
      if (!promised.awaited) this.#failed.push(promised);
      promised.reject(error);
    });
  }

  /**
   * Counts a call, and reports calls of one name without keys that have no order: they come out of waits
   * for something that is no step.
   */
  #note(run: Run, name: string, known: string, call: (count: number) => string, crowded: boolean): Noted | undefined {
    const before = run.counted.get(known);
    const after = { count: (before?.count ?? 0) + 1, unordered: crowded || before?.unordered === true, reported: before?.reported === true };
    run.counted.set(known, after);
    if (before !== undefined && after.unordered && !after.reported) {
      after.reported = true;
      const text = `holdfast: step: step_mismatch: the calls of ${name} come out of waits for something that is no step, while other steps are under way: a replay may find them in another order, so give them keys`;
      this.#report(new HoldfastError("step_mismatch", text, { operation: "step" }));
    }
    if (this.#notes === undefined || run !== this.#root) return undefined;
    const note: Noted = { after: run.after };
    this.#notes.set(call(before?.count ?? 0), note);
    return note;
  }

  /** Reports, once, that outcomes have come in another order than before. */
  #reportLate(name: string): void {
    if (this.#late) return;
    this.#late = true;
    const text = `holdfast: step: step_mismatch: the call of ${name} comes out of a wait for something that is no step, which has taken longer than a replay waits: outcomes that came after the call in an earlier run have come before it now; do in a step what may take so long`;
    this.#report(new HoldfastError("step_mismatch", text, { operation: "step" }));
  }

  /** Answers the runner, unless the instance is over. */
  #answer(answer: () => unknown): void {
    try {
      answer();
    } catch {
      // Then everything pending rejects.
    }
  }
}

/** Rejects in a task of its own, when nothing is delivered any more: a handler that swallows errors in a loop must not stop the page. */
function refused(reason: unknown): Promise<never> {
  const promise = new Promise<never>((_, reject) => void setTimeout(() => reject(reason)));
  promise.catch(() => undefined);
  return promise;
}

function keyOf(key: unknown): string {
  if (key === undefined) return "";
  const text = check.text("step", "the key", key);
  if (text === "" || new TextEncoder().encode(text).length > maxKeyBytes) throw check.refuse("step", `the key must have 1 to ${maxKeyBytes} bytes`);
  return text;
}

/** A time in milliseconds since the Unix epoch; one before that is over, too. */
function timeOf(operation: string, until: unknown): number {
  if (until instanceof Date) {
    const time = until.getTime();
    if (Number.isNaN(time)) throw check.refuse(operation, "the time is an invalid date");
    return Math.max(1, time);
  }
  return Date.now() + check.integer(operation, "the time", until, 0, 366 * maxTime);
}

export function retryOptions(operation: string, given: Readonly<Record<keyof RetryOptions, unknown>>): Retry {
  const optional = (what: string, value: unknown, max: number): number => (value === undefined ? 0 : check.integer(operation, what, value, 1, max));
  const backoff = check.options<NonNullable<RetryOptions["backoff"]>>(operation, "backoff", given.backoff ?? {}, { initial: true, max: true });
  return [
    optional("maxAttempts", given.maxAttempts, 1000),
    optional("backoff.initial", backoff.initial, maxTime),
    optional("backoff.max", backoff.max, maxTime),
    optional("timeout", given.timeout, maxTime),
  ];
}

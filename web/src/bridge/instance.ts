import { HoldfastError } from "../errors.js";
import { Appender } from "./appender.js";
import type { Bridge, Call, Host, Outcome, Result, StepFunction } from "./bridge.js";
import { errorOf, type Failure, lost } from "./failure.js";
import type { Go } from "./go.js";
import { Inbox } from "./inbox.js";
import { Outbox } from "./outbox.js";
import { pack } from "./pack.js";
import type { Posted, PostedStep } from "./posted.js";
import { type Enter, type Exports, type Globals, instantiate, newGo, releaseDatabase } from "./program.js";
import { type Owner, Recorder } from "./recorder.js";

/** A call into the Go program that is not settled yet. */
interface Pending {
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

const nothing: Result<null> = { value: null };

/**
 * A running Go program. It can die: out of memory, out of stack, or of a defect. Then all pending
 * and all later calls reject with `instance_lost`; what has committed is in the database.
 */
export class Instance {
  readonly #go: Go;
  /** What lets go of the Web Locks that the program holds. */
  readonly #held: ReadonlySet<() => void>;
  readonly #writing: ReadonlySet<IDBTransaction>;
  readonly #appender = new Appender((id, committed) => this.#recorder?.ended(id, committed) === true);
  #recorder: Recorder | undefined;
  /** By the number of the call. */
  readonly #pending = new Map<number, Pending>();
  /** Those of the calls that run a step. */
  readonly #functions = new Map<number, StepFunction>();
  #lastCall = 0;
  #bridge: Bridge | undefined;
  #over: HoldfastError | undefined;
  /**
   * Why the program has died. Where a caller's recursion has used up the stack there may be room
   * for no more than to set this. A microtask does the rest, which was queued before the entry.
   */
  #death: { readonly cause: unknown } | undefined;
  #watched = false;
  /** Set when `close` was called. */
  #closing: HoldfastError | undefined;
  /** Whether the program is running now, and has called what runs here. */
  #running = false;
  /** Calls that are deferred until the next one, or the end of the task at the latest. */
  readonly #deferred: (() => void)[] = [];
  /** Called when no call is pending any more. */
  #idle: (() => void) | undefined;
  /** Called when the program is over, for whatever reason. */
  readonly onEnd: Set<() => void> = new Set();
  /** Called when messages of a conversation have changed. */
  onChange: ((handle: number, expectedSeq: number, reset: boolean, rows: Uint8Array) => void) | undefined;

  private constructor(go: Go, { holdfastHeld, holdfastWriting }: Globals) {
    this.#go = go;
    this.#held = holdfastHeld;
    this.#writing = holdfastWriting;
    // All events and timers enter the program through here.
    const resume = go._resume.bind(go);
    go._resume = () => {
      if (this.#over !== undefined || this.#death !== undefined) {
        releaseDatabase(go._pendingEvent?.args[0]);
        return this.#stopTimers();
      }
      const nested = this.#running;
      this.#running = true;
      try {
        resume();
      } catch (cause) {
        this.#death ??= { cause };
        this.#watch();
      } finally {
        this.#running = nested;
      }
    };
  }

  /** Why later calls reject. */
  get over(): HoldfastError | undefined {
    return this.#over ?? this.#closing;
  }

  /** Starts the program. In a `world` it has those globals before those of the page, and makes its transactions itself. */
  static async start(module: WebAssembly.Module, world?: object): Promise<Instance> {
    const host: Globals = { ...world, holdfastPack: pack, holdfastHeld: new Set(), holdfastWriting: new Set() };
    const go = newGo(host);
    const instance = new Instance(go, host);
    if (world === undefined) host.holdfastAppender = instance.#appender;
    const program = await instantiate(module, go.importObject);
    host.holdfast = (...offered) => instance.#connect(program.exports as unknown as Exports, ...offered);
    const running = go.run(program);
    running.then(
      () => instance.#end(lost(new Error("the program has ended"))),
      (cause: unknown) => instance.#end(lost(cause)),
    );
    if (instance.#bridge === undefined) throw instance.#over ?? lost(new Error("the program did not start"));
    return instance;
  }

  /** Takes the functions of the Go program, and returns those of the host. */
  #connect(exports: Exports, enter: Enter, names: string, inbox: number, size: number, outbox: number): Host {
    const memory = exports.mem;
    this.#bridge = Object.fromEntries(names.split(" ").map((name, place) => [name, (...args: unknown[]) => enter(place, ...args)])) as unknown as Bridge;
    this.#appender.memory = memory;
    const owner: Owner = {
      running: () => this.#running,
      isOver: () => this.#over !== undefined || this.#death !== undefined,
      waiting: () => this.#pending.size,
      guard: (work) => this.#guard(work),
      resume: () => this.#go._resume(),
      settle: (...answer) => this.#settle(...answer),
      changed: ({ handle, sequence, rows }) => this.onChange?.(handle, sequence + 1, false, rows),
    };
    this.#recorder = new Recorder(owner, this.#appender, exports, new Inbox(memory, inbox, size), new Outbox(memory, outbox));
    return {
      settle: (call, error, value, ...more) => {
        try {
          this.#settle(call, error, more.length > 0 ? [value, ...more] : value);
        } catch (cause) {
          this.#death ??= { cause }; // else the call stays pending for ever
        }
      },
      changed: (handle, expectedSeq, reset, address, length) =>
        this.onChange?.(handle, expectedSeq, reset, new Uint8Array(memory.buffer, address, length).slice()),
      call: (call, ...rest) => this.#functions.get(call)?.begin(...rest),
      abort: (call, ...rest) => {
        this.#functions.get(call)?.abort(...rest);
        if (!this.#pending.has(call)) this.#functions.delete(call);
      },
    };
  }

  /** Calls a function that reports its result later. */
  async call<T>(start: (bridge: Bridge, call: Call<T>) => void): Promise<T> {
    this.#catchUp();
    return this.#send(start);
  }

  /** Records one event. Returns false if that has to go with others, in a batch. */
  record(handle: number, event: Posted): boolean {
    const recorder = this.#recorder;
    if (recorder?.takes(event) !== true) return false;
    this.#post<number>(event, (_, call) => recorder.record(call, handle, event));
    return true;
  }

  /** Calls a step, and returns its path, which is empty if it could not be called. */
  step(step: PostedStep, run: StepFunction): [path: string, outcome: Promise<Outcome>] {
    this.#catchUp();
    let path = "";
    const recorder = this.#recorder;
    if (recorder?.takesStep(step) !== true) {
      const text = `holdfast: step: invalid_argument: the scopes of ${step.name} are too long; nest fewer of them, or give them shorter names`;
      return [path, Promise.reject(new HoldfastError("invalid_argument", text, { operation: "step" }))];
    }
    const outcome = this.#send<Outcome>((bridge, call) => {
      this.#functions.set(call, run);
      path = recorder.step(call, step, () => bridge.step(), (id, key) => run.begin(id, 1, key, false, undefined));
    });
    return [path, outcome];
  }

  /** Ends a call of the function of a step with an output. */
  reply(id: number, output: Uint8Array | undefined): void {
    this.callNow((bridge) => (this.#recorder?.reply(id, output) === true ? nothing : bridge.reply(id, output)));
  }

  /** Ends an attempt with a result. */
  handled(attempt: number, result: Uint8Array | undefined): void {
    this.callNow((bridge) => (this.#recorder?.handled(attempt, result) === true ? nothing : bridge.handled(attempt, result)));
  }

  /** Defers what `make` calls, so that more events can join. Later calls come after that. */
  defer(make: () => void): void {
    this.#deferred.push(make);
    if (this.#deferred.length === 1) queueMicrotask(() => this.#catchUp());
  }

  #catchUp(): void {
    while (this.#deferred.length > 0) for (const make of this.#deferred.splice(0)) make();
  }

  #send<T>(start: (bridge: Bridge, call: Call<T>) => void, to?: Bridge): Promise<T> {
    return new Promise<T>((resolve, reject) => this.#post<T>({ resolve, reject }, start, to));
  }

  #post<T>(pending: Pending, start: (bridge: Bridge, call: Call<T>) => void, to?: Bridge): void {
    let bridge: Bridge;
    try {
      bridge = to ?? this.#living();
    } catch (error) {
      pending.reject(error);
      return;
    }
    const call = (this.#lastCall = (this.#lastCall + 1) >>> 0);
    this.#pending.set(call, pending);
    this.#guard(() => start(bridge, call));
  }

  #settle(call: number, error: Failure | undefined, value: unknown): void {
    const pending = this.#pending.get(call);
    if (pending === undefined) return;
    this.#pending.delete(call);
    if (this.#functions.get(call)?.isBusy() === false) this.#functions.delete(call); // else it is given up in a moment
    if (error === undefined) pending.resolve(value);
    else pending.reject(errorOf(error));
    if (error?.code === "instance_lost") this.#end(lost(errorOf(error)));
    if (this.#pending.size === 0) this.#idle?.();
  }

  /** Calls a function that returns its result. */
  callNow<T>(work: (bridge: Bridge) => Result<T>): T {
    this.#catchUp();
    const bridge = this.#living();
    const result = this.#guard(() => work(bridge));
    if (result === undefined) throw this.#over ?? lost(this.#death?.cause);
    if (result.error === undefined) return result.value;
    const error = errorOf(result.error);
    if (error.code === "instance_lost") this.#end(error);
    throw error;
  }

  /** Does the same, also while the store is being closed; nothing if the program is over, and with it all that it has kept. */
  callIfOpen(work: (bridge: Bridge) => Result<unknown>): void {
    this.#catchUp();
    const bridge = this.#bridge;
    if (bridge !== undefined && this.#over === undefined && this.#death === undefined) this.#guard(() => work(bridge));
  }

  /**
   * Waits for the pending calls, then ends the program. From now on calls reject with `closed`.
   * `stop` ends the calls that would go on for ever.
   */
  async close(stop: (bridge: Bridge) => void): Promise<void> {
    this.#catchUp();
    const bridge = this.#living();
    const closed = (this.#closing = new HoldfastError("closed", "holdfast: closed: the store was closed; open it again"));
    this.#guard(() => stop(bridge));
    if (this.#pending.size > 0) await new Promise<void>((resolve) => (this.#idle = resolve));
    if (this.#over !== undefined) throw this.#over;
    try {
      await this.#send<null>((program, call) => program.close(call), bridge);
    } finally {
      this.#end(closed);
    }
  }

  /** Ends a program that has opened nothing. */
  abandon(): void {
    this.#end(lost(undefined));
  }

  /** Ends the program as the end of its page does: what is pending never settles, and nobody is told. */
  crash(): void {
    this.#pending.clear();
    this.onEnd.clear();
    this.#end(lost(new Error("it has crashed, as a test wanted")));
  }

  #living(): Bridge {
    if (this.#death !== undefined) throw this.#over ?? lost(this.#death.cause);
    if (this.over !== undefined) throw this.over;
    if (this.#bridge === undefined) throw lost(undefined);
    return this.#bridge;
  }

  /** Enters the program. An exception from there means that it has died. */
  #guard<T>(enter: () => T): T | undefined {
    this.#watch();
    try {
      return enter();
    } catch (cause) {
      this.#death ??= { cause };
      return undefined;
    }
  }

  /** Queues the microtask that handles a death in this task. */
  #watch(): void {
    if (this.#watched) return;
    queueMicrotask(this.#endIfDead);
    this.#watched = true;
  }

  readonly #endIfDead = (): void => {
    this.#watched = false;
    if (this.#death !== undefined) this.#end(lost(this.#death.cause));
  };

  #end(reason: HoldfastError): void {
    if (this.#over !== undefined) return;
    this.#over = reason;
    this.#stopTimers();
    for (const pending of this.#pending.values()) pending.reject(reason);
    this.#pending.clear();
    this.#functions.clear();
    for (const transaction of this.#writing) abort(transaction); // else what the program has not checked yet commits by itself
    for (const letGo of this.#held) letGo(); // else nobody gets them before the page has gone
    this.#idle?.();
    for (const ended of this.onEnd) ended();
  }

  /** Stops the timers of a program that is over: each would try for ever to enter it. */
  #stopTimers(): void {
    this.#recorder?.stop();
    for (const timer of this.#go._scheduledTimeouts.values()) clearTimeout(timer);
    this.#go._scheduledTimeouts.clear();
  }
}

function abort(transaction: IDBTransaction): void {
  try {
    transaction.abort();
  } catch {
    // It has ended, or its commit was asked for.
  }
}

import { Appender, type Next } from "./appender.js";
import type { Bridge, Call, Failure, Host, Result } from "./bridge.js";
import { type ErrorDetails, HoldfastError, SequenceConflictError } from "./errors.js";
import type { Draft } from "./draft.js";
import { defineGo, type Go } from "./go.js";
import { Inbox } from "./inbox.js";
import { foreign } from "./load.js";
import { Outbox } from "./outbox.js";
import { pack } from "./pack.js";

/** A call into the Go program that has not been answered. */
interface Pending {
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

/** Told that messages of a conversation have changed. */
type OnChange = (handle: number, expectedSeq: number, reset: boolean, rows: Uint8Array) => void;

/**
 * A running Go program. It can die: out of memory, out of stack, or by a defect.
 * Then everything pending and everything later rejects with `instance_lost`;
 * what was committed is in the database.
 */
export class Instance {
  readonly #go: Go;
  readonly #appender: Appender;
  /** The conversation of the last append that is known here, and how the next one to it begins. */
  #next: { readonly handle: number; readonly next: Next } | undefined;
  /** By the number of the call. */
  readonly #pending = new Map<number, Pending>();
  #lastCall = 0;
  #bridge: Bridge | undefined;
  #exports: Exports | undefined;
  #inbox: Inbox | undefined;
  #outbox: Outbox | undefined;
  #over: HoldfastError | undefined;
  /**
   * Why the program has died. Where a caller's recursion has used up the stack there may be no room to do more about it than to set
   * this; the rest is for a microtask, on a stack of its own, which was asked for before the program was entered.
   */
  #death: { readonly cause: unknown } | undefined;
  #watched = false;
  /** Set when the user has asked for the end. */
  #closing: HoldfastError | undefined;
  /** Appends that no goroutine waits for, by their numbers. */
  readonly #begun = new Map<number, { readonly call: number; readonly handle: number; readonly sequence: number }>();
  /** Those that have committed, which the program has not been told. */
  #news: { readonly id: number; readonly handle: number }[] = [];
  /** When it was told last. */
  #told = 0;
  /** Whether the program is running now, and has called what runs here. */
  #running = false;
  /** The timer that enters the program for its goroutines. */
  #entering: ReturnType<typeof setTimeout> | undefined;
  /** Calls that are held back until the next one, or the end of the task at the latest. */
  readonly #deferred: (() => void)[] = [];
  /** Called when nothing is pending any more. */
  #idle: (() => void) | undefined;
  /** Called when the program is over, for whatever reason. */
  onEnd: (() => void) | undefined;
  onChange: OnChange | undefined;
  /** Whether somebody listens to a conversation, who is to hear of an append before its caller. */
  isWatched: ((handle: number) => boolean) | undefined;

  private constructor(go: Go, appender: Appender) {
    this.#go = go;
    this.#appender = appender;
    // Every entry into the program from an event or a timer goes through here.
    const resume = go._resume.bind(go);
    go._resume = () => {
      this.#tell();
      if (this.#over !== undefined || this.#death !== undefined) {
        letGo(go._pendingEvent?.args[0]);
        return this.#silence();
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

  /** Starts the program. */
  static async start(module: WebAssembly.Module): Promise<Instance> {
    const appender = new Appender((...end) => instance.#ended(...end));
    const host: Globals = { holdfastAppender: appender, holdfastPack: pack };
    const go = new (defineGo(overlay(host), console_))();
    const instance = new Instance(go, appender);
    const program = await instantiate(module, go.importObject);
    host.holdfast = (...offered) => instance.#meet(program.exports as unknown as Exports, ...offered);
    const running = go.run(program);
    running.then(
      () => instance.#end(lost(new Error("the program has ended"))),
      (cause: unknown) => instance.#end(lost(cause)),
    );
    if (instance.#bridge === undefined) throw instance.#over ?? lost(new Error("the program did not start"));
    return instance;
  }

  /** The Go program offers its functions, and is given those of the host. */
  #meet(exports: Exports, bridge: Bridge, inbox: number, size: number, outbox: number): Host {
    const memory = exports.mem;
    this.#exports = exports;
    this.#bridge = detached(bridge);
    this.#inbox = new Inbox(memory, inbox, size);
    this.#outbox = new Outbox(memory, outbox);
    return {
      settle: (call, error, value) => {
        try {
          this.#settle(call, error, value);
        } catch (cause) {
          this.#death ??= { cause }; // whoever waits would not hear
        }
      },
      changed: (handle, expectedSeq, reset, address, length) =>
        this.onChange?.(handle, expectedSeq, reset, new Uint8Array(memory.buffer, address, length).slice()),
    };
  }

  /** Calls a function that works in the background. */
  async call<T>(start: (bridge: Bridge, call: Call<T>) => void): Promise<T> {
    this.#catchUp();
    this.tell();
    return this.#send(start);
  }

  /** Records one event, if it is not too large for the inbox: else it returns false. */
  record(handle: number, draft: Draft): boolean {
    const inbox = this.#inbox;
    if (inbox?.takes(draft) !== true) return false;
    // The browser looks for the head while the program makes the record.
    if (this.#next?.handle === handle && !this.#running) this.#appender.lookAhead(this.#next.next);
    try {
      this.#post<number>(draft, (bridge, call) => {
        inbox.write(call, handle, draft);
        if (this.#begin(call, handle)) return;
        this.tell();
        inbox.write(call, handle, draft); // what hears of the news may have recorded something
        bridge.record();
      });
      return true;
    } finally {
      this.#appender.lookNoLonger();
    }
  }

  /** Records the event in the inbox, if no goroutine has to wait for that. */
  #begin(call: number, handle: number): boolean {
    const exports = this.#exports;
    if (exports === undefined || this.#running) return false;
    if (this.#pending.size > 1) this.#tell(); // the turn is for whoever waits for it, and not for a chain that need not end
    const landed = this.#news.filter((one) => one.handle === handle).length;
    if (exports.holdfastRecord(landed) !== 1) return false;
    this.#begun.set(this.#appender.last, { call, handle, sequence: this.#outbox?.sequence ?? 0 });
    this.#enterSoon();
    return true;
  }

  /**
   * The end of an append. Returns whether it has committed and no goroutine waits for it. Then its caller hears at once, and the program later: behind the
   * caller within the same task, or with others, where they follow closely and nobody waits for anything else. In any case it hears before
   * anything that could tell the difference.
   */
  #ended(id: number, committed: boolean): boolean {
    const begun = this.#begun.get(id);
    this.#begun.delete(id);
    if (begun === undefined || !committed) return false;
    if (this.#over !== undefined || this.#death !== undefined) return true;
    const { handle } = begun;
    const { next } = this.#appender;
    this.#next = next && { handle, next };
    this.#news.push({ id, handle });
    if (this.isWatched?.(handle) === true) this.tell();
    else if (this.#pending.size === 1 && this.#news.length < most && performance.now() - this.#told < frame) this.#enterSoon();
    else this.#tellLater(hops);
    this.#settle(begun.call, undefined, begun.sequence);
    return true;
  }

  /** Behind whatever the caller of an append does within the same task, if that takes no more than so many microtasks. */
  #tellLater(microtasks: number): void {
    queueMicrotask(() => {
      if (this.#news.length === 0) return;
      if (microtasks > 0) this.#tellLater(microtasks - 1);
      else this.tell();
    });
  }

  /** Tells the program of appends that have committed, before anything looks at what follows from them. */
  tell(): void {
    if (!this.#tell()) return;
    if (this.#pending.size > 0) this.#go._resume();
    else this.#enterSoon();
  }

  /** Returns whether the program is to be entered for what it woke. */
  #tell(): boolean {
    const [exports, outbox, news] = [this.#exports, this.#outbox, this.#news];
    if (news.length === 0 || exports === undefined || outbox === undefined || this.#running) return false;
    this.#news = [];
    this.#told = performance.now();
    for (const { id } of news) {
      if (this.#over !== undefined || this.#death !== undefined) return false;
      const outcome = this.#guard(() => outbox.read(() => exports.holdfastCommitted(id)));
      if (outcome !== undefined) this.onChange?.(outcome.handle, outcome.sequence + 1, false, outcome.rows);
    }
    return true;
  }

  /** Functions that the program exports switch to no goroutine, and set no timer. So it has to be entered for these. */
  #enterSoon(): void {
    this.#entering ??= setTimeout(() => {
      this.#entering = undefined;
      this.#go._resume();
    }, frame);
  }

  /** Holds back calls that `make` makes, so that more can join them. Calls that come later stay behind them. */
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
    if (error === undefined) pending.resolve(value);
    else pending.reject(errorOf(error));
    if (error?.code === "instance_lost") this.#end(lost(errorOf(error)));
    if (this.#pending.size === 0) this.#idle?.();
  }

  /** Calls a function that works at once. */
  callNow<T>(work: (bridge: Bridge) => Result<T>): T {
    this.#catchUp();
    this.tell();
    const bridge = this.#living();
    const result = this.#guard(() => work(bridge));
    if (result === undefined) throw this.#over ?? lost(this.#death?.cause);
    if (result.error === undefined) return result.value;
    const error = errorOf(result.error);
    if (error.code === "instance_lost") this.#end(error);
    throw error;
  }

  /**
   * Waits for the calls under way, then ends the program. From now on calls reject with `closed`. `stop` is
   * to end those which would go on for ever.
   */
  async close(stop: (bridge: Bridge) => void): Promise<void> {
    this.#catchUp();
    this.tell();
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

  /** Gives up a program that has opened nothing. */
  abandon(): void {
    this.#end(lost(undefined));
  }

  #living(): Bridge {
    if (this.#death !== undefined) throw this.#over ?? lost(this.#death.cause);
    const reason = this.#over ?? this.#closing;
    if (reason !== undefined) throw reason;
    if (this.#bridge === undefined) throw lost(undefined);
    return this.#bridge;
  }

  /** Runs an entry into the program; an exception from there means that it has died. */
  #guard<T>(enter: () => T): T | undefined {
    this.#watch();
    try {
      return enter();
    } catch (cause) {
      this.#death ??= { cause };
      return undefined;
    }
  }

  /** Sees to it that a death in this task has its consequences. */
  #watch(): void {
    if (this.#watched) return;
    queueMicrotask(this.#mourn);
    this.#watched = true;
  }

  readonly #mourn = (): void => {
    this.#watched = false;
    if (this.#death !== undefined) this.#end(lost(this.#death.cause));
  };

  #end(reason: HoldfastError): void {
    if (this.#over !== undefined) return;
    this.#over = reason;
    this.#silence();
    for (const pending of this.#pending.values()) pending.reject(reason);
    this.#pending.clear();
    this.#idle?.();
    this.onEnd?.();
  }

  /** Stops the timers of a program that is over: each would wait for it for ever. */
  #silence(): void {
    clearTimeout(this.#entering);
    for (const timer of this.#go._scheduledTimeouts.values()) clearTimeout(timer);
    this.#go._scheduledTimeouts.clear();
  }
}

/**
 * Answers, for a program that is over, what the browser says of its database. One that was asked for in vain would be made
 * without its object stores, and then be nobody's; one that is open would keep others from deleting it.
 */
function letGo(event: unknown): void {
  if (!(event instanceof Event)) return;
  const { type, target } = event;
  if (type === "upgradeneeded") (target as IDBOpenDBRequest).transaction?.abort();
  else if (type === "versionchange") (target as IDBDatabase).close();
  else if (type === "success" && target instanceof IDBOpenDBRequest) target.result.close();
}

/** Refuses a module that is not a Go program; that it is not ours shows when it does not call the host. */
async function instantiate(module: WebAssembly.Module, imports: WebAssembly.Imports): Promise<WebAssembly.Instance> {
  let program: WebAssembly.Instance;
  try {
    program = await WebAssembly.instantiate(module, imports);
  } catch (cause) {
    // WebKit asks the Content-Security-Policy here, not when it compiles.
    const refused = cause instanceof WebAssembly.LinkError || cause instanceof WebAssembly.CompileError || cause instanceof TypeError;
    throw refused ? foreign("the module", cause) : lost(cause);
  }
  if (!("run" in program.exports && "resume" in program.exports)) throw foreign("the module");
  return program;
}

function lost(cause: unknown): HoldfastError {
  return new HoldfastError(
    "instance_lost",
    "holdfast: instance_lost: the WebAssembly instance has died; what was committed is stored, so open again and recover",
    { outcome: "unknown", cause },
  );
}

/** Makes an Error of what the Go program says. */
export function errorOf(failure: Failure): HoldfastError {
  const { code, message, outcome, operation, stream, cause } = failure;
  const details: ErrorDetails = { outcome, operation, stream, cause: cause === undefined ? undefined : new Error(cause) };
  if (failure.expected !== undefined && failure.actual !== undefined) {
    return new SequenceConflictError(message, failure.expected, failure.actual, details);
  }
  return new HoldfastError(code, message, details);
}

/** The functions without their object, which would cross with each call. */
function detached(bridge: Bridge): Bridge {
  const functions = Object.entries(bridge) as [string, (...args: unknown[]) => unknown][];
  return Object.fromEntries(functions.map(([name, fn]) => [name, (...args: unknown[]) => fn(...args)])) as unknown as Bridge;
}

/** What the Go program finds among the globals, besides those of the page. */
interface Globals {
  readonly holdfastAppender: Appender;
  readonly holdfastPack: typeof pack;
  holdfast?: (bridge: Bridge, inbox: number, size: number, outbox: number) => Host;
}

/** What the Go program exports. To call that costs next to nothing, see wasm/conversation_js.go and idbstore/appender_js.go. */
interface Exports {
  readonly mem: WebAssembly.Memory;
  /** Begins to record the event in the inbox behind so many that have landed and were not told of; 0 if `record` of the bridge has to be called. */
  holdfastRecord(landed: number): number;
  /** Takes the news of an append that has committed; 0 if the function has to be called that the append was given. */
  holdfastCommitted(id: number): number;
}

/** Milliseconds between two times that the program hears of what nobody waits for. */
const frame = 16;

/** How many appends it hears of together at most: they take memory until then. */
const most = 64;

/** More microtasks than lie between the end of an append and what comes of an await of it. */
const hops = 30;

/**
 * The global object as the Go program sees it: what it sets stays in `own`, so
 * that `Go`, `fs`, `process` and `path` do not appear in the page, where libraries
 * would take it for Node.
 */
function overlay(own: object): typeof globalThis {
  return new Proxy(own, {
    get: (_, key) => (key in own ? Reflect.get(own, key) : Reflect.get(globalThis, key)) as unknown,
    has: (_, key) => key in own || key in globalThis,
  }) as typeof globalThis;
}

/** The file system of the Go program: what it prints, which is why it died, goes to the console. */
const console_ = {
  constants: { O_WRONLY: -1, O_RDWR: -1, O_CREAT: -1, O_TRUNC: -1, O_APPEND: -1, O_EXCL: -1, O_DIRECTORY: -1 },
  writeSync(_fd: number, bytes: Uint8Array): number {
    const line = new TextDecoder().decode(bytes).trimEnd();
    if (line !== "") console.error(line);
    return bytes.length;
  },
};

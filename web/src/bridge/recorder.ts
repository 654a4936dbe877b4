import { Appender, type Next } from "./appender.js";
import { Inbox } from "./inbox.js";
import { Outbox, type Outcome } from "./outbox.js";
import type { Outcome as Ran } from "./bridge.js";
import type { Posted, PostedStep } from "./posted.js";
import type { Exports } from "./program.js";

/** What a recorder needs of its instance. */
export interface Owner {
  /** Whether the program is running now, and has called what runs here. */
  running(): boolean;
  /** Whether the program has ended or died. */
  isOver(): boolean;
  /** How many calls are pending. */
  waiting(): number;
  /** Enters the program, and returns nothing if it dies of that. */
  guard<T>(enter: () => T): T | undefined;
  /** Enters the program for its goroutines. */
  resume(): void;
  /** Resolves a call. */
  settle(call: number, error: undefined, value: number | Ran): void;
  /** Reports what has changed with an append. */
  changed(outcome: Outcome): void;
  /** Whether a conversation has listeners. They hear of an append before its caller does. */
  isWatched(handle: number): boolean;
}

/** An append under way. Who waits for it hears of the commit before the program does, or after. */
interface Begun {
  readonly handle: number;
  readonly committed?: () => void;
  readonly reported?: ((outcome: Outbox["outcome"]) => void) | undefined;
}

/**
 * The short way of an append, for one that need not wait in the program. Exported functions begin
 * it and report its commit to the program. The caller hears of the commit before the program does.
 */
export class Recorder {
  /** For the globals of the program. */
  readonly appender: Appender = new Appender((id, committed) => this.#ended(id, committed));
  readonly #owner: Owner;
  #exports: Exports | undefined;
  #inbox: Inbox | undefined;
  #outbox: Outbox | undefined;
  /** The conversation of the last append that has committed, and where its next one looks. */
  #next: { readonly handle: number; readonly next: Next } | undefined;
  /** Appends under way, by their numbers. */
  readonly #begun = new Map<number, Begun>();
  /** Appends that have committed and are not reported to the program yet. */
  #unreported: (Begun & { readonly id: number })[] = [];
  /** The time of the last report. */
  #reportedAt = 0;
  /** The timer that enters the program for its goroutines. */
  #entering: ReturnType<typeof setTimeout> | undefined;

  constructor(owner: Owner) {
    this.#owner = owner;
  }

  /** Connects the recorder with the program, which has started. */
  connect(exports: Exports, inbox: number, inboxSize: number, outbox: number): void {
    this.#exports = exports;
    this.#inbox = new Inbox(exports.mem, inbox, inboxSize);
    this.#outbox = new Outbox(exports.mem, outbox);
  }

  /** Whether an event fits into the inbox. */
  takes(event: Posted): boolean {
    return this.#inbox?.takes(event) === true;
  }

  /** Whether a step does: one within too many scopes does not. */
  takesStep(step: PostedStep): boolean {
    return this.#inbox?.takesStep(step) === true;
  }

  /** Runs `work`, which records events, while the browser already looks for the head. */
  lookingAhead(handle: number, work: () => void): void {
    if (this.#next?.handle === handle && !this.#owner.running()) this.appender.lookAhead(this.#next.next);
    try {
      work();
    } finally {
      this.appender.lookNoLonger();
    }
  }

  /**
   * Records an event through the inbox. If a goroutine has to wait for that, it calls `otherwise`,
   * which has the program start one.
   */
  record(call: number, handle: number, event: Posted, otherwise: () => void): void {
    this.#inbox?.write(call, handle, event);
    if (this.#begin(call, handle)) return;
    this.flush();
    this.#inbox?.write(call, handle, event); // flush may have used the inbox
    otherwise();
  }

  #begin(call: number, handle: number): boolean {
    const exports = this.#exports;
    if (exports === undefined || this.#owner.running()) return false;
    // Other calls wait for the turn of the conversation. A chain of appends could keep it for ever.
    if (this.#owner.waiting() > 1) this.deliver();
    const landed = this.#unreported.filter((one) => one.handle === handle).length;
    if (exports.holdfastRecord(landed) !== 1) return false;
    const sequence = this.#outbox?.sequence ?? 0;
    this.#begun.set(this.appender.last, { handle, committed: () => this.#owner.settle(call, undefined, sequence) });
    this.#enterSoon();
    return true;
  }

  /**
   * Calls a step, and returns its path, which is empty if it could not be called. `begin` is to call
   * its function, if no goroutine does.
   */
  step(call: number, step: PostedStep, otherwise: () => number, begin: (id: number, idempotencyKey: string) => void): string {
    const [exports, inbox, outbox] = [this.#exports, this.#inbox, this.#outbox];
    if (exports === undefined || inbox === undefined || outbox === undefined) return "";
    inbox.writeStep(call, step);
    const running = this.#owner.running();
    const id = running ? otherwise() : exports.holdfastStep();
    const { path } = outbox;
    if (id > 0) begin(id, outbox.key);
    else if (id === 0 && !running) this.#owner.resume();
    return path;
  }

  /** Ends a call of the function of a step with an output. Returns false if that does not fit, or the program is running. */
  reply(id: number, output: Uint8Array | undefined): boolean {
    const reported = ([call, order, index]: Outbox["outcome"]): void => this.#owner.settle(call, undefined, [output ?? new Uint8Array(), order, index]);
    return this.#end(output, (exports, length) => exports.holdfastReply(id, length), reported);
  }

  /** Ends an attempt with a result, in the same way. */
  handled(attempt: number, result: Uint8Array | undefined): boolean {
    return this.#end(result, (exports, length) => exports.holdfastHandled(attempt, length));
  }

  #end(data: Uint8Array | undefined, enter: (exports: Exports, length: number) => number, reported?: Begun["reported"]): boolean {
    const length = this.#inbox?.writeData(data);
    if (this.#exports === undefined || length === undefined || this.#owner.running()) return false;
    const begun = enter(this.#exports, length) === 1;
    if (begun) this.#begun.set(this.appender.last, { handle: 0, reported });
    if (begun && reported !== undefined) this.#enterSoon();
    else this.#owner.resume(); // a goroutine goes on; that of the handler returns before the commit ends what it is under
    return true;
  }

  /**
   * Handles the end of an append. Returns whether it has committed and no goroutine waits for it:
   * then its caller is notified here, at once.
   *
   * The program hears of it later: after the caller, within the same task; or together with more
   * appends, where they follow closely and no other call is pending. In any case it hears before
   * anything that depends on it.
   */
  #ended(id: number, committed: boolean): boolean {
    const begun = this.#begun.get(id);
    this.#begun.delete(id);
    if (begun === undefined || !committed) return false;
    if (this.#owner.isOver()) return true;
    const { handle } = begun;
    const { next } = this.appender;
    this.#next = next && { handle, next };
    this.#unreported.push({ ...begun, id });
    if (begun.committed === undefined || this.#owner.isWatched(handle)) this.flush();
    else if (this.#mayWait()) this.#enterSoon();
    else this.#flushLater(hops);
    begun.committed?.();
    return true;
  }

  /** Whether the report can wait for more appends. A hidden page has slow timers, and may end. */
  #mayWait(): boolean {
    const hidden = "document" in globalThis && document.hidden;
    return !hidden && this.#owner.waiting() === 1 && this.#unreported.length < mostUnreported && performance.now() - this.#reportedAt < frame;
  }

  /** Flushes after this many microtasks, and so after the caller of an append in this task. */
  #flushLater(microtasks: number): void {
    queueMicrotask(() => {
      if (this.#unreported.length === 0) return;
      if (microtasks > 0) this.#flushLater(microtasks - 1);
      else this.flush();
    });
  }

  /** Reports committed appends to the program, before anything that depends on them. */
  flush(): void {
    if (!this.deliver()) return;
    if (this.#owner.waiting() > 0) this.#owner.resume();
    else this.#enterSoon();
  }

  /** Flushes without an entry for the goroutines. Returns whether one is needed. */
  deliver(): boolean {
    const [exports, outbox, committed] = [this.#exports, this.#outbox, this.#unreported];
    if (committed.length === 0 || exports === undefined || outbox === undefined || this.#owner.running()) return false;
    this.#unreported = [];
    this.#reportedAt = performance.now();
    for (const { id, reported } of committed) {
      if (this.#owner.isOver()) return false;
      const outcome = this.#owner.guard(() => outbox.read(() => exports.holdfastCommitted(id)));
      if (outcome !== undefined) this.#owner.changed(outcome);
      reported?.(outbox.outcome);
    }
    return true;
  }

  /** Enters the program soon: its exported functions run no goroutine, and set no timer. */
  #enterSoon(): void {
    this.#entering ??= setTimeout(() => {
      this.#entering = undefined;
      this.#owner.resume();
    }, frame);
  }

  /** Enters the program no more, since it is over. */
  stop(): void {
    clearTimeout(this.#entering);
  }
}

/** How long, in milliseconds, a report may wait that no call depends on. */
const frame = 16;

/** How many appends are reported together at most: they take memory until then. */
const mostUnreported = 64;

/** More microtasks than are between the end of an append and the code after an `await` of it. */
const hops = 30;

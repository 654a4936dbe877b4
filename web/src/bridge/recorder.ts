import type { Appender } from "./appender.js";
import type { Inbox } from "./inbox.js";
import type { Change, Outbox, Report } from "./outbox.js";
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
  changed(change: Change): void;
}

/**
 * The short way of an append: exported functions begin it and report its commit to the program, and
 * no goroutine waits for it.
 */
export class Recorder {
  readonly #owner: Owner;
  readonly #appender: Appender;
  readonly #exports: Exports;
  readonly #inbox: Inbox;
  readonly #outbox: Outbox;
  /** Who waits for the appends under way, by their numbers. */
  readonly #begun = new Map<number, (report: Report) => void>();
  /** The timer that enters the program for its goroutines. */
  #entering: ReturnType<typeof setTimeout> | undefined;

  /** Of a program that has started. */
  constructor(owner: Owner, appender: Appender, exports: Exports, inbox: Inbox, outbox: Outbox) {
    this.#owner = owner;
    this.#appender = appender;
    this.#exports = exports;
    this.#inbox = inbox;
    this.#outbox = outbox;
  }

  /** Whether it takes an event: one that fits into the inbox, while the program is not running. */
  takes(event: Posted): boolean {
    return !this.#owner.running() && this.#inbox.takes(event);
  }

  /** Whether a step does: one within too many scopes does not. */
  takesStep(step: PostedStep): boolean {
    return this.#inbox.takesStep(step);
  }

  /** Records an event. */
  record(call: number, handle: number, event: Posted): void {
    this.#inbox.write(call, handle, event);
    this.#begin(() => this.#exports.holdfastRecord(), ({ sequence }) => this.#owner.settle(call, undefined, sequence));
  }

  /** Calls an exported function. `reported` hears of the commit of an append that was begun in it. */
  #begin(enter: () => void, reported: (report: Report) => void): void {
    const { last } = this.#appender;
    enter();
    if (this.#appender.last === last) return this.#owner.resume(); // it waits in the queue, or a goroutine does it
    this.#begun.set(this.#appender.last, reported);
    this.#enterSoon();
  }

  /**
   * Calls a step, and returns its path, which is empty if it could not be called. `begin` is to call
   * its function, if no goroutine does.
   */
  step(call: number, step: PostedStep, otherwise: () => number, begin: (id: number, idempotencyKey: string) => void): string {
    this.#inbox.writeStep(call, step);
    const running = this.#owner.running();
    const id = running ? otherwise() : this.#exports.holdfastStep();
    const { path } = this.#outbox;
    if (id > 0) begin(id, this.#outbox.key);
    else if (id === 0 && !running) this.#owner.resume();
    return path;
  }

  /** Ends a call of the function of a step with an output. Returns false if that does not fit, or the program is running. */
  reply(id: number, output: Uint8Array | undefined): boolean {
    return this.#end(output, (exports, length) => exports.holdfastReply(id, length), ({ step: [call, order, index] }) =>
      this.#owner.settle(call, undefined, [output ?? new Uint8Array(), order, index]),
    );
  }

  /** Ends an attempt with a result, in the same way. */
  handled(attempt: number, result: Uint8Array | undefined): boolean {
    return this.#end(result, (exports, length) => exports.holdfastHandled(attempt, length), () => undefined);
  }

  #end(data: Uint8Array | undefined, enter: (exports: Exports, length: number) => void, reported: (report: Report) => void): boolean {
    const length = this.#inbox.writeData(data);
    if (length === undefined || this.#owner.running()) return false;
    this.#begin(() => enter(this.#exports, length), reported);
    return true;
  }

  /**
   * Handles the end of an append. Returns whether it has committed and no goroutine waits for it:
   * then the program hears of it here, and after that its caller.
   */
  ended(id: number, committed: boolean): boolean {
    const begun = this.#begun.get(id);
    this.#begun.delete(id);
    if (begun === undefined || !committed) return false;
    if (this.#owner.isOver()) return true;
    const report = this.#owner.guard(() => this.#outbox.read(() => this.#exports.holdfastCommitted(id)));
    if (report === undefined) return true;
    if (report.change !== undefined) this.#owner.changed(report.change);
    if (report.settled) begun(report);
    if (this.#owner.waiting() > 0) this.#owner.resume();
    else this.#enterSoon();
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

/** How long, in milliseconds, the goroutines may wait that no call depends on. */
const frame = 16;

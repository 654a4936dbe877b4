import { Attempt, retryOptions } from "./attempt.js";
import type { Past, Retry } from "./bridge/bridge.js";
import { errorOf, lost } from "./bridge/failure.js";
import type { Instance } from "./bridge/instance.js";
import * as check from "./check.js";
import type { Stored } from "./delivery.js";
import type { BareHandler } from "./rehearsal.js";
import { Lazy } from "./state/lazy.js";
import type { StoredMessage } from "./state/message.js";
import { State } from "./state/state.js";
import { report } from "./thrown.js";
import type { Conversation, Handler, Message, ProcessOptions } from "./types.js";

// The runner is in Go, see core/runner. It calls the functions of the application through here. What
// they throw stays here.

/** What a runner needs of its conversation. */
export interface Owner {
  readonly handle: number;
  readonly instance: Instance;
  readonly conversation: Conversation;
  state(): State;
}

/** What {@link Conversation.process} was given. */
export interface Settings {
  readonly handler: Handler;
  readonly retry: Retry;
  readonly maxStarts: number;
  readonly onError: (error: Error) => void;
  readonly signal: AbortSignal | undefined;
  readonly rehearses: boolean;
}

/** The names of the options. */
export const processOptions: Readonly<Record<keyof ProcessOptions, true>> = { maxAttempts: true, backoff: true, timeout: true, maxStarts: true, onError: true, signal: true, rehearse: true };

/** Checks that. */
export function settingsOf(handler: unknown, given: Readonly<Record<keyof ProcessOptions, unknown>>): Settings {
  const operation = "process";
  if (typeof handler !== "function") throw check.refuse(operation, `the handler must be a function, not ${check.kindOf(handler)}`);
  const retry = retryOptions(operation, given);
  const maxStarts = given.maxStarts === undefined ? 0 : check.integer(operation, "maxStarts", given.maxStarts, 1, 1000);
  const { onError = report, signal } = given;
  if (typeof onError !== "function") throw check.refuse(operation, `onError must be a function, not ${check.kindOf(onError)}`);
  if (signal !== undefined && !isSignal(signal)) throw check.refuse(operation, "signal must be an AbortSignal");
  return { handler: handler as Handler, retry, maxStarts, onError: onError as Settings["onError"], signal, rehearses: given.rehearse === true };
}

let lastNumber = 0;

/** Returns a number for the bridge that no other runner has. */
export const newNumber = (): number => ++lastNumber;

/** Has `stop` called when a signal aborts, until `ended`. */
export function stopWith(signal: AbortSignal | undefined, stop: () => void, ended: Promise<void>): void {
  if (signal?.aborted === true) stop();
  else signal?.addEventListener("abort", stop, { once: true });
  void ended.then(() => signal?.removeEventListener("abort", stop));
}

/** A call of `conversation.process`. */
export class Runner {
  /** Resolves when the runner has ended, for whatever reason. */
  readonly ended: Promise<void>;
  /** Its number for the bridge. */
  readonly number: number;
  readonly #owner: Owner;
  readonly #settings: Settings;
  readonly #attempts = new Map<number, Attempt>();

  /** `turn` is that of `processAll`, 0 for none. */
  constructor(owner: Owner, settings: Settings, turn: number) {
    this.#owner = owner;
    this.#settings = settings;
    this.number = newNumber();
    owner.instance.callNow((bridge) => bridge.health()); // throws if the store is no longer open
    const running = owner.instance.call<null>((bridge, call) =>
      bridge.process(
        owner.handle,
        this.number,
        ...settings.retry,
        settings.maxStarts,
        (attempt, id, past) => this.#begin(attempt, id, past),
        (attempt, reason) => this.#abort(attempt, errorOf(reason)),
        (failure) => this.#report(errorOf(failure)),
        turn,
        call,
      ),
    );
    this.ended = running.then(
      () => this.#rehearsed(),
      (error: unknown) => {
        for (const attempt of this.#attempts.keys()) this.#abort(attempt, error);
        this.#report(error as Error);
      },
    );
    stopWith(settings.signal, () => void this.stop(), this.ended);
  }

  stop(): Promise<void> {
    this.#owner.instance.callIfOpen((bridge) => bridge.stop(this.number));
    return this.ended;
  }

  /** Ends the attempts of a page that is over. */
  crash(): void {
    const over = lost(undefined);
    for (const number of this.#attempts.keys()) this.#abort(number, over);
  }

  #begin(number: number, id: string, past: Past): void {
    const state = this.#owner.state();
    const message = state.stored(id);
    if (message === undefined) return; // deleted at this moment; the attempt is about to be aborted
    const stored = (): Stored[] => storedOf(this.#owner.state().stored(id) ?? message);
    const attempt = new Attempt(this.#owner.instance, number, stored, this.#settings.rehearses, (error) => this.#report(error));
    this.#attempts.set(number, attempt);
    // After the callback: the application may run for long, or throw.
    queueMicrotask(() => void this.#run(number, attempt, message, state, past));
  }

  /** `state` is that in which the attempt begins. */
  async #run(number: number, attempt: Attempt, message: StoredMessage, state: State, past: Past): Promise<void> {
    await this.#rehearsed(); // a handler is not called twice at once
    const { conversation } = this.#owner;
    const history = new Lazy(past, (rows) => historyOf(state, message.id, rows));
    const handler: BareHandler = (work) =>
      this.#settings.handler({
        ...work,
        conversation,
        get history() {
          return history.value;
        },
        notes: (type) => state.notesAtStart(message.id, type),
      });
    await attempt.run(handler, message.view);
    await attempt.rehearsal;
    this.#attempts.delete(number);
  }

  async #rehearsed(): Promise<void> {
    for (const { rehearsal } of this.#attempts.values()) await rehearsal;
  }

  #abort(number: number, reason: unknown): void {
    this.#attempts.get(number)?.abort(reason);
    this.#attempts.delete(number);
  }

  #report(error: Error): void {
    const { onError } = this.#settings; // not a method: reportError minds
    queueMicrotask(() => onError(error));
  }
}

function historyOf(state: State, id: string, past: Past): readonly Message[] {
  if (past === null) return state.history(id);
  if (past instanceof Uint8Array) return State.empty.after(past, false).messages; // they are one branch
  throw errorOf(past);
}

/** The steps of a message that have a place. */
function storedOf(message: StoredMessage): Stored[] {
  const stored: Stored[] = [];
  for (const { details } of message.ended) if (details.place !== undefined) stored.push({ ...details.place, order: details.order });
  for (const { place } of message.openSteps) if (place !== undefined) stored.push({ ...place, order: undefined });
  return stored;
}

// To look at a value of the application may throw: it may be a proxy.

function isSignal(value: unknown): value is AbortSignal {
  try {
    return value instanceof AbortSignal && typeof value.aborted === "boolean";
  } catch {
    return false;
  }
}

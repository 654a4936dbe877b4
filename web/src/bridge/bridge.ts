import type { RunnerPlace, Verification } from "../types.js";
import type { Failure } from "./failure.js";

// The functions that the Go program offers, see wasm/main_js.go. It does not check their arguments.

declare const answer: unique symbol;

/** The number of a call, which resolves with a `T`. */
export type Call<T> = number & { readonly [answer]?: T };

/** The functions that the Go program calls. */
export interface Host {
  /** Settles a call, once: with an error, or with `undefined` and the value. */
  settle(call: number, error: Failure | undefined, value: unknown, ...more: number[]): void;
  /**
   * Reports that messages of a conversation have changed. Their rows are in the program's memory
   * until this returns.
   */
  changed(handle: number, expectedSeq: number, reset: boolean, address: number, length: number): void;
  /** Calls the function of a step, which is that of a call of `step`. */
  call(call: number, id: number, attempt: number, idempotencyKey: string, uncertain: boolean, stored: Uint8Array | undefined): void;
  /** Gives that up: because its time is over, or for a reason. */
  abort(call: number, id: number, reason?: Failure): void;
}

/** What a function returns that needs no {@link Call}. */
export type Result<T> = { readonly error: Failure } | { readonly error?: undefined; readonly value: T };

/** An open conversation. */
export interface Opened {
  readonly handle: number;
  readonly expectedSeq: number;
}

/** The result of `verify`. The damage is a flat list of from, to, code and message in turn. */
export type Verified = Omit<Verification, "id" | "damage"> & { readonly damage: readonly (number | string)[] };

/** What `summaries` resolves with. Metadata are as in their row, null if there are none. */
export type SummaryValue = string | number | Uint8Array | null;

/** Kinds of events, by the numbers of core.Kind. */
export const eventKinds = { messageReceived: 1, processingStarted: 2, stepCompleted: 3, processingFinished: 4, errorOccurred: 5 } as const;

export type EventKind = (typeof eventKinds)[keyof typeof eventKinds];

/**
 * `maxAttempts`, and in milliseconds the first wait, the longest wait and the timeout of a step's
 * function. 0 stands for the default.
 */
export type Retry = readonly [maxAttempts: number, initial: number, max: number, timeout: number];

/** Policies for side effects, by the numbers of runner.Policy. 0 is none. */
export const policies = { rerun: 1, skip: 2, ask: 3 } as const;

/**
 * Who a step is: the attempt, the call within whose function it is called or 0, the scopes, separated
 * by zeros, if there are any, name, key, and one more than the order of the outcome that was delivered there last.
 */
export type Called = readonly [attempt: number, within: number, scopes: string | undefined, name: string, key: string | undefined, after: number, unordered: boolean];

export type Past = Uint8Array | Failure | null;

/** The function of a step. */
export interface StepFunction {
  /** Calls it. */
  begin(id: number, attempt: number, idempotencyKey: string, uncertain: boolean, stored: Uint8Array | undefined): void;
  /** Gives a call of it up: because its time is over, or for a reason. */
  abort(id: number, reason?: Failure): void;
  /** Whether a call of it has neither ended nor was given up. */
  isBusy(): boolean;
}

/** The output of a step, or the attempts and the texts of its failure, and then order and index of the outcome. */
export type Outcome = readonly [value: Uint8Array | readonly [attempts: number, ...texts: string[]], order: number, index: number];

export interface Bridge {
  open(storage: string, database: string, defaultDurability: boolean, timeout: number, call: Call<null>): void;
  conversations(prefix: string, call: Call<(string | number)[]>): void;
  /** Resolves with id, created, updated, unfinished, waiting, due as `pending` returns it, and metadata of each summary in turn. `ids` are separated by zeros. */
  summaries(
    ids: string | undefined,
    prefix: string,
    recent: boolean,
    afterId: string,
    afterUpdated: number,
    limit: number,
    call: Call<SummaryValue[]>,
  ): void;
  delete(id: string, call: Call<null>): void;
  verify(id: string, call: Call<Verified>): void;
  close(call: Call<null>): void;
  /** With a `turn` it leaves a lost end to the next one to be told of, and an error ends the turn. */
  recover(id: string, turn: number, call: Call<Opened>): void;
  /** Resolves with -2 for skip, -1 for start, or the step to resume from. */
  receive(handle: number, id: string, receivedAt: number, body: Uint8Array | undefined, call: Call<number>): void;
  /**
   * Records `count` events, which `writePosted` has written one after the other. Resolves with
   * runs: in turn the number of events, and the sequence of the first of them or their failure.
   */
  recordAll(handle: number, events: Uint8Array, count: number, call: Call<readonly (number | Failure)[]>): void;
  /** Resolves with whether something was appended, as do the next three. */
  send(
    handle: number,
    id: string,
    receivedAt: number,
    body: Uint8Array | undefined,
    /** Only if the conversation is there. */
    exists: boolean,
    /** The message that it follows, or "". */
    after: string,
    /** Whether it follows none. */
    first: boolean,
    interrupt: boolean,
    call: Call<boolean>,
  ): void;
  cancel(handle: number, id: string, call: Call<boolean>): void;
  /** `from` is the index of the step to retry from, or -1. */
  retry(handle: number, id: string, from: number, call: Call<boolean>): void;
  answer(handle: number, id: string, step: number, answer: Uint8Array | undefined, call: Call<boolean>): void;
  resolve(handle: number, id: string, step: number, rerun: boolean, call: Call<boolean>): void;
  /**
   * Processes messages until `stop(runner)`. `runner` is any number that is not in use. With a `turn` it ends when there is nothing
   * more to do, or others wait, and with it the turn.
   */
  process(
    handle: number,
    runner: number,
    ...rest: [
      ...Retry,
      maxStarts: number,
      /** `past` are the rows of the history of the message, null if the state of the handle has it, or why it cannot be read. */
      onMessage: (attempt: number, id: string, past: Past) => void,
      onAbort: (attempt: number, reason: Failure) => void,
      onError: (failure: Failure) => void,
      turn: number,
      call: Call<null>,
    ]
  ): void;
  /**
   * Calls `onTurn` for conversations that have something to do, until `stop(runner)`. Each turn ends with the end of `process`, with
   * an error of `recover`, or with `pass`.
   */
  processAll(
    runner: number,
    prefix: string,
    concurrency: number,
    onTurn: (turn: number, id: string) => void,
    onError: (failure: Failure) => void,
    /** Hears when there is something to do, as `pending` returns it, whenever that has changed. */
    onDue: (due: number) => void,
    call: Call<null>,
  ): void;
  /** Ends a turn without having done anything. */
  pass(turn: number): Result<null>;
  stop(runner: number): Result<null>;
  /** Resolves with who processes the conversation. */
  runner(handle: number, call: Call<RunnerPlace>): void;
  /** Returns when a message can be worked on: -1 for now, 0 for never, or a time in milliseconds since the Unix epoch. */
  pending(handle: number): Result<number>;
  /** Ends an attempt: with the result, or with what it failed with and the indexes of the steps that this is made of. */
  handled(attempt: number, result: Uint8Array | undefined, failure?: readonly (string | number)[]): Result<null>;
  /** Calls the step in the inbox, see `holdfastStep`. */
  step(): number;
  /** Calls a step that waits. `due` is in milliseconds since the Unix epoch, 0 for never. */
  wait(...where: [...Called, due: number, sleep: boolean, pass: boolean, prompt: Uint8Array | undefined, call: Call<Outcome>]): string;
  /** Says that the function of a step with side effects is called now, and returns whether it may be. Only from then on it may have had some. */
  begins(stepCall: number): Result<boolean>;
  /**
   * Ends a call: with the output, or with what it failed with, and whether certainly nothing was done, or
   * it is of no use to call it again.
   */
  reply(stepCall: number, output: Uint8Array | undefined, failure?: readonly string[], terminal?: boolean, final?: boolean): Result<null>;
  emit(stepCall: number, part: Uint8Array, call: Call<null>): void;
  /**
   * Appends a note: with a `last`, if that is the id of the last note of its type, or "" and there is none; with `exists`, if there
   * is the conversation. Resolves with whether it was new.
   */
  note(handle: number, type: string, id: string, at: number, data: Uint8Array | undefined, last: string | undefined, exists: boolean, call: Call<boolean>): void;
  /** `patch` has keys and values in turn; `undefined` removes the key. With `exists` only if the conversation is there. */
  setMetadata(handle: number, patch: readonly (string | Uint8Array | undefined)[], exists: boolean, call: Call<null>): void;
  refresh(handle: number, call: Call<null>): void;
  events(handle: number, from: number, limit: number, call: Call<Uint8Array>): void;
  /** Returns the next part of the state of a conversation that was just recovered. */
  rows(handle: number): Result<{ readonly rows: Uint8Array; readonly more: boolean }>;
  create(id: string): Result<Opened>;
  clone(handle: number): Result<Opened>;
  follow(handle: number): Result<null>;
  unfollow(handle: number): Result<null>;
  release(handle: number): Result<null>;
  /** Calls `changed` with the id of each conversation whose summary has changed, and with "" where that may be any. */
  watch(changed: (id: string) => void): Result<null>;
  unwatch(): Result<null>;
  health(): Result<{ readonly epoch?: string; readonly due?: number; readonly lastError?: Failure }>;
}

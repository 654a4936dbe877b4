import type { ErrorCode, Outcome } from "./errors.js";
import type { Verification } from "./types.js";

// The functions that the Go program offers, see wasm/main_js.go. Arguments are
// not checked there.

/** An error as the Go program describes it. */
export interface Failure {
  readonly code: ErrorCode;
  readonly outcome: Outcome;
  readonly message: string;
  readonly operation?: string;
  readonly stream?: string;
  readonly cause?: string;
  readonly expected?: number;
  readonly actual?: number;
}

/** Called once: with an error, or with `undefined` and the value. */
export type Done<T> = (error: Failure | undefined, value: T) => void;

/** What a function that works at once returns. */
export type Result<T> = { readonly error: Failure } | { readonly error?: undefined; readonly value: T };

/** A conversation that was opened. */
export interface Opened {
  readonly handle: number;
  readonly expectedSeq: number;
  readonly state: Uint8Array;
}

/** Kinds of events, by the numbers of core.Kind. */
export const eventKinds = { messageReceived: 1, processingStarted: 2, stepCompleted: 3, processingFinished: 4, errorOccurred: 5 } as const;

export type EventKind = (typeof eventKinds)[keyof typeof eventKinds];

/** Tells that messages of a conversation have changed. */
export type OnChange = (handle: number, expectedSeq: number, reset: boolean, messages: Uint8Array) => void;

/** `maxAttempts`, and three times in milliseconds: the first and the longest wait, and the timeout; 0 is the default. */
export type Retry = readonly [maxAttempts: number, initial: number, max: number, timeout: number];

/** Policies for side effects, by the numbers of runner.Policy; 0 is none. */
export const policies = { rerun: 1, skip: 2, ask: 3 } as const;

export interface Bridge {
  open(storage: string, database: string, defaultDurability: boolean, timeout: number, onChange: OnChange, done: Done<null>): void;
  conversations(prefix: string, done: Done<(string | number)[]>): void;
  delete(id: string, done: Done<null>): void;
  /** The damage is from, to, code and message in turn. */
  verify(id: string, done: Done<Omit<Verification, "id" | "damage"> & { readonly damage: readonly (number | string)[] }>): void;
  close(done: Done<null>): void;
  recover(id: string, done: Done<Opened>): void;
  /** -2 is skip, -1 is start, any other the step to resume from. */
  receive(handle: number, id: string, receivedAt: number, body: Uint8Array | undefined, done: Done<number>): void;
  /** `number` is the time of receipt or the step, `data` the body, the output, or the text of an error. */
  record(handle: number, kind: EventKind, id: string, number: number, data: Uint8Array | string | undefined, done: Done<number>): void;
  /**
   * Records events, given as a msgpack array of `[kind, id, number, data, text]` each. The value has what became of them as runs: in turn, how
   * many, and the sequence of the first or what is wrong with them.
   */
  recordAll(handle: number, events: Uint8Array, done: Done<readonly (number | Failure)[]>): void;
  /** The value tells whether something was appended, as with the next three. */
  send(handle: number, id: string, receivedAt: number, body: Uint8Array | undefined, done: Done<boolean>): void;
  cancel(handle: number, id: string, done: Done<boolean>): void;
  retry(handle: number, id: string, done: Done<boolean>): void;
  resolve(handle: number, id: string, step: number, rerun: boolean, done: Done<boolean>): void;
  /** Processes messages until `stop(runner)`; `runner` is any number that is not in use. */
  process(
    handle: number,
    runner: number,
    ...rest: [
      ...Retry,
      maxStarts: number,
      onMessage: (attempt: number, id: string) => void,
      onAbort: (attempt: number, reason: Failure) => void,
      onError: (failure: Failure) => void,
      done: Done<null>,
    ]
  ): void;
  stop(runner: number): Result<null>;
  /** Ends an attempt: with the result, or with the text of an error. */
  handled(attempt: number, result: Uint8Array | undefined, error?: string): Result<null>;
  /**
   * Runs the next step. `run` is to call its function, and `abort` to give the call up: because its time is
   * over, or for a reason. The value is the output, or `false` if the function has failed for good.
   */
  step(
    attempt: number,
    name: string,
    ...rest: [
      ...Retry,
      policy: number,
      streams: boolean,
      run: (call: number, attempt: number, idempotencyKey: string, uncertain: boolean) => void,
      abort: (call: number, reason?: Failure) => void,
      done: Done<Uint8Array | false>,
    ]
  ): void;
  /** Ends a call: with the output, or with the text of an error. */
  reply(call: number, output: Uint8Array | undefined, error?: string, terminal?: boolean): Result<null>;
  emit(call: number, part: Uint8Array, done: Done<null>): void;
  refresh(handle: number, done: Done<null>): void;
  events(handle: number, from: number, limit: number, done: Done<Uint8Array>): void;
  create(id: string): Result<Opened>;
  clone(handle: number): Result<Opened>;
  follow(handle: number): Result<null>;
  unfollow(handle: number): Result<null>;
  release(handle: number): Result<null>;
  health(): Result<{ readonly epoch?: string; readonly lastError?: Failure }>;
}

import type { ErrorCode, HoldfastError, StepError } from "./errors.js";

/**
 * The public contract of `@holdfast-dev/holdfast`, written by hand.
 *
 * A conversation is an append-only log of events in IndexedDB. Every append
 * checks the expected sequence inside the transaction that writes it, so two
 * tabs can never both win a place in the log. After a crash {@link Holdfast.recover}
 * replays the log, and the {@link Handler} of a message that was half processed goes on where it was.
 */

/**
 * A value that can be stored: what msgpack can hold, given as plain data of at most 8 MiB
 * and 32 levels. It comes back equal: what could not come back as it was is refused, such as
 * `undefined` in an array, an array with properties, an instance of a class, or a property that is
 * hidden or under a symbol. Left out is a property that is `undefined`.
 *
 * Outputs of steps and results have been paid for, and are not lost for what they may hold by chance. Of a lone surrogate in
 * them U+FFFD is stored, and null of `undefined` in an array and of an invalid date. Left out are properties that are hidden or
 * under a symbol, as SDKs have them, those of arrays, and the key `__proto__`. With functions, instances and the like a step fails,
 * at once.
 */
export type Storable =
  | null
  | undefined
  | boolean
  | number
  | string
  | Uint8Array
  | Date
  | readonly Storable[]
  | { readonly [key: string]: Storable };

/**
 * A `T` that can be stored, as far as its type says: an `interface` can, a `Map`, a `Response` or what else has methods cannot. A
 * wrapper that has a type parameter of its own in that place gives what it passes on this type, by its parameter or by `as`.
 */
export type Stored<T> = T & Plain<T>;

/** What a `T` must be so that it can be stored. */
export type Plain<T> = unknown extends T
  ? unknown
  : T extends null | undefined | void | boolean | number | string | Uint8Array | Date
    ? unknown
    : T extends bigint | symbol | ((...args: never[]) => unknown)
      ? "cannot be stored: make plain data of it first"
      : T extends readonly (infer Item)[]
        ? readonly Plain<Item>[]
        : { readonly [Key in keyof T]: Plain<T[Key]> };

/** How hard a commit is pushed to the disk before it is acknowledged. */
export type Durability = "strict" | "default";

/** Options of `open`. */
export interface OpenOptions {
  /** Name of the IndexedDB database, 1 to 1024 bytes. Default: `"holdfast"`. */
  readonly database?: string;
  /**
   * `"indexeddb"` (default), or `"memory"`: nothing outlives the page. Memory is
   * for tests of applications; it is never chosen without being asked for.
   */
  readonly storage?: "indexeddb" | "memory";
  /**
   * `"strict"` (default): the browser syncs to disk before an append resolves.
   * `"default"`: the browser decides; survives a browser crash, perhaps not a power cut.
   */
  readonly durability?: Durability;
  /**
   * Where the WebAssembly comes from: a URL, a `Response` or a promise of one, the bytes,
   * or a compiled module (to share one between workers). Default: `holdfast.wasm` beside this package.
   */
  readonly wasm?: string | URL | Response | PromiseLike<Response> | BufferSource | WebAssembly.Module;
  /**
   * Milliseconds after which a call that waits for the storage gives up, 1 to 600,000, also if it
   * waits for calls before it. Default: 30,000. A write whose commit was already sent then rejects
   * with `outcome_unknown`, if that is not settled within two seconds more, any other call with `blocked`.
   */
  readonly timeout?: number;
}

/** What to do with a delivered message. */
export type Decision =
  /** Fully processed before. */
  | { readonly kind: "skip" }
  /** Seen before, not finished: go on with step `step`. */
  | { readonly kind: "resume"; readonly step: number }
  /** Never seen: it is now in the log. */
  | { readonly kind: "start" };

/** A step with an outcome: it has completed, or has failed for good. */
export interface Step {
  /** Index of the step, from 0. It is never used again within the message. */
  readonly index: number;
  /** The name it was given in {@link RunStep}; `undefined` for a step that was recorded without one. */
  readonly name: string | undefined;
  /** What was recorded as its output; `undefined` if it has failed. */
  readonly output: unknown;
  /** What it has failed with, as its caller got it; `undefined` if it has completed. */
  readonly error: StepError | undefined;
  /** When it was called first, in milliseconds since the Unix epoch; `undefined` for a step that was recorded by its index. */
  readonly calledAt: number | undefined;
}

/**
 * A step without an outcome of which the log has something: it streams, has side effects, waits, or
 * has failed and is called again later. Of other steps nothing is stored before they end.
 */
export interface OpenStep {
  readonly index: number;
  readonly name: string;
  /** What a streaming step has stored so far, in order. Its next run replaces that, unless it has `resume`. */
  readonly chunks: readonly unknown[];
  /**
   * Whether its side effects may have happened, which nobody knows: a page died while its function may
   * have been running, or the function has failed. With `sideEffect: "ask"` the step waits for
   * {@link Conversation.resolveStep} then. A decision to run it again ends the doubt.
   */
  readonly uncertain: boolean;
  /** How many calls of its function have failed. */
  readonly attempts: number;
  /** What the last of them has failed with. */
  readonly error: StepError | undefined;
  /**
   * When its function is called next, or its wait ends, in milliseconds since the Unix epoch;
   * `undefined` if that is not known.
   */
  readonly due: number | undefined;
  /** What it waits for, if it is a `step.wait` or a `step.sleep`. */
  readonly waiting: Waiting | undefined;
}

/** What a step waits for: an answer (see {@link Conversation.answer}) or a time. */
export interface Waiting {
  readonly for: "answer" | "time";
  /** What is asked, as given to `step.wait`. */
  readonly prompt: unknown;
}

/**
 * One message, as it is in the log. Immutable: a change makes a new object. What is stored in it, such as its body and the
 * outputs of its steps, is frozen; of a `Uint8Array` or a `Date` each reader gets a copy. All but `output` survives
 * `{...message}`, `structuredClone`, `postMessage` and `JSON.stringify`, which makes a text of an error.
 */
export interface Message<Body = unknown, Result = unknown> {
  readonly id: string;
  /** When it was received, in milliseconds since the Unix epoch, as given by the caller. */
  readonly receivedAt: number;
  /** The id of the message that it follows, see {@link SendOptions}; `undefined` if it follows none. */
  readonly after: string | undefined;
  /** The message itself, if it was recorded with one. */
  readonly body: Body;
  /**
   * `"received"`: not begun, or let go by `retry`, `stop()`, or the end of a wait. `"processing"`: begun; also
   * if the page has died, until another one goes on. `"waiting"`: for a second all that is under way has
   * waited for an answer, a time or a decision. `"failed"` and `"cancelled"`: `retry` brings it back, and a
   * redelivery of a failed one, too. `"finished"`: it has its `result`.
   */
  readonly status: "received" | "processing" | "waiting" | "failed" | "cancelled" | "finished";
  /** Steps with an outcome, ordered by index. */
  readonly steps: readonly Step[];
  /** Steps without one of which the log has something, ordered by index. */
  readonly openSteps: readonly OpenStep[];
  /** What the handler returned, once it is finished. */
  readonly result: Result | undefined;
  /** How often processing has started since a step has last ended, see {@link ProcessOptions}. */
  readonly starts: number;
  /** When a message that is `"waiting"` goes on by itself, in milliseconds since the Unix epoch; `undefined` for never. */
  readonly due: number | undefined;
  /** Text of the last recorded error; it stays when the message is resumed. */
  readonly error: string | undefined;
  /**
   * What there is of the output of a step: all of it, or what it has streamed so far, put together as it will be when it is
   * complete, so that a view shows one text from the first token to the last. Of several steps of that name it is the last
   * one. `undefined` if there is nothing yet.
   */
  output(name: string): unknown;
}

/** What a conversation knows. Immutable: each change makes a new object. */
export interface ConversationState<Body = unknown, Result = unknown> {
  /** The branch of the message received last, from the first message on. Without edits these are all messages. */
  readonly messages: readonly Message<Body, Result>[];
  /** All received messages in order of arrival, over all branches: the order in which they are processed. */
  readonly received: readonly Message<Body, Result>[];
  /** What a message follows, the message, and of what follows it the branch of the one received last. Empty for an unknown id. */
  branch(id: string): readonly Message<Body, Result>[];
  /** The messages that follow the same one as this, with it, in order of arrival. Empty for an unknown id. */
  siblings(id: string): readonly Message<Body, Result>[];
  /** The received message with this id. */
  message(id: string): Message<Body, Result> | undefined;
  /** Whether the message is in the log. */
  isReceived(id: string): boolean;
  /** Whether its processing has started, and has not ended since in any way. */
  isInProgress(id: string): boolean;
  /** Whether its processing has finished: a redelivery is skipped. */
  isFullyProcessed(id: string): boolean;
  /** The greatest index of its completed steps. */
  lastCompletedStep(id: string): number | undefined;
  /** The output of a completed step; `undefined` if it has not completed. */
  completedStep(id: string, index: number): Step | undefined;
  /** The text of its last recorded error. */
  error(id: string): string | undefined;
  /**
   * The notes of a type, see {@link Conversation.note}, in order; the same array until there are more. The type of their
   * data is yours to say: what is stored is not checked.
   */
  notes<Data = unknown>(type: string): readonly Note<Data>[];
}

/** Where a message belongs, and when not to send it: options of {@link Conversation.send}, and `onlyIf` of {@link Conversation.setMetadata}. */
export interface SendOptions {
  /**
   * The id of the message that it follows, or `null` for none; default: the message received last. So an edit is sent with
   * the `after` of the message that it replaces, and a regeneration with the same body, too. Both are its siblings then. An id that was never
   * received is an `invalid_argument`.
   */
  readonly after?: string | null | undefined;
  /** Cancels all messages that have neither finished nor failed, in the same append. */
  readonly interrupt?: boolean;
  /**
   * Rejects with `cancelled`, and stores nothing, if the conversation was deleted, in whichever tab, or was never begun.
   * Without, it begins it again.
   */
  readonly onlyIf?: "exists";
}

/** Something that the application has noted, see {@link Conversation.note}. Immutable, like a {@link Message}. */
export interface Note<Data = unknown> {
  /** Unique among the notes of its type. */
  readonly id: string;
  readonly type: string;
  /** When it was made, in milliseconds since the Unix epoch. */
  readonly at: number;
  readonly data: Data;
}

/** An event of the log, as {@link Conversation.events} returns it. */
export type ConversationEvent = {
  /** Place in the log, from 0, without gaps. */
  readonly sequence: number;
  /** When the store took it, in milliseconds since the Unix epoch. */
  readonly timestamp: number;
} & (
  /** The conversation was deleted here; what came before is gone. */
  | { readonly kind: "deleted" }
  /** See {@link Conversation.note}. */
  | { readonly eventId: string; readonly kind: "note"; readonly type: string; readonly noteId: string; readonly data: unknown }
  /** See {@link Conversation.setMetadata}. `undefined` removes the key. */
  | { readonly eventId: string; readonly kind: "metadata_set"; readonly key: string; readonly value: unknown }
  | ({ readonly eventId: string; readonly messageId: string } & (
      /** `after` as in {@link SendOptions}. */
      | { readonly kind: "message_received"; readonly receivedAt: number; readonly body: unknown; readonly after: string | null | undefined }
      /** `runner` is the random id of the runner whose attempt it is, in hex. */
      | { readonly kind: "processing_started"; readonly runner: string | undefined }
      | { readonly kind: "step_completed"; readonly step: number; readonly name: string | undefined; readonly output: unknown }
      | { readonly kind: "processing_finished"; readonly result: unknown }
      /** `steps` are the indexes of the steps whose failures the error is made of. */
      | { readonly kind: "error_occurred"; readonly error: string; readonly steps: readonly number[] }
      /** A step with side effects is about to run. */
      | { readonly kind: "step_started"; readonly step: number; readonly name: string }
      /** Partial output of a streaming step. `offset` counts bytes; at 0 a run of the step begins. */
      | { readonly kind: "step_streamed"; readonly step: number; readonly name: string; readonly offset: number; readonly chunks: readonly unknown[] }
      | { readonly kind: "message_cancelled" }
      /** A step has failed for good. */
      | { readonly kind: "step_failed"; readonly step: number; readonly name: string; readonly error: string; readonly attempts: number }
      /** A call of a step's function has failed. `due` is when the next one is. */
      | { readonly kind: "attempt_failed"; readonly step: number; readonly name: string; readonly error: string; readonly attempt: number; readonly due: number | undefined }
      | { readonly kind: "step_waiting"; readonly step: number; readonly name: string; readonly for: "answer" | "time"; readonly due: number | undefined; readonly prompt: unknown }
      /** An uncertain step is to run again. */
      | { readonly kind: "step_resolved"; readonly step: number }
      /** `steps` are the indexes of the steps that are forgotten. */
      | { readonly kind: "message_retried"; readonly steps: readonly number[] }
      /** The runner was stopped and has let go of the message, or the message waits. */
      | { readonly kind: "processing_stopped"; readonly waiting: boolean; readonly due: number | undefined }
    ))
);

/**
 * Works on one message. What it returns is stored as the message's `result`, and the message is finished.
 * What it throws fails the message: the error is recorded, and later messages go on.
 *
 * After a crash it is called again, in whichever tab or worker runs the conversation then. Its steps that
 * had ended return or throw what is stored, one at a time, in the order in which they ended. So it goes the
 * way that it went before, if all that costs, fails or varies is within steps: requests, random numbers, the
 * clock. See docs/replay.md.
 */
export type Handler<Body = unknown, Result = unknown> = (work: Work<Body>) => Result | PromiseLike<Result>;

/** What a {@link Handler} works with. */
export interface Work<Body = unknown> {
  /** The message as it was when this attempt began. */
  readonly message: Message<Body>;
  /** The conversation that the message is of. */
  readonly conversation: Conversation;
  /**
   * The messages that this one follows, the first one first, as they were when work on this one first began: the same in every
   * attempt, whatever has become of them since. If that has to be read from the log, and the log is damaged there, it throws `corrupt` or `gap`.
   */
  readonly history: readonly Message<Body>[];
  /** The notes of a type that there were then. */
  readonly notes: <Data = unknown>(type: string) => readonly Note<Data>[];
  /** Runs a step, or returns what is stored of it. */
  readonly step: RunStep;
  /**
   * Aborts when the message is not to be worked on any longer. Its `reason` is a {@link HoldfastError}: `cancelled` by
   * `cancel(id)` or because the conversation was deleted; `lost_ownership` when another runner has taken over; `closed` by
   * `stop()` or `close()`, or in {@link Holdfast.process} because the message waits; `step_mismatch`, see {@link RunStep}; `corrupt` if what is stored of a step cannot be decoded, which
   * fails the message; or an error of the storage. From then on nothing that the handler does is recorded, whether it catches
   * the error or not. It is called again when it has settled, or after a second. It aborts, too, with what the handler has
   * thrown, so what is given it ends with the handler, unless that has succeeded.
   */
  readonly signal: AbortSignal;
}

/**
 * Runs `fn` as a step of the message, and resolves with its output once that is stored. If the step has
 * ended before, it does not call `fn`: it resolves or rejects with what is stored. The output must be a
 * {@link Storable}.
 *
 * A step is known by its scope, its name (1 to 1024 bytes) and its key. Without a key it is known by the
 * number of the call of that name in that scope. So steps that run at the same time need names, keys or
 * scopes of their own. Where a number may mean another call than before, the attempt ends and the message
 * fails, with `step_mismatch`.
 *
 * If `fn` throws, it is called again after a while, see {@link StepOptions}. After the last of these calls
 * the step has failed, and rejects with a {@link StepError}, now and in every replay. It fails at once if
 * `fn` throws a {@link TerminalError}, or the {@link StepError} of a step within it.
 */
export interface RunStep {
  <T>(name: string, fn: StepFunction<T>, options?: StepOptions): Promise<T>;
  /**
   * Runs a step whose output arrives in chunks, such as the answer of a language model. They are stored as they arrive, in at
   * most about ten commits a second, and can be seen in `openSteps` of the message, also in other tabs and after a crash.
   * Resolves with all of them: strings joined to one; anything else as an array. Without a chunk it is `""`, whatever they
   * would have been. A chunk that is `undefined` is left out.
   *
   * If the step runs again it begins with no chunks, unless `resume` is set. A chunk of text may end within a surrogate
   * pair: the half is stored with the next chunk.
   */
  stream(name: string, fn: (context: StepContext) => Streamed<string>, options?: StreamOptions): Promise<string>;
  stream<T>(name: string, fn: StreamFunction<T>, options?: StreamOptions): Promise<string | readonly T[]>;
  /**
   * Waits for an answer of {@link Conversation.answer}, from any tab and after any time, and resolves with it. Rejects with
   * a {@link StepError} whose `name` is `TimeoutError` when `timeout` is over.
   */
  wait<T = unknown>(name: string, options?: WaitOptions): Promise<T>;
  /**
   * Waits for so many milliseconds, at most 366 days, or until a time, which is stored. If no page is open then, it
   * resolves when the next one processes the conversation.
   */
  sleep(name: string, until: number | Date, options?: Pick<WaitOptions, "pass" | "key">): Promise<void>;
  /**
   * Returns a `step` whose calls are known, and counted, within a scope: for a loop, a branch, a sub-agent. Two scopes of
   * the same name in the same place are one.
   */
  scope(name: string): RunStep;
}

/** Options of `step.wait`. */
export interface WaitOptions {
  /** What is asked, a {@link Storable}. Views find it in `openSteps` of the message, as `waiting.prompt`. */
  readonly prompt?: unknown;
  /** Milliseconds after which the wait fails, at most 366 days. Default: never. */
  readonly timeout?: number;
  /** Whether later messages may be processed while the message waits for nothing else. Default: `false`. */
  readonly pass?: boolean;
  /** See {@link StepOptions}. */
  readonly key?: string;
}

/** The function of a step. What it returns can be stored, see {@link Stored}. */
export type StepFunction<T> = ((context: StepContext) => T | PromiseLike<T>) & ((context: StepContext) => Plain<T> | PromiseLike<Plain<T>>);

/** The function of a streaming step. */
export type StreamFunction<T> = ((context: StepContext) => Streamed<T>) & ((context: StepContext) => Streamed<Plain<T>>);

/** What the function of a streaming step returns: an async generator, a `ReadableStream`, or a promise of one. */
export type Streamed<T> = Chunks<T> | PromiseLike<Chunks<T>>;

/** Not all settings of `lib` know that a `ReadableStream` is an `AsyncIterable`. */
type Chunks<T> = AsyncIterable<T> | ReadableStream<T>;

/** What the function of a step is given. */
export interface StepContext {
  /**
   * Aborts as {@link Work.signal} does, when the handler has ended, with what `fn` has thrown, and with a `TimeoutError` when
   * the `timeout` is over. So what is given it ends with the call, unless that has succeeded.
   */
  readonly signal: AbortSignal;
  /**
   * The same for every run of this step, and for no other step of any message or database: 32 hexadecimal digits. A
   * server that gets it can recognize a repeated request. After a retry that has forgotten a completed step it is another.
   */
  readonly idempotencyKey: string;
  /** Which call of `fn` it is, from 1, with those before a crash. */
  readonly attempt: number;
  /**
   * Whether a step with side effects may have had them in an earlier call, see {@link OpenStep.uncertain}. `false` after
   * `resolveStep(…, "rerun")`: somebody has decided.
   */
  readonly uncertain: boolean;
  /** What an earlier run of a streaming step has stored. */
  readonly chunks: readonly unknown[];
  /** Calls steps within this one. They end when its function does. In `fn` the outer `step` is refused. */
  readonly step: RunStep;
}

/** How a step deals with failures. */
export interface RetryOptions {
  /** How often a step's function is called before the step has failed, 1 to 1000. Default: 5. */
  readonly maxAttempts?: number;
  /**
   * Milliseconds to wait before the second call, doubled for each one after it: the wait is random, from half of that
   * to all of it, and at most `max`. Each 1 to 86,400,000. Default: 500, and at most 30,000.
   */
  readonly backoff?: { readonly initial?: number; readonly max?: number };
  /** Milliseconds that one call of a step's function may take, 1 to 86,400,000. Default: no limit. */
  readonly timeout?: number;
}

/** Options of {@link RunStep}; what is not given is as in {@link ProcessOptions}. */
export interface StepOptions extends RetryOptions {
  /**
   * Says that the step does something that must not be done twice by accident, such as a payment. That it starts is stored
   * first, which is one more commit.
   *
   * If the page dies while `fn` runs, or `fn` throws anything but a {@link TerminalError}, nobody knows whether it is done.
   * Then the step calls `fn` again with `uncertain` set (`"rerun"`), counts as completed with the output `undefined`
   * (`"skip"`), or waits for {@link Conversation.resolveStep} (`"ask"`).
   */
  readonly sideEffect?: "rerun" | "skip" | "ask";
  /**
   * Tells the step from others of its name in the scope: what it is about, such as the id of a file, in 1 to 256 bytes.
   * Only a hash of it is stored. The same key again, after the earlier call has ended, is the next step of that key.
   */
  readonly key?: string;
}

/** Options of `step.stream`. */
export interface StreamOptions extends StepOptions {
  /**
   * Whether what the function yields comes after the `chunks` that an earlier run has stored, which it must not yield
   * again. Default: `false`, and it replaces them.
   */
  readonly resume?: boolean;
}

/** Options of {@link Conversation.process}. The first three are the defaults for steps. */
export interface ProcessOptions extends RetryOptions {
  /**
   * How often processing of a message may start without the end of a step in between, 1 to 1000, before it fails: a
   * message that kills its tab must not do so for ever. Default: 10. Starts that ended with `stop()`, or with a wait,
   * do not count.
   */
  readonly maxStarts?: number;
  /**
   * Called with what goes wrong outside of steps: errors of the handler's own code, with their stacks; `step_mismatch`, also
   * as a warning that steps need keys; `corrupt` if what is stored of a step cannot be decoded; `lost_ownership` when another
   * runner has taken a message over; and errors of the storage. After one of the storage whose `outcome` is `"permanent"` the
   * runner has stopped; after all others it goes on by itself. Default: `reportError`,
   * or in Node, which has none, `console.error`.
   */
  readonly onError?: (error: Error) => void;
  /**
   * Whether the handler is called once more when it has ended. Its steps then return what they have returned before, and
   * call no function. If it goes another way than before, as it would after a crash, `onError` hears of it. For tests and
   * development: what `chat.process` returned waits for it. Default: `false`.
   */
  readonly rehearse?: boolean;
  /** Stops the runner when it aborts, like the returned function. */
  readonly signal?: AbortSignal;
}

/** Options of {@link Holdfast.process}. */
export interface ProcessAllOptions extends ProcessOptions {
  /** What the ids of the conversations begin with. Default: all. */
  readonly prefix?: string;
  /** How many conversations are worked on at the same time, 1 to 1000. Default: 8. Those that wait do not count. */
  readonly concurrency?: number;
}

/** Where the runner of a conversation is, see {@link Conversation.runner}. */
export type RunnerPlace = "here" | "elsewhere" | "nobody";

/** What a message is received with: its body, and when that was, in milliseconds since the Unix epoch. */
export type Content<Body> = { readonly body?: Body; readonly receivedAt?: number } & { readonly body?: Plain<Body> };

/**
 * A durable conversation. All methods may be called concurrently; appends take
 * effect in the order of the calls. Every rejection is a {@link HoldfastError}. Messages and options with
 * a name that is not declared here are refused with `invalid_argument`.
 *
 * The `record…` methods are raw: they append what they are given and check no
 * transition. A {@link SequenceConflictError} means that another handle has appended: nothing
 * was written, and the state is as it was; `refresh()` and decide again.
 */
export interface Conversation<Body = unknown, Result = unknown> {
  /** The id, which is the name of the stream. */
  readonly id: string;
  /** The current state; the same object until something changes. */
  readonly state: ConversationState<Body, Result>;
  /**
   * What {@link Conversation.setMetadata} has set, by key. Frozen, and the same object until something is set; of a
   * `Uint8Array` or a `Date` each reader gets a copy.
   */
  readonly metadata: Readonly<Record<string, unknown>>;
  /** The sequence that the next append expects to get. */
  readonly expectedSeq: number;
  /**
   * Why all is over: the store was closed, its instance has died, or, while there is a listener, the storage was emptied, or what
   * others have appended is damaged or of a later release. `undefined` before that. When it is set, listeners are called
   * once more.
   */
  readonly closed: HoldfastError | undefined;

  /**
   * Decides what to do with a delivered message, and appends it if it was never seen.
   * Two concurrent deliveries of one id append it once. An unfinished message resumes,
   * also after an error.
   */
  receiveMessage<B extends Body>(message: { readonly id: string } & Content<B>): Promise<Decision>;
  /** Appends that a message was received. Resolves with the assigned sequence after the commit, as do the next four. */
  recordMessageReceived<B extends Body>(message: { readonly id: string } & Content<B>): Promise<number>;
  /** Appends that processing has started. */
  recordProcessingStarted(messageId: string): Promise<number>;
  /** Appends that step `step` (0 to 2^32-1) has completed with `output`. */
  recordStepCompleted(messageId: string, step: number): Promise<number>;
  recordStepCompleted<T>(messageId: string, step: number, output: Stored<T>): Promise<number>;
  /** Appends that processing has finished: redeliveries are skipped from now on. */
  recordProcessingFinished(messageId: string): Promise<number>;
  /** Appends that processing has failed, with a text for people. */
  recordError(messageId: string, error: string): Promise<number>;

  /**
   * Stores a new message, and resolves with its id once it is safe. The runner of the conversation, in this or another tab, works on it.
   * A message whose id is known is not stored again, so after an error, or a button that was pressed twice, just send it
   * once more. Retries by itself when others append. Default of `id`: a random UUID; of `receivedAt`: now.
   *
   * For edits, regenerated answers, interruptions and deleted conversations see {@link SendOptions}.
   */
  send<B extends Body>(message: { readonly id?: string } & SendOptions & Content<B>): Promise<string>;
  /**
   * Stores something of the application's own, such as a draft or a rating, which is never processed, and resolves with
   * its id once it is safe. It is then in `state.notes(type)`. `type` and `id` have 1 to 1024 bytes. A note whose id is
   * known for its type is not stored again. Retries by itself when others append. Default of `id`: a random UUID.
   *
   * With `ifLast` it is stored only if the note with that id is the last one of its type, or for `null` if there is none.
   * Otherwise it rejects with `sequence_conflict`: look at the notes, which are up to date then, and decide again. It begins
   * a conversation that was deleted, or was never begun, unless it is given `onlyIf`, see {@link SendOptions}.
   */
  note<T>(type: string, data: Stored<T>, options?: { readonly id?: string; readonly ifLast?: string | null } & Pick<SendOptions, "onlyIf">): Promise<string>;
  /**
   * Sets what an application shows of a conversation in a list, such as its title: each key of `patch`, a plain object, to
   * its value; `undefined` removes a key. All of it is stored, or nothing; a key that has that value already is not stored
   * again. Retries by itself when others append; of two values of one key the later one counts. The result is in
   * `metadata`, and in the rows of {@link Holdfast.list}.
   *
   * A key has 1 to 1024 bytes. All keys and values together have at most 16 KiB, as they are stored; a patch that would
   * pass that is refused with `too_large`. What is larger belongs into notes.
   *
   * It begins a conversation that was deleted, or was never begun, unless it is given `onlyIf`, see {@link SendOptions}.
   */
  setMetadata<T extends object>(patch: Stored<T>, options?: Pick<SendOptions, "onlyIf">): Promise<void>;
  /**
   * Resolves with a message when it has ended: look at its `status`, which is `"finished"`, `"failed"` or `"cancelled"`. At once if
   * it has ended before. As with a listener, the conversation follows what others append.
   *
   * Rejects with `invalid_argument` if no message of this id was received, with `cancelled` when the conversation is deleted, and
   * with what is in `closed` when that is set. A message that nobody processes does not end.
   */
  ended(messageId: string): Promise<Message<Body, Result>>;
  /**
   * Processes the messages of this conversation with `handler`: those that are not finished, failed or cancelled, in order of arrival, one
   * after the other, now and as they arrive. Of all tabs and workers that call this one does the work at a time; the next
   * one takes over when it closes, crashes, is frozen or stops. As with a listener, the conversation follows what others append.
   *
   * Returns the function that stops it: what is running aborts, the log says that it was let go, and another
   * runner goes on with it. Closing the tab needs no stop, and cancels nothing.
   */
  process<R extends Result>(handler: Handler<Body, R> & Handler<Body, Plain<R>>, options?: ProcessOptions): () => Promise<void>;
  /**
   * Asks the browser who processes this conversation at this moment, or stands ready to: `"here"`, a `process` of this `open`;
   * `"elsewhere"`, one of another tab, worker or `open`; `"nobody"`: then what is unfinished waits, whatever its `status`, until
   * somebody calls `process`.
   *
   * No browser reports that this has changed, and no listener hears of it. So ask after each change of the state, and every few
   * seconds while a message is unfinished. A tab that is frozen processes nothing. Without Web Locks, as in insecure contexts, a
   * tab that has crashed still counts for 6 seconds, and for 3 minutes if it was hidden. With `storage: "memory"` it is never
   * `"elsewhere"`.
   */
  runner(): Promise<RunnerPlace>;
  /**
   * Stores that a message is not to be processed any further, in whichever tab that is. Resolves with whether it is cancelled now:
   * `false` if it had finished or failed before. An unknown id is an `invalid_argument`.
   */
  cancel(messageId: string): Promise<boolean>;
  /**
   * Lets a failed or cancelled message be processed again. Of a failed one it forgets what made it fail: the failures that
   * its error was made of, or else the last one, those after the first of these, and the steps without a key that were
   * called after one. With `from`, the index of a step, it forgets the outcome of that step and all that came after it.
   *
   * Resolves with whether the message was failed or cancelled. An id that was never received is an `invalid_argument`, and
   * so is a `from` without an outcome.
   */
  retry(messageId: string, options?: { readonly from?: number }): Promise<boolean>;
  /**
   * Answers a step that waits, see `step.wait`; `step` is its index. The first answer counts: resolves with whether it was
   * this one. An unknown id is an `invalid_argument`.
   */
  answer(messageId: string, step: number): Promise<boolean>;
  answer<T>(messageId: string, step: number, answer: Stored<T>): Promise<boolean>;
  /**
   * Decides what becomes of an uncertain step (see {@link OpenStep}): to run it again, which ends the doubt and does nothing
   * else, or to take it as completed with the output `undefined`. The decision is stored, whether a runner is at work or not.
   * Resolves with whether it was uncertain.
   */
  resolveStep(messageId: string, step: number, choice: "rerun" | "skip"): Promise<boolean>;

  /** Reads what others have appended. Resolves with `expectedSeq`. */
  refresh(): Promise<number>;
  /** A second handle with the same state, which goes its own way from here. */
  clone(): Conversation<Body, Result>;
  /**
   * Reads the log itself: at most `limit` (default 1000) events from sequence `from` (default 0) on.
   * For logs, tests and exports; the state is what programs want.
   */
  events(range?: { readonly from?: number; readonly limit?: number }): Promise<readonly ConversationEvent[]>;

  /**
   * Calls `listener` after each change of the state, once for changes that come together.
   * Also, once, when `closed` is set. Then `subscribe` throws that.
   * While there is a listener, the conversation also follows what other tabs append:
   * its state and `expectedSeq` move on by themselves, so an append no longer conflicts with what came
   * before it. An agent that must notice it writes through a `clone()` without listeners. Returns the
   * function that unsubscribes. Needs no `this`: fits React's `useSyncExternalStore` together with `snapshot`.
   */
  readonly subscribe: (listener: () => void) => () => void;
  /** The same object as `state`, as a function that needs no `this`. */
  readonly snapshot: () => ConversationState<Body, Result>;
}

/** A conversation in the list of {@link Holdfast.conversations}. */
export interface ConversationInfo {
  readonly id: string;
  /** The sequence that its next event gets. */
  readonly head: number;
}

/** What {@link Holdfast.list} knows of a conversation, without its log. Times are in milliseconds since the Unix epoch. */
export interface Summary {
  readonly id: string;
  /** When its first event was stored. */
  readonly created: number;
  /** When a message was last received, or has last finished, failed or been cancelled. */
  readonly updated: number;
  /** How many messages have neither finished nor failed nor been cancelled. */
  readonly unfinished: number;
  /** How many of these wait, for an answer, a time, or a decision. */
  readonly waiting: number;
  /** When work on a message can go on by itself: 0 if it can at once, `undefined` if it cannot. */
  readonly due: number | undefined;
  /** What {@link Conversation.setMetadata} has set. */
  readonly metadata: Readonly<Record<string, unknown>>;
}

/** Options of {@link Holdfast.list}. */
export interface ListOptions {
  /** What the ids begin with. Default: everything. */
  readonly prefix?: string;
  /** `"recent"`: by `updated`, the last one first. `"id"`: by the UTF-8 bytes of the id. Default: `"recent"`. */
  readonly order?: "recent" | "id";
  /** How many there are at most, 1 to 999. Default: 50. */
  readonly limit?: number;
  /** What was in `next` of the page before. */
  readonly after?: string;
  /** The ids, at most 1000, of which to return the rows, in this order, as far as they are there. Goes with no other option. */
  readonly ids?: readonly string[];
}

/** A page of the list of conversations. */
export interface Page {
  readonly rows: readonly Summary[];
  /** What to pass as `after` to get the next page; `undefined` if this was the last one. */
  readonly next: string | undefined;
}

/** A range of events that cannot be read. */
export interface Damage {
  /** The first and the last sequence. */
  readonly from: number;
  readonly to: number;
  /** `"gap"`: not there. `"corrupt"`: damaged. `"unsupported_version"`: written by another release. */
  readonly code: ErrorCode & ("corrupt" | "gap" | "unsupported_version");
  /** What is wrong with the first of them. */
  readonly message: string;
}

/** What {@link Holdfast.verify} has found. */
export interface Verification {
  readonly id: string;
  /** The sequence that the next event gets. */
  readonly head: number;
  /** How many events can be read. Those before a deletion are gone, and do not count. */
  readonly events: number;
  /** What cannot be read, in order; nothing if all is well. */
  readonly damage: readonly Damage[];
  /**
   * `"ok"`: the snapshot that saves `recover` a replay is whole, and the log gives the same state, unless it is damaged before that.
   * `"damaged"` does no harm, since nothing depends on it. `"none"`: there is none, or one of another release.
   */
  readonly snapshot: "none" | "ok" | "damaged";
}

/** The state of the storage. */
export interface Health {
  readonly storage: "indexeddb" | "memory";
  readonly durability: Durability;
  /** Whether the browser has promised not to evict the data. `undefined` where it does not say. */
  readonly persisted: boolean | undefined;
  /** Bytes in use and allowed in this origin, estimated by the browser. */
  readonly usage: number | undefined;
  readonly quota: number | undefined;
  /** Random id of the database, in hex: another epoch is another, emptied database. */
  readonly epoch: string;
  /**
   * When the next message that waits goes on by itself, of the conversations that are open here, in milliseconds since
   * the Unix epoch; `undefined` for never. For an alarm that wakes a page or a worker.
   */
  readonly due: number | undefined;
  /** The last error of the storage since `open`, if there was one. */
  readonly lastError: Error | undefined;
}

/** An open store with its WebAssembly instance. */
export interface Holdfast {
  /** A conversation that takes itself to be new: it reads nothing and expects sequence 0. */
  create<Body = unknown, Result = unknown>(id: string): Conversation<Body, Result>;
  /**
   * Returns a conversation as it is in its log; an absent log gives a new one. Rejects with `gap` or `corrupt` if something of it is
   * missing or damaged. If that is only its end, which the browser has lost, it rejects with `gap` once: recovered once more, it
   * goes on with what is left. The types of its bodies and results are yours to say: what is stored is not checked.
   */
  recover<Body = unknown, Result = unknown>(id: string): Promise<Conversation<Body, Result>>;
  /**
   * The conversations whose id begins with `prefix`, ordered by the UTF-8 bytes of the id. One that has lost
   * all its events has the head 0, until `recover` has reported that.
   */
  conversations(prefix?: string): Promise<readonly ConversationInfo[]>;
  /**
   * Processes all conversations with `handler`, as {@link Conversation.process} does one: those that a crash has interrupted, those
   * whose wait is over, and those to which something is sent, from whichever tab. It reads no other. What was changed last comes
   * first. Conversations take turns, and tabs share them. A conversation that has its own `process` is left to that, from the end of
   * the turn on that it may be in. `work.conversation` is the conversation of the message.
   *
   * While a message waits its handler is let go, with `closed`, and called again when that is over; not while the function of a step
   * with a `sideEffect` or a `timeout` is under way. Any other function is let go, too, also if it does more than to wait. `onError` also hears of a conversation
   * that is damaged or has lost its end, which `recover` tells, too: nothing is done with it until something is appended to it. Two calls
   * whose prefixes overlap are an `invalid_argument`. Returns the function that stops it.
   */
  process<Body = unknown, R = unknown>(handler: Handler<Body, R> & Handler<Body, Plain<R>>, options?: ProcessAllOptions): () => Promise<void>;
  /**
   * Reads a page of the list of conversations. It costs the same for any number of them, and reads no log. A conversation is
   * in the list from its first event on. The log is the truth: should the list differ from it, `recover` mends that. One that has
   * lost all its events has a row with nothing but its id, and with times of 0, until `recover` has reported that.
   */
  list(options?: ListOptions): Promise<Page>;
  /**
   * Calls `listener` with the ids of the conversations whose row in the list has changed, or that were deleted, in this or
   * another tab; with `undefined` where that may be any, as after the page was frozen: then read the list again. At most
   * once in 16 ms. Also, once, with `undefined`, when the store was closed or its program has died: then `list` rejects with that,
   * and `subscribe` throws it. Returns the function that unsubscribes.
   */
  subscribe(listener: (ids: readonly string[] | undefined) => void): () => void;
  /**
   * Deletes a conversation. Its sequences are not used again: a handle of before gets a
   * conflict, refreshes, and finds it empty. Deleting an absent one does nothing.
   */
  delete(id: string): Promise<void>;
  /**
   * Reads the whole log of a conversation, goes on after damage, and reports it. It changes nothing.
   * `create(id).events({ from, limit })` reads what is between the damage. A log that has lost its end looks like a shorter one, unless
   * a snapshot goes further, or the browser remembered that the log did when the store was opened: then the end is a gap after `head`. Bodies and outputs are not decoded.
   */
  verify(id: string): Promise<Verification>;
  /** Reports on the storage. */
  health(): Promise<Health>;
  /**
   * Asks the browser not to evict the data. Resolves with whether it agreed. Firefox asks the user: without an
   * answer within the timeout of `open` it is `false`, and a later answer shows in `health()`.
   */
  persist(): Promise<boolean>;
  /** Stops what is processed, waits for the calls under way, then releases everything. Later calls reject with `closed`. */
  close(): Promise<void>;
}

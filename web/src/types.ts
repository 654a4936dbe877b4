/**
 * The public contract of `@holdfast-dev/holdfast`, written by hand.
 *
 * A conversation is an append-only log of events in IndexedDB. Every append
 * checks the expected sequence inside the transaction that writes it, so two
 * tabs can never both win a place in the log. After a crash {@link Holdfast.recover}
 * replays the log, and a message that was half processed goes on at the step
 * after the last completed one.
 */

/**
 * A value that can be stored: what msgpack can hold, given as plain data of at most 8 MiB
 * and 32 levels. It comes back equal: a property that is `undefined` is left out, and what
 * could not come back as it was is refused, such as `undefined` in an array or an instance of a class.
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

/** How hard a commit is pushed to the disk before it is acknowledged. */
export type Durability = "strict" | "default";

/** Options of `open`. */
export interface OpenOptions {
  /** Name of the IndexedDB database, 1 to 1024 bytes. Default: `"holdfast"`. */
  readonly database?: string;
  /**
   * `"indexeddb"` (default), or `"memory"`: nothing outlives the page. Memory is
   * for tests of applications; it is never chosen behind your back.
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
   * Milliseconds after which a call that waits for the storage gives up, 1 to 600,000.
   * Default: 30,000. A write whose commit was already sent then rejects with
   * `outcome_unknown`, any other call with `blocked`.
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

/** A completed step of a message. */
export interface Step {
  /** Index of the step, from 0. */
  readonly index: number;
  /** What was recorded as its output. */
  readonly output: unknown;
}

/** One message, as the log tells it. Immutable: a change makes a new object. */
export interface Message {
  readonly id: string;
  /** When it was received, in milliseconds since the Unix epoch, as given by the caller. */
  readonly receivedAt: number;
  /** The message itself, if it was recorded with one. */
  readonly body: unknown;
  /**
   * `"received"`, `"processing"` after a start, `"failed"` after an error (a redelivery
   * resumes it), `"finished"` at the end.
   */
  readonly status: "received" | "processing" | "failed" | "finished";
  /** Completed steps, ordered by index. */
  readonly steps: readonly Step[];
  /** Text of the last recorded error; it stays when the message is resumed. */
  readonly error: string | undefined;
}

/** What a conversation knows. Immutable: each change makes a new object. */
export interface ConversationState {
  /** Received messages in order of arrival. */
  readonly messages: readonly Message[];
  /** The received message with this id. */
  message(id: string): Message | undefined;
  /** Whether the message is in the log. */
  isReceived(id: string): boolean;
  /** Whether its processing has started, and neither finished nor failed since. */
  isInProgress(id: string): boolean;
  /** Whether its processing has finished: a redelivery is skipped. */
  isFullyProcessed(id: string): boolean;
  /** The greatest index of its completed steps. */
  lastCompletedStep(id: string): number | undefined;
  /** The output of a completed step; `undefined` if it has not completed. */
  completedStep(id: string, index: number): Step | undefined;
  /** The text of its last recorded error. */
  error(id: string): string | undefined;
}

/** An event of the log, as {@link Conversation.events} returns it. */
export type ConversationEvent = {
  /** Place in the log, from 0, without gaps. */
  readonly sequence: number;
  /** When the store took it, in milliseconds since the Unix epoch. */
  readonly timestamp: number;
} & (
  | { readonly kind: "message_received"; readonly eventId: string; readonly messageId: string; readonly receivedAt: number; readonly body: unknown }
  | { readonly kind: "processing_started"; readonly eventId: string; readonly messageId: string }
  | { readonly kind: "step_completed"; readonly eventId: string; readonly messageId: string; readonly step: number; readonly output: unknown }
  | { readonly kind: "processing_finished"; readonly eventId: string; readonly messageId: string }
  | { readonly kind: "error_occurred"; readonly eventId: string; readonly messageId: string; readonly error: string }
  /** The conversation was deleted here; what came before is gone. */
  | { readonly kind: "deleted" }
);

/**
 * A durable conversation. All methods may be called concurrently; appends take
 * effect in the order of the calls. Every rejection is a {@link HoldfastError}.
 *
 * The `record…` methods are raw: they append what they are told and check no
 * transition. A {@link SequenceConflictError} means that somebody else has appended: nothing
 * was written, and the state is as it was; `refresh()` and decide again.
 */
export interface Conversation {
  /** The id, which is the name of the stream. */
  readonly id: string;
  /** The current state; the same object until something changes. */
  readonly state: ConversationState;
  /** The sequence that the next append expects to get. */
  readonly expectedSeq: number;

  /**
   * Decides what to do with a delivered message, and appends it if it was never seen.
   * Two concurrent deliveries of one id append it once. An unfinished message resumes,
   * also after an error.
   */
  receiveMessage(message: { readonly id: string; readonly body?: Storable; readonly receivedAt?: number }): Promise<Decision>;
  /** Appends that a message was received. Resolves with the assigned sequence after the commit, as do the next four. */
  recordMessageReceived(message: { readonly id: string; readonly body?: Storable; readonly receivedAt?: number }): Promise<number>;
  /** Appends that processing has started. */
  recordProcessingStarted(messageId: string): Promise<number>;
  /** Appends that step `step` (0 to 2^32-1) has completed with `output`. */
  recordStepCompleted(messageId: string, step: number, output?: Storable): Promise<number>;
  /** Appends that processing has finished: redeliveries are skipped from now on. */
  recordProcessingFinished(messageId: string): Promise<number>;
  /** Appends that processing has failed, with a text for people. */
  recordError(messageId: string, error: string): Promise<number>;

  /** Reads what others have appended. Resolves with `expectedSeq`. */
  refresh(): Promise<number>;
  /** A second handle with the same state, which goes its own way from here. */
  clone(): Conversation;
  /**
   * Reads the log itself: at most `limit` (default 1000) events from sequence `from` (default 0) on.
   * For logs, tests and exports; the state is what programs want.
   */
  events(range?: { readonly from?: number; readonly limit?: number }): Promise<readonly ConversationEvent[]>;

  /**
   * Calls `listener` after each change of the state, once for changes that come together.
   * While there is a listener, the conversation also follows what other tabs append:
   * its state and `expectedSeq` move on by themselves, so an append no longer conflicts with what came
   * before it. An agent that must notice it writes through a `clone()` which nobody listens to. Returns the
   * function that unsubscribes. Fits React's `useSyncExternalStore` together with `snapshot`.
   */
  subscribe(listener: () => void): () => void;
  /** The same object as `state`, as a function that needs no `this`. */
  readonly snapshot: () => ConversationState;
}

/** A conversation in the list of {@link Holdfast.conversations}. */
export interface ConversationInfo {
  readonly id: string;
  /** The sequence that its next event gets. */
  readonly head: number;
}

/** The state of the storage. */
export interface Health {
  readonly storage: "indexeddb" | "memory";
  readonly durability: Durability;
  /** Whether the browser has promised not to evict the data. `undefined` where it cannot tell. */
  readonly persisted: boolean | undefined;
  /** Bytes in use and allowed in this origin, estimated by the browser. */
  readonly usage: number | undefined;
  readonly quota: number | undefined;
  /** Random id of the database, in hex: another epoch is another, emptied database. */
  readonly epoch: string;
  /** The last error of the storage since `open`, if there was one. */
  readonly lastError: Error | undefined;
}

/** An open store with its WebAssembly instance. */
export interface Holdfast {
  /** A conversation that takes itself to be new: it reads nothing and expects sequence 0. */
  create(id: string): Conversation;
  /** A conversation as its log tells it; an absent log gives a new one. */
  recover(id: string): Promise<Conversation>;
  /** The conversations whose id begins with `prefix`, ordered by the UTF-8 bytes of the id. */
  conversations(prefix?: string): Promise<readonly ConversationInfo[]>;
  /**
   * Deletes a conversation. Its sequences are not used again: who still holds it gets a
   * conflict, refreshes, and finds it empty. Deleting an absent one does nothing.
   */
  delete(id: string): Promise<void>;
  /** Reports on the storage. */
  health(): Promise<Health>;
  /** Asks the browser not to evict the data. Resolves with whether it agreed. */
  persist(): Promise<boolean>;
  /** Waits for the calls under way, then releases everything. Later calls reject with `closed`. */
  close(): Promise<void>;
}

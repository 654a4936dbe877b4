import { attend } from "./attendant.js";
import { Batch } from "./bridge/batch.js";
import { type Bridge, type Call, type EventKind, eventKinds as kinds, type Opened } from "./bridge/bridge.js";
import type { Instance } from "./bridge/instance.js";
import type { Posted } from "./bridge/posted.js";
import * as check from "./check.js";
import { Listeners } from "./listeners.js";
import { processOptions, Runner, type Settings, settingsOf } from "./runner.js";
import { decodeEvents } from "./state/events.js";
import { State } from "./state/state.js";
import { HoldfastError } from "./errors.js";
import type { Conversation, ConversationEvent, ConversationState, Decision, Handler, Message, ProcessOptions, RunnerPlace } from "./types.js";
import { encodeProperties, encodeValue } from "./values.js";

const maxStep = 2 ** 32 - 1;

/** The same as core.MaxMetadataBytes in Go. */
const maxMetadataBytes = 2 ** 14;

/** How many changes are kept as rows until the state is read. */
const mostUnread = 64;

/** What the methods of a conversation take, as they are declared. */
type Argument<Name extends keyof Conversation, N extends number> = Conversation[Name] extends (...args: infer A) => unknown ? NonNullable<A[N]> : never;

/** What a message is received with. */
type Delivery = Argument<"receiveMessage", 0>;

/** What works until it is stopped. */
interface Running {
  /** For the bridge. */
  readonly number: number;
  readonly ended: Promise<void>;
  /** Ends it as the end of the page does. */
  crash(): void;
}

/** The conversations of an instance that JavaScript still holds. */
export class Registry {
  readonly #open = new Map<number, WeakRef<LiveConversation>>();
  readonly #subscribed = new Set<LiveConversation>();
  readonly #runners = new Set<Running>();
  readonly #collected: FinalizationRegistry<number>;

  constructor(
    readonly instance: Instance,
    readonly database: string,
  ) {
    instance.onChange = (handle, expectedSeq, reset, rows) => this.#open.get(handle)?.deref()?.changed(expectedSeq, reset, rows);
    // Listeners must not wait for changes that cannot come.
    instance.onEnd.add(() => {
      for (const conversation of this.#subscribed) conversation.notify();
    });
    this.#collected = new FinalizationRegistry((handle) => {
      this.#open.delete(handle);
      instance.callIfOpen((bridge) => bridge.release(handle));
    });
  }

  /** Reads the state of a recovered conversation in parts, between which the page can work. */
  async state({ handle }: Opened): Promise<State> {
    for (let state = State.empty; ; await nextTask()) {
      const { rows, more } = this.instance.callNow((bridge) => bridge.rows(handle));
      state = state.after(rows, false);
      if (!more) return state;
    }
  }

  /** Recovers a conversation, with `turn`, see Bridge, for `processAll`. */
  async recover(id: string, turn = 0): Promise<LiveConversation> {
    const opened = await this.instance.call<Opened>((bridge, call) => bridge.recover(id, turn, call));
    return this.adopt(id, opened, await this.state(opened));
  }

  /** Makes the object for a conversation that the bridge has opened. */
  adopt(id: string, opened: Opened, state: State): LiveConversation {
    const conversation = new LiveConversation(this, id, opened, state);
    this.#open.set(opened.handle, new WeakRef(conversation));
    this.#collected.register(conversation, opened.handle);
    return conversation;
  }

  /** Keeps a conversation as long as it has listeners, also without another reference. */
  pin(conversation: LiveConversation, listened: boolean): void {
    if (listened) this.#subscribed.add(conversation);
    else this.#subscribed.delete(conversation);
  }

  /** Keeps a runner, and with it its conversation, until it has ended. */
  run(runner: Running): void {
    this.#runners.add(runner);
    void runner.ended.then(() => this.#runners.delete(runner));
  }

  /** Ends all as the end of the page does, see Instance. */
  crash(): void {
    for (const runner of this.#runners) runner.crash();
    this.instance.crash();
  }

  /** Stops the runners, then ends the instance. */
  close(): Promise<void> {
    return this.instance.close((bridge) => {
      for (const runner of this.#runners) bridge.stop(runner.number);
    });
  }
}

export class LiveConversation implements Conversation {
  readonly id: string;
  readonly snapshot: () => ConversationState;
  readonly #registry: Registry;
  readonly #handle: number;
  readonly #listeners = new Listeners();
  #state: State;
  /** Changes since then, which are not in `#state` yet. */
  #unread: { readonly rows: Uint8Array; readonly reset: boolean }[] = [];
  #expectedSeq: number;
  #notifying = false;
  /** Whether the program has said that the log can be followed no more, and then why. */
  #left = false;
  #failure: HoldfastError | undefined;
  /** The last batch, which takes more events until it is sent. */
  #batch: Batch | undefined;

  constructor(registry: Registry, id: string, opened: Opened, state: State) {
    this.id = id;
    this.#registry = registry;
    this.#handle = opened.handle;
    this.#expectedSeq = opened.expectedSeq;
    this.#state = state;
    this.snapshot = () => this.state;
  }

  get state(): State {
    this.#read();
    return this.#state;
  }

  get expectedSeq(): number {
    return this.#expectedSeq;
  }

  get metadata(): Readonly<Record<string, unknown>> {
    return this.state.metadata;
  }

  get closed(): HoldfastError | undefined {
    return this.#registry.instance.over ?? this.#failure;
  }

  /** Of an object with a name, Vue makes no proxy, in which private members would be missing. */
  get [Symbol.toStringTag](): string {
    return "Conversation";
  }

  async receiveMessage(message: Delivery): Promise<Decision> {
    const { id, body, receivedAt } = delivery("receiveMessage", check.options("receiveMessage", "message", message, deliveryOptions));
    const answer = await this.#call<number>((bridge, call) => bridge.receive(this.#handle, id, receivedAt, body, call));
    if (answer === -2) return { kind: "skip" };
    return answer === -1 ? { kind: "start" } : { kind: "resume", step: answer };
  }

  recordMessageReceived(message: Delivery): Promise<number> {
    return this.#record(kinds.messageReceived, () => {
      const { id, body, receivedAt } = delivery("recordMessageReceived", check.options("recordMessageReceived", "message", message, deliveryOptions));
      return [id, receivedAt, body];
    });
  }

  recordProcessingStarted(messageId: string): Promise<number> {
    return this.#record(kinds.processingStarted, () => [check.name("recordProcessingStarted", "messageId", messageId)]);
  }

  recordStepCompleted(messageId: string, step: number, output?: unknown): Promise<number> {
    const operation = "recordStepCompleted";
    return this.#record(kinds.stepCompleted, () => [
      check.name(operation, "messageId", messageId),
      check.integer(operation, "step", step, 0, maxStep),
      encodeValue(operation, "output", output),
    ]);
  }

  recordProcessingFinished(messageId: string): Promise<number> {
    return this.#record(kinds.processingFinished, () => [check.name("recordProcessingFinished", "messageId", messageId)]);
  }

  recordError(messageId: string, error: string): Promise<number> {
    return this.#record(kinds.errorOccurred, () => [check.name("recordError", "messageId", messageId), 0, check.text("recordError", "error", error)]);
  }

  /** Appends called within one task go together: a call for each would cost more than the event. */
  #record(kind: EventKind, read: () => readonly [id: string, number?: number, data?: Uint8Array | string | undefined]): Promise<number> {
    return new Promise((resolve, reject) => {
      const [id, number = 0, data] = read(); // what it throws rejects
      const event: Posted = { kind, id, number, data, resolve, reject };
      if (this.#batch?.add(event) === true) return;
      this.#batch = new Batch(event);
      const { instance } = this.#registry;
      instance.defer(this.#batch.sender(instance, this.#handle));
    });
  }

  async send(message: Argument<"send", 0>): Promise<string> {
    const given = check.options("send", "message", message, { ...deliveryOptions, onlyIf: true, after: true, interrupt: true });
    const { id, body, receivedAt } = delivery("send", { ...given, id: given.id ?? randomId() });
    const exists = onlyIfExists("send", given.onlyIf);
    const after = given.after === undefined || given.after === null ? "" : check.name("send", "after", given.after);
    if (given.after === "") throw check.refuse("send", "after must be the id of a message, or null for none");
    const interrupt = check.flag("send", "interrupt", given.interrupt ?? false);
    await this.#call<boolean>((bridge, call) => bridge.send(this.#handle, id, receivedAt, body, exists, after, given.after === null, interrupt, call));
    return id;
  }

  async note(type: string, data: unknown, options: Argument<"note", 2> = {}): Promise<string> {
    const given = check.options("note", "options", options, { id: true, ifLast: true, onlyIf: true });
    const exists = onlyIfExists("note", given.onlyIf);
    const kind = check.name("note", "type", type);
    const id = check.name("note", "id", given.id ?? randomId());
    const last = given.ifLast === null ? "" : given.ifLast === undefined ? undefined : check.name("note", "ifLast", given.ifLast);
    if (last === "" && given.ifLast !== null) throw check.refuse("note", "ifLast must be the id of a note, or null for none");
    const bytes = encodeValue("note", "data", data);
    await this.#call<boolean>((bridge, call) => bridge.note(this.#handle, kind, id, Date.now(), bytes, last, exists, call));
    return id;
  }

  async setMetadata(patch: object, options: Argument<"setMetadata", 1> = {}): Promise<void> {
    const given = check.options("setMetadata", "options", options, { onlyIf: true });
    const exists = onlyIfExists("setMetadata", given.onlyIf);
    const entries = encodeProperties("setMetadata", "patch", patch);
    let size = 0;
    for (const [key, value] of entries) size += value === undefined ? 0 : check.name("setMetadata", "a key", key).length + value.byteLength;
    if (size > maxMetadataBytes) throw check.refuse("setMetadata", `patch is larger than the limit of ${maxMetadataBytes} bytes; store large data as notes`, "too_large");
    await this.#call<null>((bridge, call) => bridge.setMetadata(this.#handle, entries.flat(), exists, call));
  }

  async ended(messageId: string): Promise<Message> {
    const id = check.name("ended", "messageId", messageId);
    if (!this.state.isReceived(id)) await this.refresh(); // it may be of another tab
    if (!this.state.isReceived(id)) throw check.refuse("ended", `no message ${JSON.stringify(id)} was received; send it first`);
    let unsubscribe = (): void => undefined;
    const ended = new Promise<Message>((resolve, reject) => {
      const look = (): void => {
        const message = this.state.message(id);
        if (message === undefined) reject(deleted("ended", this.id));
        else if (hasEnded(message)) resolve(message);
        else if (this.closed !== undefined) reject(this.closed);
      };
      unsubscribe = this.subscribe(look);
      look();
    });
    return ended.finally(unsubscribe);
  }

  process(handler: Handler, options?: ProcessOptions): () => Promise<void> {
    const runner = this.run(settingsOf(handler, check.options("process", "options", options ?? {}, processOptions)));
    return () => runner.stop();
  }

  /** Does that, with `turn`, see Bridge, only as long as there is something to do. */
  run(settings: Settings, turn = 0): Runner {
    const owner = { handle: this.#handle, instance: this.#registry.instance, conversation: this, state: this.snapshot as () => State };
    const runner = new Runner(owner, settings, turn);
    this.#registry.run(runner);
    const end = attend(settings.handler, { name: JSON.stringify([this.#registry.database, this.id]), pending: () => this.#pending(), subscribe: this.subscribe });
    if (end !== undefined) void runner.ended.then(end);
    return runner;
  }

  #pending(): number | undefined {
    try {
      return this.#registry.instance.callNow((bridge) => bridge.pending(this.#handle));
    } catch {
      return undefined; // all is over
    }
  }

  async runner(): Promise<RunnerPlace> {
    return this.#call((bridge, call) => bridge.runner(this.#handle, call));
  }

  async cancel(messageId: string): Promise<boolean> {
    const id = check.name("cancel", "messageId", messageId);
    return this.#call((bridge, call) => bridge.cancel(this.#handle, id, call));
  }

  async retry(messageId: string, options: Argument<"retry", 1> = {}): Promise<boolean> {
    const id = check.name("retry", "messageId", messageId);
    const { from } = check.options("retry", "options", options, { from: true });
    const step = from === undefined ? -1 : check.integer("retry", "from", from, 0, maxStep);
    return this.#call((bridge, call) => bridge.retry(this.#handle, id, step, call));
  }

  async answer(messageId: string, step: number, answer?: unknown): Promise<boolean> {
    const id = check.name("answer", "messageId", messageId);
    const index = check.integer("answer", "step", step, 0, maxStep);
    const value = encodeValue("answer", "the answer", answer);
    return this.#call((bridge, call) => bridge.answer(this.#handle, id, index, value, call));
  }

  async resolveStep(messageId: string, step: number, choice: "rerun" | "skip"): Promise<boolean> {
    const operation = "resolveStep";
    const id = check.name(operation, "messageId", messageId);
    const index = check.integer(operation, "step", step, 0, maxStep);
    const rerun = check.oneOf(operation, "choice", choice, ["rerun", "skip"]) === "rerun";
    return this.#call((bridge, call) => bridge.resolve(this.#handle, id, index, rerun, call));
  }

  async refresh(): Promise<number> {
    await this.#call<null>((bridge, call) => bridge.refresh(this.#handle, call));
    return this.#expectedSeq;
  }

  clone(): Conversation {
    return this.#registry.adopt(this.id, this.#registry.instance.callNow((bridge) => bridge.clone(this.#handle)), this.state);
  }

  async events(range: Argument<"events", 0> = {}): Promise<readonly ConversationEvent[]> {
    const { from = 0, limit = 1000 } = check.options("events", "range", range, { from: true, limit: true });
    const first = check.integer("events", "from", from, 0, Number.MAX_SAFE_INTEGER);
    const most = check.integer("events", "limit", limit, 0, 1_000_000);
    return decodeEvents(await this.#call<Uint8Array>((bridge, call) => bridge.events(this.#handle, first, most, call)));
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    if (typeof listener !== "function") throw check.refuse("subscribe", `the listener must be a function, not ${check.kindOf(listener)}`);
    const remove = this.#listeners.add(listener); // before the call: it is to hear of what that finds
    try {
      this.#registry.instance.callNow((bridge) => bridge.follow(this.#handle));
    } catch (error) {
      remove();
      throw error;
    }
    this.#registry.pin(this, true);
    return () => {
      if (!remove() || this.#listeners.size > 0) return;
      this.#registry.pin(this, false);
      this.#failure = undefined; // the next listener finds out by itself
      this.#registry.instance.callIfOpen((bridge) => bridge.unfollow(this.#handle));
    };
  };

  /** Called by the bridge after a commit, before anything reads the state. */
  changed(expectedSeq: number, reset: boolean, rows: Uint8Array): void {
    this.#expectedSeq = expectedSeq;
    if (reset || rows.byteLength > 0) this.#unread.push({ rows, reset });
    else this.#left = true; // it can follow no more, and nothing has changed
    if (this.#unread.length > mostUnread) this.#read();
    this.notify();
  }

  #read(): void {
    for (const { rows, reset } of this.#unread.splice(0)) this.#state = this.#state.after(rows, reset);
  }

  notify(): void {
    if (this.#notifying || this.#listeners.size === 0) return;
    this.#notifying = true;
    queueMicrotask(() => {
      this.#notifying = false;
      if (this.#left) this.#askWhy();
      this.#listeners.call();
    });
  }

  #askWhy(): void {
    this.#left = false;
    try {
      this.#registry.instance.callNow((bridge) => bridge.follow(this.#handle));
    } catch (error) {
      this.#failure = error as HoldfastError;
    }
  }

  #call<T>(start: (bridge: Bridge, call: Call<T>) => void): Promise<T> {
    return this.#registry.instance.call<T>(start);
  }
}

function hasEnded({ status }: Message): boolean {
  return status === "finished" || status === "failed" || status === "cancelled";
}

function deleted(operation: string, stream: string): HoldfastError {
  return new HoldfastError("cancelled", `holdfast: ${operation} ${JSON.stringify(stream)}: cancelled: the conversation was deleted`, { operation, stream, outcome: "not_written" });
}

/** Waits for the next task. A timer would take a second in a hidden page. */
export function nextTask(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}

const deliveryOptions = { id: true, body: true, receivedAt: true } as const;

function delivery(operation: string, { id, body, receivedAt = Date.now() }: Readonly<Record<keyof Delivery, unknown>>): { id: string; body: Uint8Array | undefined; receivedAt: number } {
  return {
    id: check.name(operation, "id", id),
    body: encodeValue(operation, "body", body),
    receivedAt: check.integer(operation, "receivedAt", receivedAt, 0, Number.MAX_SAFE_INTEGER),
  };
}

function onlyIfExists(operation: string, onlyIf: unknown): boolean {
  return onlyIf !== undefined && check.oneOf(operation, "onlyIf", onlyIf, ["exists"]) === "exists";
}

/** Returns a random UUID. Only secure contexts have `crypto.randomUUID`. */
function randomId(): string {
  if (typeof crypto.randomUUID === "function") return crypto.randomUUID();
  const hex = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte, i) => {
    const bits = i === 6 ? (byte & 0x0f) | 0x40 : i === 8 ? (byte & 0x3f) | 0x80 : byte; // RFC 9562, section 5.4
    return bits.toString(16).padStart(2, "0");
  }).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

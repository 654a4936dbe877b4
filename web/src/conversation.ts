import type { Bridge, EventKind, Opened } from "./bridge.js";
import * as check from "./check.js";
import { decodeEvents } from "./events.js";
import type { Instance } from "./instance.js";
import { State } from "./state.js";
import type { Conversation, ConversationEvent, ConversationState, Decision, Storable } from "./types.js";
import { encodeValue } from "./values.js";

const maxStep = 2 ** 32 - 1;

type Delivery = { readonly id: string; readonly body?: Storable; readonly receivedAt?: number };

/** The conversations of one instance that JavaScript still holds, by handle. */
export class Registry {
  readonly #open = new Map<number, WeakRef<LiveConversation>>();
  readonly #subscribed = new Set<LiveConversation>();
  readonly #collected: FinalizationRegistry<number>;

  constructor(readonly instance: Instance) {
    this.#collected = new FinalizationRegistry((handle) => {
      this.#open.delete(handle);
      try {
        instance.callNow((bridge) => bridge.release(handle));
      } catch {
        // The instance is over, and its handles with it.
      }
    });
  }

  /** Gives JavaScript a conversation that the bridge has opened. */
  adopt(id: string, opened: Opened): Conversation {
    const conversation = new LiveConversation(this, id, opened);
    this.#open.set(opened.handle, new WeakRef(conversation));
    this.#collected.register(conversation, opened.handle);
    return conversation;
  }

  changed(handle: number, expectedSeq: number, reset: boolean, messages: Uint8Array): void {
    this.#open.get(handle)?.deref()?.changed(expectedSeq, reset, messages);
  }

  /** A conversation that has listeners must not be collected with its last other reference. */
  pin(conversation: LiveConversation, listened: boolean): void {
    if (listened) this.#subscribed.add(conversation);
    else this.#subscribed.delete(conversation);
  }
}

class LiveConversation implements Conversation {
  readonly id: string;
  readonly snapshot: () => ConversationState;
  readonly #registry: Registry;
  readonly #handle: number;
  readonly #listeners = new Map<symbol, () => void>();
  #state: State;
  #expectedSeq: number;
  #notifying = false;

  constructor(registry: Registry, id: string, opened: Opened) {
    this.id = id;
    this.#registry = registry;
    this.#handle = opened.handle;
    this.#expectedSeq = opened.expectedSeq;
    this.#state = State.empty.after(opened.state, false);
    this.snapshot = () => this.#state;
  }

  get state(): ConversationState {
    return this.#state;
  }

  get expectedSeq(): number {
    return this.#expectedSeq;
  }

  async receiveMessage(message: Delivery): Promise<Decision> {
    const { id, body, receivedAt } = delivery("receiveMessage", message);
    const answer = await this.#call<number>((bridge, done) => bridge.receive(this.#handle, id, receivedAt, body, done));
    if (answer === -2) return { kind: "skip" };
    return answer === -1 ? { kind: "start" } : { kind: "resume", step: answer };
  }

  async recordMessageReceived(message: Delivery): Promise<number> {
    const { id, body, receivedAt } = delivery("recordMessageReceived", message);
    return this.#record("message_received", id, receivedAt, body);
  }

  async recordProcessingStarted(messageId: string): Promise<number> {
    return this.#record("processing_started", check.text("recordProcessingStarted", "messageId", messageId));
  }

  async recordStepCompleted(messageId: string, step: number, output?: Storable): Promise<number> {
    const operation = "recordStepCompleted";
    const id = check.text(operation, "messageId", messageId);
    const index = check.integer(operation, "step", step, 0, maxStep);
    return this.#record("step_completed", id, index, encodeValue(operation, "output", output));
  }

  async recordProcessingFinished(messageId: string): Promise<number> {
    return this.#record("processing_finished", check.text("recordProcessingFinished", "messageId", messageId));
  }

  async recordError(messageId: string, error: string): Promise<number> {
    const id = check.text("recordError", "messageId", messageId);
    return this.#record("error_occurred", id, 0, undefined, check.text("recordError", "error", error));
  }

  #record(kind: EventKind, id: string, number = 0, data?: Uint8Array, text = ""): Promise<number> {
    return this.#call((bridge, done) => bridge.record(this.#handle, kind, id, number, data, text, done));
  }

  async refresh(): Promise<number> {
    await this.#call<null>((bridge, done) => bridge.refresh(this.#handle, done));
    return this.#expectedSeq;
  }

  clone(): Conversation {
    return this.#registry.adopt(this.id, this.#registry.instance.callNow((bridge) => bridge.clone(this.#handle)));
  }

  async events(range: { readonly from?: number; readonly limit?: number } = {}): Promise<readonly ConversationEvent[]> {
    const { from = 0, limit = 1000 } = check.record("events", "range", range);
    const first = check.integer("events", "from", from, 0, Number.MAX_SAFE_INTEGER);
    const most = check.integer("events", "limit", limit, 0, 1_000_000);
    return decodeEvents(await this.#call<Uint8Array>((bridge, done) => bridge.events(this.#handle, first, most, done)));
  }

  subscribe(listener: () => void): () => void {
    if (typeof listener !== "function") throw check.refuse("subscribe", `the listener must be a function, not ${check.kindOf(listener)}`);
    if (this.#listeners.size === 0) {
      this.#registry.instance.callNow((bridge) => bridge.follow(this.#handle));
      this.#registry.pin(this, true);
      // What was appended before following began was not announced to it. A
      // failure is met by the next call that the user makes.
      this.refresh().catch(() => undefined);
    }
    const key = Symbol("listener");
    this.#listeners.set(key, listener);
    return () => {
      if (!this.#listeners.delete(key) || this.#listeners.size > 0) return;
      this.#registry.pin(this, false);
      try {
        this.#registry.instance.callNow((bridge) => bridge.unfollow(this.#handle));
      } catch {
        // The instance is over and follows nothing any more.
      }
    };
  }

  /** Called by the bridge after a commit, before the call that caused it resolves. */
  changed(expectedSeq: number, reset: boolean, messages: Uint8Array): void {
    this.#expectedSeq = expectedSeq;
    this.#state = this.#state.after(messages, reset);
    if (this.#notifying || this.#listeners.size === 0) return;
    this.#notifying = true;
    queueMicrotask(() => {
      this.#notifying = false;
      for (const listener of [...this.#listeners.values()]) {
        try {
          listener();
        } catch (error) {
          reportError(error); // the listener's own fault must not keep the others from hearing
        }
      }
    });
  }

  #call<T>(start: (bridge: Bridge, done: (error: Parameters<Parameters<Bridge["close"]>[0]>[0], value: T) => void) => void): Promise<T> {
    return this.#registry.instance.call<T>(start);
  }
}

function delivery(operation: string, message: unknown): { id: string; body: Uint8Array | undefined; receivedAt: number } {
  const { id, body, receivedAt = Date.now() } = check.record(operation, "message", message);
  return {
    id: check.text(operation, "id", id),
    body: body === undefined ? undefined : encodeValue(operation, "body", body),
    receivedAt: check.integer(operation, "receivedAt", receivedAt, 0, Number.MAX_SAFE_INTEGER),
  };
}

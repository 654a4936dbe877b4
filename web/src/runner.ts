import { type Call, policies, type Retry } from "./bridge/bridge.js";
import { errorOf, type Failure } from "./bridge/failure.js";
import type { Instance } from "./bridge/instance.js";
import * as check from "./check.js";
import { HoldfastError, TerminalError } from "./errors.js";
import type { Handler, Message, ProcessOptions, RunStep, StepContext, StepOptions, Streamed } from "./types.js";
import { decodeValue, encodedArray, encodeValue } from "./values.js";

// The runner is in Go, see core/runner. It calls the functions of the application through here. What
// they throw stays here.

const maxTime = 86_400_000;

/** The greatest length of an error's text, in characters. More is of no use to people. */
const maxErrorText = 8_000;

/** What a runner needs of its conversation. */
export interface Owner {
  readonly handle: number;
  readonly instance: Instance;
  message(id: string): Message | undefined;
}

/** A call of `conversation.process`. */
export class Runner {
  /** Resolves when the runner has ended, for whatever reason. */
  readonly ended: Promise<void>;
  /** Its number for the bridge. */
  readonly number: number;
  readonly #owner: Owner;
  readonly #handler: Handler;
  readonly #onError: (error: HoldfastError) => void;
  readonly #attempts = new Map<number, Attempt>();

  static #last = 0;

  constructor(owner: Owner, handler: unknown, options: ProcessOptions | undefined) {
    const operation = "process";
    if (typeof handler !== "function") throw check.refuse(operation, `the handler must be a function, not ${check.kindOf(handler)}`);
    const given = check.fields(operation, "options", options ?? {}, ["maxAttempts", "backoff", "timeout", "maxStarts", "onError", "signal"]);
    const retry = retryOptions(operation, given);
    const maxStarts = given.maxStarts === undefined ? 0 : check.integer(operation, "maxStarts", given.maxStarts, 1, 1000);
    const { onError = reportError, signal } = given;
    if (typeof onError !== "function") throw check.refuse(operation, `onError must be a function, not ${check.kindOf(onError)}`);
    if (signal !== undefined && !isSignal(signal)) throw check.refuse(operation, "signal must be an AbortSignal");

    this.#owner = owner;
    this.number = ++Runner.#last;
    this.#handler = handler as Handler;
    this.#onError = onError as (error: HoldfastError) => void;
    owner.instance.callNow((bridge) => bridge.health()); // throws if the store is no longer open
    const running = owner.instance.call<null>((bridge, call) =>
      bridge.process(
        owner.handle,
        this.number,
        ...retry,
        maxStarts,
        (attempt, id) => this.#begin(attempt, id),
        (attempt, reason) => this.#abort(attempt, errorOf(reason)),
        (failure) => this.#report(errorOf(failure)),
        call,
      ),
    );
    this.ended = running.then(
      () => undefined,
      (error: unknown) => {
        for (const attempt of this.#attempts.keys()) this.#abort(attempt, error);
        this.#report(error as HoldfastError);
      },
    );
    const stop = (): void => void this.stop();
    if (signal?.aborted === true) stop();
    else signal?.addEventListener("abort", stop, { once: true });
    void this.ended.then(() => signal?.removeEventListener("abort", stop));
  }

  stop(): Promise<void> {
    this.#owner.instance.callIfOpen((bridge) => bridge.stop(this.number));
    return this.ended;
  }

  #begin(number: number, id: string): void {
    const message = this.#owner.message(id);
    if (message === undefined) return; // deleted at this moment; the attempt is about to be aborted
    const attempt = new Attempt(this.#owner.instance, number);
    this.#attempts.set(number, attempt);
    // After the callback: the application may run for long, or throw.
    queueMicrotask(() => {
      void attempt.run(this.#handler, message).finally(() => this.#attempts.delete(number));
    });
  }

  #abort(number: number, reason: unknown): void {
    this.#attempts.get(number)?.abort(reason);
    this.#attempts.delete(number);
  }

  #report(error: HoldfastError): void {
    queueMicrotask(() => this.#onError(error));
  }
}

/** A call of the handler for a message. */
class Attempt {
  readonly #instance: Instance;
  readonly #number: number;
  readonly #controller = new AbortController();
  #returned = false;

  constructor(instance: Instance, number: number) {
    this.#instance = instance;
    this.#number = number;
  }

  abort(reason: unknown): void {
    this.#controller.abort(reason);
  }

  async run(handler: Handler, message: Message): Promise<void> {
    const step = Object.assign(
      <T>(name: string, fn: (context: StepContext) => T | PromiseLike<T>, options?: StepOptions): Promise<T> =>
        this.#step(name, options, async (context) => encodeValue("step", "the output", await fn(context)), false, fn) as Promise<T>,
      {
        stream: (name: string, fn: (context: StepContext) => Streamed<unknown>, options?: StepOptions): Promise<unknown> =>
          this.#step(name, options, (context, emit) => streamed(fn, context, emit), true, fn),
      },
    ) as RunStep;
    let result: Uint8Array | undefined;
    let error: string | undefined;
    if (this.#controller.signal.aborted) return;
    try {
      result = encodeValue("process", "the result", await handler({ message, step, signal: this.#controller.signal }));
    } catch (thrown) {
      error = textOf(thrown);
    }
    this.#returned = true;
    if (this.#controller.signal.aborted) return;
    this.#instance.callIfOpen((bridge) => bridge.handled(this.#number, result, error));
  }

  /** Runs a step whose function is `work`; `fn` is what the application gave. */
  async #step(name: unknown, options: StepOptions | undefined, work: Work, streams: boolean, fn: unknown): Promise<unknown> {
    const operation = "step";
    const named = check.name(operation, "name", name);
    if (typeof fn !== "function") throw check.refuse(operation, `the function of ${named} must be a function, not ${check.kindOf(fn)}`);
    const given = check.fields(operation, "options", options ?? {}, ["maxAttempts", "backoff", "timeout", "sideEffect"]);
    const retry = retryOptions(operation, given);
    const policy = given.sideEffect === undefined ? 0 : policies[check.oneOf(operation, "sideEffect", given.sideEffect, ["rerun", "skip", "ask"])];
    const { signal } = this.#controller;
    if (signal.aborted) throw signal.reason;
    if (this.#returned) throw check.refuse(operation, `the handler has returned; await ${named} in it`);

    let thrown: unknown;
    const calls = new Map<number, AbortController>();
    const run = (call: number, attempt: number, idempotencyKey: string, uncertain: boolean): void => {
      const controller = new AbortController();
      calls.set(call, controller);
      const emit = (part: Uint8Array): Promise<null> => this.#instance.call<null>((bridge, emitting) => bridge.emit(call, part, emitting));
      const answer = async (): Promise<void> => {
        try {
          if (controller.signal.aborted) return;
          const output = await work({ signal: controller.signal, idempotencyKey, attempt, uncertain }, emit);
          if (!controller.signal.aborted) this.#instance.callIfOpen((bridge) => bridge.reply(call, output));
        } catch (error) {
          if (controller.signal.aborted) return;
          thrown = error;
          this.#instance.callIfOpen((bridge) => bridge.reply(call, undefined, textOf(error), isTerminal(error)));
        } finally {
          calls.delete(call);
        }
      };
      queueMicrotask(() => void answer());
    };
    const abort = (call: number, reason?: Failure): void => {
      const timeout = new DOMException(`step ${named} took longer than its timeout`, "TimeoutError");
      const cause = reason === undefined ? (thrown = timeout) : signal.aborted ? signal.reason : errorOf(reason);
      calls.get(call)?.abort(cause);
    };
    try {
      const output = await this.#instance.call((bridge, call: Call<Uint8Array | false>) =>
        bridge.step(this.#number, named, ...retry, policy, streams, run, abort, call),
      );
      if (output === false) throw thrown;
      return decodeValue(output);
    } catch (error) {
      // Wherever it shows, the reason why the attempt has ended is the same object.
      throw signal.aborted ? signal.reason : error;
    }
  }
}

/** The function of a step, as the runner calls it. */
type Work = (context: StepContext, emit: (part: Uint8Array) => Promise<unknown>) => Promise<Uint8Array | undefined>;

/** Emits the chunks as they come, and returns all of them. */
async function streamed(
  fn: (context: StepContext) => Streamed<unknown>,
  context: StepContext,
  emit: (part: Uint8Array) => Promise<unknown>,
): Promise<Uint8Array | undefined> {
  const source = iterable(await fn(context));
  const parts: Uint8Array[] = [];
  let text: string | undefined = "";
  let size = 0;
  for await (const chunk of source) {
    if (context.signal.aborted) throw context.signal.reason;
    const part = encodeValue("step", "a chunk", chunk);
    if (part === undefined) throw check.refuse("step", "a chunk must not be undefined");
    if ((size += part.byteLength) > check.maxPayloadBytes) throw check.refuseSize("step", "the output");
    parts.push(part);
    text = typeof chunk === "string" && text !== undefined ? text + chunk : undefined;
    await emit(part);
  }
  return text === undefined ? encodedArray(parts) : encodeValue("step", "the output", text);
}

function iterable(source: unknown): AsyncIterable<unknown> {
  if (typeof source === "object" && source !== null) {
    if (Symbol.asyncIterator in source) return source as AsyncIterable<unknown>;
    if (source instanceof ReadableStream) return chunksOf(source);
  }
  throw new TerminalError("the function of a streaming step must return an async iterable, such as that of an async generator");
}

/** Does what https://streams.spec.whatwg.org/#rs-asynciterator defines and WebKit lacks. */
async function* chunksOf(stream: ReadableStream<unknown>): AsyncGenerator {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel(); // does nothing unless the loop was left early
    reader.releaseLock();
  }
}

function retryOptions(operation: string, given: Readonly<Record<"maxAttempts" | "backoff" | "timeout", unknown>>): Retry {
  const optional = (what: string, value: unknown, max: number): number => (value === undefined ? 0 : check.integer(operation, what, value, 1, max));
  const backoff = check.fields(operation, "backoff", given.backoff ?? {}, ["initial", "max"]);
  return [
    optional("maxAttempts", given.maxAttempts, 1000),
    optional("backoff.initial", backoff.initial, maxTime),
    optional("backoff.max", backoff.max, maxTime),
    optional("timeout", given.timeout, maxTime),
  ];
}

// To look at a value of the application may throw: it may be a proxy.

function isSignal(value: unknown): value is AbortSignal {
  try {
    return value instanceof AbortSignal && typeof value.aborted === "boolean";
  } catch {
    return false;
  }
}

/** Whether a step's function that has thrown this must not be called again. */
function isTerminal(thrown: unknown): boolean {
  try {
    return thrown instanceof TerminalError || (thrown instanceof HoldfastError && thrown.outcome === "permanent");
  } catch {
    return false;
  }
}

/** Returns the text of what was thrown, in a form that can be stored. */
function textOf(thrown: unknown): string {
  let text: string;
  try {
    text = String(thrown);
  } catch {
    text = "something was thrown that has no text";
  }
  return text.slice(0, maxErrorText).replace(/\p{Surrogate}/gu, "\u{fffd}");
}

import * as check from "./check.js";
import { TerminalError } from "./errors.js";
import type { StepContext, Streamed } from "./types.js";
import { encodedArray, encodeOutput } from "./values.js";

/**
 * Hands on the chunks of a streaming step as they come, and returns all of them. `enter` is to call what the
 * application gave: a generator runs when it is asked for a chunk.
 */
export async function streamed(
  fn: (context: StepContext) => Streamed<unknown>,
  context: StepContext,
  emit: (part: Uint8Array) => Promise<unknown>,
  resume: boolean,
  enter: <T>(call: () => T) => T,
): Promise<Uint8Array | undefined> {
  const source = entered(iterable(await fn(context)), enter);
  const parts: Uint8Array[] = [];
  const outgoing = new Outgoing(emit);
  let text: string | undefined = "";
  let size = 0;
  const keep = (chunk: unknown): Uint8Array => {
    const part = encodeOutput("step", "a chunk", chunk) as Uint8Array; // only undefined is no bytes
    if ((size += part.byteLength) > check.maxPayloadBytes) throw check.refuseSize("step", "the output");
    parts.push(part);
    text = typeof chunk === "string" && text !== undefined ? text + chunk : undefined;
    return part;
  };
  if (resume) for (const chunk of context.chunks) keep(chunk);
  const pass = async (chunk: unknown): Promise<void> => {
    if (outgoing.add(keep(chunk))) await outgoing.flush();
  };
  let half = ""; // of a surrogate pair, at the end of the last chunk
  for await (const chunk of source) {
    if (context.signal.aborted) throw context.signal.reason;
    if (chunk === undefined) continue; // as of a model's chunk without text
    let whole = chunk;
    if (typeof chunk === "string") {
      const joined = half + chunk;
      half = /[\ud800-\udbff]$/.exec(joined)?.[0] ?? "";
      whole = joined.slice(0, joined.length - half.length);
      if (whole === "" && chunk !== "") continue;
    } else if (half !== "") {
      await pass(half);
      half = "";
    }
    await pass(whole);
  }
  if (half !== "") await pass(half);
  await outgoing.flush();
  return text === undefined ? encodedArray(parts) : encodeOutput("step", "the output", text);
}

/** This many bytes of chunks do not wait for more. */
const mostTogether = 2 ** 16;

/** Chunks on their way into the program: those of one task cross together. */
class Outgoing {
  readonly #emit: (part: Uint8Array) => Promise<unknown>;
  #parts: Uint8Array[] = [];
  #bytes = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Resolves when the program has taken all that was sent. It takes no more while it has much. */
  #taken: Promise<unknown> = Promise.resolve();

  constructor(emit: (part: Uint8Array) => Promise<unknown>) {
    this.#emit = emit;
  }

  /** Returns whether it is time to flush. */
  add(part: Uint8Array): boolean {
    if (this.#bytes > 0 && this.#bytes + part.byteLength > mostTogether) void this.flush();
    this.#parts.push(part);
    this.#timer ??= setTimeout(() => void this.flush());
    return (this.#bytes += part.byteLength) >= mostTogether;
  }

  flush(): Promise<unknown> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#parts.length > 0) {
      const part = concatenated(this.#parts, this.#bytes);
      [this.#parts, this.#bytes] = [[], 0];
      this.#taken = this.#taken.then(() => this.#emit(part));
      this.#taken.catch(() => undefined); // the next flush reports it
    }
    return this.#taken;
  }
}

function concatenated(parts: readonly Uint8Array[], bytes: number): Uint8Array {
  const [first] = parts;
  if (parts.length === 1 && first !== undefined) return first;
  const all = new Uint8Array(bytes);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.byteLength;
  }
  return all;
}

/** Calls for the next item of a source by `enter`. */
function entered(source: AsyncIterable<unknown>, enter: <T>(call: () => T) => T): AsyncIterable<unknown> {
  return {
    [Symbol.asyncIterator]: () => {
      const iterator = enter(() => source[Symbol.asyncIterator]());
      return {
        next: () => enter(() => iterator.next()),
        return: async () => (await iterator.return?.()) ?? { done: true, value: undefined },
      };
    },
  };
}

function iterable(source: unknown): AsyncIterable<unknown> {
  if (typeof source === "object" && source !== null) {
    if (Symbol.asyncIterator in source) return source as AsyncIterable<unknown>;
    if (source instanceof ReadableStream) return chunksOf(source);
  }
  throw new TerminalError("the function of a streaming step must return an async iterable, such as that of an async generator");
}

/** Iterates over a stream as the standard says (https://streams.spec.whatwg.org/#rs-asynciterator), which WebKit lacks. */
async function* chunksOf(stream: ReadableStream<unknown>): AsyncGenerator {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel(); // nothing is left, unless it was broken off
    reader.releaseLock();
  }
}

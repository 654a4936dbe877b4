import type { Bridge, Done, Failure, Result } from "./bridge.js";
import { type ErrorDetails, HoldfastError, SequenceConflictError } from "./errors.js";
import { defineGo, type Go } from "./go.js";

/** A call into the Go program that has not been answered. */
type Pending = (error: HoldfastError) => void;

/**
 * A running Go program. It can die: out of memory, out of stack, or by a defect.
 * Then everything pending and everything later rejects with `instance_lost`;
 * what was committed is in the database.
 */
export class Instance {
  readonly #go: Go;
  readonly #pending = new Set<Pending>();
  #bridge: Bridge | undefined;
  #over: HoldfastError | undefined;

  private constructor(go: Go) {
    this.#go = go;
    // Every entry into the program from an event or a timer goes through here.
    const resume = go._resume.bind(go);
    go._resume = () => {
      if (this.#over !== undefined) return this.#silence();
      try {
        resume();
      } catch (cause) {
        this.#end(lost(cause));
      }
    };
  }

  /** Starts the program. */
  static async start(module: WebAssembly.Module): Promise<Instance> {
    const host: Host = {};
    const go = new (defineGo(overlay(host), console_))();
    const instance = new Instance(go);
    host.holdfast = (bridge) => {
      instance.#bridge = bridge;
    };
    try {
      const running = go.run(await WebAssembly.instantiate(module, go.importObject));
      running.then(
        () => instance.#end(lost(new Error("the program has ended"))),
        (cause: unknown) => instance.#end(lost(cause)),
      );
    } catch (cause) {
      throw new HoldfastError("invalid_argument", "holdfast: open: invalid_argument: the option wasm is not the WebAssembly of this release", { operation: "open", cause });
    }
    if (instance.#bridge === undefined) throw instance.#over ?? lost(new Error("the program did not start"));
    return instance;
  }

  /** Calls a function that works in the background. */
  call<T>(start: (bridge: Bridge, done: Done<T>) => void): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const bridge = this.#living();
      this.#pending.add(reject);
      this.#guard(() =>
        start(bridge, (error, value) => {
          if (!this.#pending.delete(reject)) return;
          if (error === undefined) return resolve(value);
          reject(errorOf(error));
          if (error.code === "instance_lost") this.#end(lost(errorOf(error)));
        }),
      );
    });
  }

  /** Calls a function that works at once. */
  callNow<T>(work: (bridge: Bridge) => Result<T>): T {
    const bridge = this.#living();
    const result = this.#guard(() => work(bridge));
    if (result === undefined) throw this.#over ?? lost(undefined);
    if (result.error === undefined) return result.value;
    const error = errorOf(result.error);
    if (error.code === "instance_lost") this.#end(error);
    throw error;
  }

  /** Marks the end that the user asked for: from now on calls reject with `closed`. */
  close(): void {
    this.#end(new HoldfastError("closed", "holdfast: closed: the store was closed; open it again"));
  }

  #living(): Bridge {
    if (this.#over !== undefined) throw this.#over;
    if (this.#bridge === undefined) throw lost(undefined);
    return this.#bridge;
  }

  /** Runs an entry into the program; an exception from there means that it has died. */
  #guard<T>(enter: () => T): T | undefined {
    try {
      return enter();
    } catch (cause) {
      this.#end(lost(cause));
      return undefined;
    }
  }

  #end(reason: HoldfastError): void {
    if (this.#over !== undefined) return;
    this.#over = reason;
    this.#silence();
    for (const reject of this.#pending) reject(reason);
    this.#pending.clear();
  }

  /** Stops the timers of a program that is over: each would wait for it for ever. */
  #silence(): void {
    for (const timer of this.#go._scheduledTimeouts.values()) clearTimeout(timer);
    this.#go._scheduledTimeouts.clear();
  }
}

function lost(cause: unknown): HoldfastError {
  return new HoldfastError(
    "instance_lost",
    "holdfast: instance_lost: the WebAssembly instance has died; what was committed is stored, so open again and recover",
    { outcome: "unknown", cause },
  );
}

/** Makes an Error of what the Go program says. */
export function errorOf(failure: Failure): HoldfastError {
  const { code, message, outcome, operation, stream, cause } = failure;
  const details: ErrorDetails = { outcome, operation, stream, cause: cause === undefined ? undefined : new Error(cause) };
  if (failure.expected !== undefined && failure.actual !== undefined) {
    return new SequenceConflictError(message, failure.expected, failure.actual, details);
  }
  return new HoldfastError(code, message, details);
}

interface Host {
  holdfast?: (bridge: Bridge) => void;
}

/**
 * The global object as the Go program sees it: what it sets stays in `own`, so
 * that `Go`, `fs`, `process` and `path` do not appear in the page, where libraries
 * would take it for Node.
 */
function overlay(own: object): typeof globalThis {
  return new Proxy(own, {
    get: (_, key) => (key in own ? Reflect.get(own, key) : Reflect.get(globalThis, key)) as unknown,
    has: (_, key) => key in own || key in globalThis,
  }) as typeof globalThis;
}

/** The file system of the Go program: what it prints, which is why it died, goes to the console. */
const console_ = {
  constants: { O_WRONLY: -1, O_RDWR: -1, O_CREAT: -1, O_TRUNC: -1, O_APPEND: -1, O_EXCL: -1, O_DIRECTORY: -1 },
  writeSync(_fd: number, bytes: Uint8Array): number {
    const line = new TextDecoder().decode(bytes).trimEnd();
    if (line !== "") console.error(line);
    return bytes.length;
  },
};

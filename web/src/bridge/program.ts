import { HoldfastError } from "../errors.js";
import { refuse } from "../check.js";
import { foreign } from "../load.js";
import type { Appender } from "./appender.js";
import type { Host } from "./bridge.js";
import { lost } from "./failure.js";
import { build, defineGo, type Go } from "./go.js";
import type { pack } from "./pack.js";

/** What wasm/conversation_js.go, wasm/runner_js.go and idbstore/appender_js.go export. A call costs almost nothing. */
export interface Exports {
  readonly mem: WebAssembly.Memory;
  /** Records the event in the inbox, which also has the number of the call, see inbox.ts. */
  holdfastRecord(): void;
  /**
   * Calls the step in the inbox. Returns the number of the call of its function, which is to be
   * called, -1 if its outcome is stored, or 0 if a goroutine does what there is to do. The outbox
   * has its path.
   */
  holdfastStep(): number;
  /** Ends that call, with so many bytes of the inbox as the output, or -1 for none. */
  holdfastReply(id: number, length: number): void;
  /** Ends an attempt with such a result. */
  holdfastHandled(attempt: number, length: number): void;
  /** Reports that an append has committed. */
  holdfastCommitted(id: number): void;
}

/** Calls the function of the program that has this place among the names that it offers. */
export type Enter = (place: number, ...args: unknown[]) => unknown;

/** The globals of the Go program, besides those of the page. */
export interface Globals {
  holdfastAppender?: Appender;
  readonly holdfastPack: typeof pack;
  /** The functions that let go of the Web Locks which the program holds, see idbstore/locks_js.go. */
  readonly holdfastHeld: Set<() => void>;
  /** The transactions of the program that write, see idbstore/engine_js.go. */
  readonly holdfastWriting: Set<IDBTransaction>;
  holdfast?: (enter: Enter, names: string, inbox: number, size: number, outbox: number) => Host;
}

/** Makes a Go program whose globals are those of the page and `host`. */
export function newGo(host: Globals): Go {
  try {
    return new (defineGo(overlay(host), console_, read))();
  } catch (cause) {
    throw refuse("open", "this page or worker lacks what a program needs", "invalid_argument", cause);
  }
}

/**
 * The global object of the Go program. What the program sets stays in `own`: if `Go`, `fs`,
 * `process` and `path` appeared in the page, libraries would take it for Node.
 */
function overlay(own: object): typeof globalThis {
  return new Proxy(own, {
    get: (_, key) => (key in own ? Reflect.get(own, key) : read(globalThis, key)),
    has: (_, key) => key in own || key in globalThis,
  }) as typeof globalThis;
}

/**
 * Reads a property for the Go program, which an exception would end. The getters of a page may throw: what the browser denies
 * to this page, such as localStorage, and what an extension has put in its place. That is then not there.
 */
function read(object: object, key: PropertyKey): unknown {
  try {
    return Reflect.get(object, key);
  } catch (thrown) {
    // What a request has brought must never seem to be nothing, and without room on the stack nothing is known.
    if (key === "result" || thrown instanceof RangeError || (thrown as Error | undefined)?.name === "InternalError") throw thrown;
    return undefined;
  }
}

/** The file system of the Go program. What that prints, such as a panic, goes to the console. */
const console_ = {
  constants: { O_WRONLY: -1, O_RDWR: -1, O_CREAT: -1, O_TRUNC: -1, O_APPEND: -1, O_EXCL: -1, O_DIRECTORY: -1 },
  writeSync(_fd: number, bytes: Uint8Array): number {
    const line = new TextDecoder().decode(bytes).trimEnd();
    if (line !== "") console.error(line);
    return bytes.length;
  },
};

const otherBuild =
  "the module is not the WebAssembly of this release of Holdfast: a cache or a service worker may have kept holdfast.wasm, or the JavaScript, " +
  "of another build; reload the page, and deploy both together";

/** Refuses a module that is not ours, or of another build, whose calls would mean something else. */
export async function instantiate(module: WebAssembly.Module, imports: WebAssembly.Imports): Promise<WebAssembly.Instance> {
  let program: WebAssembly.Instance;
  try {
    const [built] = WebAssembly.Module.customSections(module, "holdfast"); // refuses a proxy with a TypeError
    if (new TextDecoder().decode(built) !== build) throw refuse("open", otherBuild);
    program = await WebAssembly.instantiate(module, imports);
  } catch (cause) {
    // WebKit checks the Content-Security-Policy here, not when it compiles.
    if (cause instanceof HoldfastError) throw cause;
    const refused = cause instanceof WebAssembly.LinkError || cause instanceof WebAssembly.CompileError || cause instanceof TypeError;
    throw refused ? foreign("the module", cause) : lost(cause);
  }
  if (!("run" in program.exports && "resume" in program.exports)) throw foreign("the module");
  return program;
}

/**
 * Handles an event of the database for a program that is over. Without that a new database would be
 * made without its object stores, and an open one would keep others from deleting it.
 */
export function releaseDatabase(event: unknown): void {
  if (!(event instanceof Event)) return;
  const { type, target } = event;
  if (type === "upgradeneeded") (target as IDBOpenDBRequest).transaction?.abort();
  else if (type === "versionchange") (target as IDBDatabase).close();
  else if (type === "success" && target instanceof IDBOpenDBRequest) target.result.close();
}

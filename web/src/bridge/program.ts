import { foreign } from "../load.js";
import type { Appender } from "./appender.js";
import type { Host } from "./bridge.js";
import { lost } from "./failure.js";
import { defineGo, type Go } from "./go.js";
import type { pack } from "./pack.js";

/** What the Go program exports. To call that costs next to nothing, see wasm/conversation_js.go and idbstore/appender_js.go. */
export interface Exports {
  readonly mem: WebAssembly.Memory;
  /** Begins to record the event in the inbox behind so many that have landed and were not told of; 0 if `record` of the bridge has to be called. */
  holdfastRecord(landed: number): number;
  /** Takes the news of an append that has committed; 0 if the function has to be called that the append was given. */
  holdfastCommitted(id: number): number;
}

/** Enters the program for what has a place among the names that it offers. */
export type Enter = (place: number, ...args: unknown[]) => unknown;

/** What the Go program finds among the globals, besides those of the page. */
export interface Globals {
  holdfastAppender?: Appender;
  readonly holdfastPack: typeof pack;
  holdfast?: (enter: Enter, names: string, inbox: number, size: number, outbox: number) => Host;
}

/** Makes a Go program that finds `host` among its globals. */
export function newGo(host: Globals): Go {
  return new (defineGo(overlay(host), console_))();
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

/** Refuses a module that is not a Go program; that it is not ours shows when it does not call the host. */
export async function instantiate(module: WebAssembly.Module, imports: WebAssembly.Imports): Promise<WebAssembly.Instance> {
  let program: WebAssembly.Instance;
  try {
    program = await WebAssembly.instantiate(module, imports);
  } catch (cause) {
    // WebKit asks the Content-Security-Policy here, not when it compiles.
    const refused = cause instanceof WebAssembly.LinkError || cause instanceof WebAssembly.CompileError || cause instanceof TypeError;
    throw refused ? foreign("the module", cause) : lost(cause);
  }
  if (!("run" in program.exports && "resume" in program.exports)) throw foreign("the module");
  return program;
}

/**
 * Answers, for a program that is over, what the browser says of its database. One that was asked for in vain would be made
 * without its object stores, and then be nobody's; one that is open would keep others from deleting it.
 */
export function releaseDatabase(event: unknown): void {
  if (!(event instanceof Event)) return;
  const { type, target } = event;
  if (type === "upgradeneeded") (target as IDBOpenDBRequest).transaction?.abort();
  else if (type === "versionchange") (target as IDBDatabase).close();
  else if (type === "success" && target instanceof IDBOpenDBRequest) target.result.close();
}

/**
 * `make build` makes `go.js` from the `wasm_exec.js` of the Go toolchain that compiles
 * `holdfast.wasm`: the two must come from the same release.
 */

/** One Go program: made, instantiated with its imports, run once. */
export interface Go {
  /** What the module imports. */
  readonly importObject: WebAssembly.Imports;
  /** Runs the program. Resolves when it has ended. */
  run(instance: WebAssembly.Instance): Promise<void>;
  /** Enters the program from an event or a timer. */
  _resume(): void;
  /** The call of a function of the program that has not returned. */
  readonly _pendingEvent: { readonly args: ArrayLike<unknown> } | null;
  /** Timers of the program that have not fired: its ids to those of `setTimeout`. */
  readonly _scheduledTimeouts: Map<number, ReturnType<typeof setTimeout>>;
}

/** The part of Node's `fs` that a Go program without files needs. */
export interface GoFS {
  /** Writes to the file descriptor 1 or 2, a standard output. Returns the number of bytes taken. */
  writeSync(fd: number, bytes: Uint8Array): number;
}

/**
 * Defines the class `Go`, and nothing in the page's own globals: the program uses `globalThis` in
 * their place, which gets the properties `Go`, `process`, `path` and, unless it has one, `fs`. What
 * the runtime prints, such as a panic, goes to `fs`. It reads properties by `read`, whose exceptions
 * would end it.
 */
export function defineGo(globalThis: object, fs: GoFS, read: (object: object, key: string) => unknown): new () => Go;

/** The name of the build: `holdfast.wasm` has the same, in a custom section `holdfast`. */
export declare const build: string;

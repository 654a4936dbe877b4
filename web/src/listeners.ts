import { report } from "./thrown.js";

/** Functions that are called when something has changed. */
export class Listeners<Args extends readonly unknown[] = []> {
  readonly #listeners = new Map<symbol, (...args: Args) => void>();

  get size(): number {
    return this.#listeners.size;
  }

  /** Adds a function, which may be there already. What it returns removes it, and reports whether it was there. */
  add(listener: (...args: Args) => void): () => boolean {
    const key = Symbol("listener");
    this.#listeners.set(key, listener);
    return () => this.#listeners.delete(key);
  }

  clear(): void {
    this.#listeners.clear();
  }

  /** Calls those that are there now. What one throws is reported. */
  call(...args: Args): void {
    for (const key of [...this.#listeners.keys()]) {
      try {
        this.#listeners.get(key)?.(...args); // unless a listener before it has removed it
      } catch (error) {
        report(error);
      }
    }
  }
}

/** A value that is made of a source when it is first needed. */
export class Lazy<S, T> {
  #source: S | undefined;
  readonly #read: (source: S) => T;
  #made: { readonly value: T } | undefined;

  constructor(source: S, read: (source: S) => T) {
    this.#source = source;
    this.#read = read;
  }

  get value(): T {
    if (this.#made === undefined) {
      this.#made = { value: this.#read(this.#source as S) };
      this.#source = undefined;
    }
    return this.#made.value;
  }
}

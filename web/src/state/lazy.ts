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

/** Adds a property that is decoded when it is read: a damaged one must not hide what is beside it. */
export function withDecoded<E extends object, K extends string, T>(
  object: E,
  key: K,
  data: Uint8Array | null,
  decoding: (data: Uint8Array | null) => T,
): E & Readonly<Record<K, T>> {
  const lazy = new Lazy(data, decoding);
  return Object.defineProperty(object, key, { get: () => lazy.value, enumerable: true }) as E & Readonly<Record<K, T>>;
}

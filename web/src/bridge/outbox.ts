// Where the numbers are, as wasm/outbox_js.go puts them.
const stateAt = 0;
const handleAt = 4;
const rowsAt = 8;
const lengthAt = 12;
const sequenceAt = 16;
const length = 24;

const shut = 0;
const open = 1;
const full = 2;

/** What has changed with an append. */
export interface Outcome {
  readonly handle: number;
  readonly rows: Uint8Array;
  readonly sequence: number;
}

/** A place in the memory of the Go program where it tells of an append. To look there costs less than to be called. */
export class Outbox {
  readonly #memory: WebAssembly.Memory;
  readonly #address: number;
  #numbers: DataView;

  constructor(memory: WebAssembly.Memory, address: number) {
    this.#memory = memory;
    this.#address = address;
    this.#numbers = new DataView(memory.buffer, address, length);
  }

  /** Calls the program, and returns the outcome that it has told, if it has. */
  read(enter: () => void): Outcome | undefined {
    this.#look().setUint32(stateAt, open, true);
    enter();
    const numbers = this.#look();
    const state = numbers.getUint32(stateAt, true);
    numbers.setUint32(stateAt, shut, true);
    if (state !== full) return undefined;
    return {
      handle: numbers.getUint32(handleAt, true),
      rows: new Uint8Array(this.#memory.buffer, numbers.getUint32(rowsAt, true), numbers.getUint32(lengthAt, true)).slice(),
      sequence: numbers.getFloat64(sequenceAt, true),
    };
  }

  /** Of the event that was begun to be recorded last. */
  get sequence(): number {
    return this.#look().getFloat64(sequenceAt, true);
  }

  /** The bytes are another object whenever the memory has grown. */
  #look(): DataView {
    if (this.#numbers.buffer !== this.#memory.buffer) this.#numbers = new DataView(this.#memory.buffer, this.#address, length);
    return this.#numbers;
  }
}

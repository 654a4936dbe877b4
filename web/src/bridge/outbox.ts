// Where wasm/outbox_js.go writes the numbers.
const stateAt = 0;
const handleAt = 4;
const rowsAt = 8;
const lengthAt = 12;
const sequenceAt = 16;
const orderAt = 24;
const indexAt = 28;
const callAt = 32;
const textAt = 36;
const pathAt = 40;
const length = 48;

const keyLength = 32;

const shut = 0;
const open = 1;
const full = 2;

/** What has changed with an append. `sequence` is that of its event. */
export interface Outcome {
  readonly handle: number;
  readonly rows: Uint8Array;
  readonly sequence: number;
}

/** Where the Go program reports an append, in its memory. That costs less than a call. */
export class Outbox {
  readonly #memory: WebAssembly.Memory;
  readonly #address: number;
  #numbers: DataView;

  constructor(memory: WebAssembly.Memory, address: number) {
    this.#memory = memory;
    this.#address = address;
    this.#numbers = new DataView(memory.buffer, address, length);
  }

  /** Calls `enter`, and returns the outcome if the program has reported one. */
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

  /** The call that has run the step whose outcome the program has reported last, and order and index of that. */
  get outcome(): readonly [call: number, order: number, index: number] {
    const numbers = this.#look();
    return [numbers.getUint32(callAt, true), numbers.getUint32(orderAt, true), numbers.getUint32(indexAt, true)];
  }

  /** The path of the step that was called last: empty if it could not be called. */
  get path(): string {
    const numbers = this.#look();
    return this.#text(numbers.getUint32(textAt, true), numbers.getUint32(pathAt, true));
  }

  /** Its idempotency key, if the host is to call its function. */
  get key(): string {
    const numbers = this.#look();
    return this.#text(numbers.getUint32(textAt, true) + numbers.getUint32(pathAt, true), keyLength);
  }

  #text(address: number, bytes: number): string {
    return decoder.decode(new Uint8Array(this.#memory.buffer, address, bytes));
  }

  /** The sequence of the event that was last begun to be recorded. */
  get sequence(): number {
    return this.#look().getFloat64(sequenceAt, true);
  }

  /** `memory.buffer` is another object after the memory has grown. */
  #look(): DataView {
    if (this.#numbers.buffer !== this.#memory.buffer) this.#numbers = new DataView(this.#memory.buffer, this.#address, length);
    return this.#numbers;
  }
}

const decoder = new TextDecoder();

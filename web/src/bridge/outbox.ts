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
const settledAt = 44;
const length = 48;

const keyLength = 32;

const shut = 0;
const open = 1;
const full = 2;

/** What has changed with an append. `sequence` is that of its last event. */
export interface Change {
  readonly handle: number;
  readonly rows: Uint8Array;
  readonly sequence: number;
}

/** What the program reports of an append: of a conversation that is let go there is no change. */
export interface Report {
  readonly change: Change | undefined;
  /** Whether it is known what became of the append, and the host settles its call. */
  readonly settled: boolean;
  /** That of the event that was recorded. */
  readonly sequence: number;
  /** The call that has run the step whose outcome was recorded, and order and index of that. */
  readonly step: readonly [call: number, order: number, index: number];
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

  /** Calls `enter`, and returns what the program has reported. */
  read(enter: () => void): Report {
    const before = this.#look();
    before.setUint32(stateAt, open, true);
    before.setUint32(settledAt, 0, true);
    enter();
    const numbers = this.#look();
    const state = numbers.getUint32(stateAt, true);
    numbers.setUint32(stateAt, shut, true);
    const sequence = numbers.getFloat64(sequenceAt, true);
    const change = state === full ? { handle: numbers.getUint32(handleAt, true), rows: this.#rows(numbers), sequence } : undefined;
    return {
      change,
      settled: numbers.getUint32(settledAt, true) === 1,
      sequence,
      step: [numbers.getUint32(callAt, true), numbers.getUint32(orderAt, true), numbers.getUint32(indexAt, true)],
    };
  }

  #rows(numbers: DataView): Uint8Array {
    return new Uint8Array(this.#memory.buffer, numbers.getUint32(rowsAt, true), numbers.getUint32(lengthAt, true)).slice();
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

  /** `memory.buffer` is another object after the memory has grown. */
  #look(): DataView {
    if (this.#numbers.buffer !== this.#memory.buffer) this.#numbers = new DataView(this.#memory.buffer, this.#address, length);
    return this.#numbers;
  }
}

const decoder = new TextDecoder();

import { type Posted, sizeBound, writePosted } from "./posted.js";

// Where the numbers are, as wasm/posted_js.go reads them.
const callAt = 0;
const handleAt = 4;
const headLength = 8;

/** A place in the memory of the Go program for one event. To write there costs less than to pass values. */
export class Inbox {
  readonly #memory: WebAssembly.Memory;
  readonly #address: number;
  readonly #size: number;
  #bytes: Uint8Array<ArrayBuffer>;
  #numbers: DataView;

  constructor(memory: WebAssembly.Memory, address: number, size: number) {
    this.#memory = memory;
    this.#address = address;
    this.#size = size;
    [this.#bytes, this.#numbers] = this.#look();
  }

  /** The bytes are another object whenever the memory has grown. */
  #look(): [Uint8Array<ArrayBuffer>, DataView] {
    const { buffer } = this.#memory as { readonly buffer: ArrayBuffer };
    return [new Uint8Array(buffer, this.#address, this.#size), new DataView(buffer, this.#address, this.#size)];
  }

  /** Whether an event fits in. */
  takes(event: Posted): boolean {
    return headLength + sizeBound(event) <= this.#size;
  }

  /** Puts an event there. The next call of the program has to read it. */
  write(call: number, handle: number, event: Posted): void {
    if (this.#bytes.buffer !== this.#memory.buffer) [this.#bytes, this.#numbers] = this.#look();
    this.#numbers.setUint32(callAt, call, true);
    this.#numbers.setUint32(handleAt, handle, true);
    writePosted(event, this.#bytes, this.#numbers, headLength);
  }
}

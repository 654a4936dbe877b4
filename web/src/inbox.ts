import type { Draft } from "./batch.js";

// Where the numbers are, as wasm/inbox_js.go reads them.
const callAt = 0;
const handleAt = 4;
const kindAt = 8;
const idLengthAt = 12;
const dataLengthAt = 16;
const formAt = 20;
const numberAt = 24;
const headLength = 32;

const noData = 0;
const bytesData = 1;
const textData = 2;

/** A place in the memory of the Go program for one event. To write there costs less than to pass values. */
export class Inbox {
  readonly #memory: WebAssembly.Memory;
  readonly #address: number;
  readonly #size: number;
  readonly #encoder = new TextEncoder();
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
  takes({ id, data }: Draft): boolean {
    return headLength + atMost(id) + (data === undefined ? 0 : atMost(data)) <= this.#size;
  }

  /** Puts an event there. The next call of the program has to read it. */
  write(call: number, handle: number, { kind, id, number, data }: Draft): void {
    if (this.#bytes.buffer !== this.#memory.buffer) [this.#bytes, this.#numbers] = this.#look();
    const numbers = this.#numbers;
    numbers.setUint32(callAt, call, true);
    numbers.setUint32(handleAt, handle, true);
    numbers.setUint32(kindAt, kind, true);
    numbers.setFloat64(numberAt, number, true);
    const idLength = this.#text(id, headLength);
    numbers.setUint32(idLengthAt, idLength, true);
    let form = noData;
    let length = 0;
    if (typeof data === "string") {
      form = textData;
      length = this.#text(data, headLength + idLength);
    } else if (data !== undefined) {
      form = bytesData;
      this.#bytes.set(data, headLength + idLength);
      length = data.byteLength;
    }
    numbers.setUint32(formAt, form, true);
    numbers.setUint32(dataLengthAt, length, true);
  }

  #text(text: string, at: number): number {
    return this.#encoder.encodeInto(text, this.#bytes.subarray(at)).written;
  }
}

/** How many bytes something needs at most. */
function atMost(data: Uint8Array | string): number {
  return typeof data === "string" ? 3 * data.length : data.byteLength;
}

import { type Posted, type PostedStep, sizeBound, stepFits, writePosted, writeStep } from "./posted.js";

// Where wasm/posted_js.go reads the numbers.
const callAt = 0;
const handleAt = 4;
const headLength = 8;

/** A place for one event in the memory of the Go program. That costs less than arguments. */
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

  /** `memory.buffer` is another object after the memory has grown. */
  #look(): [Uint8Array<ArrayBuffer>, DataView] {
    const { buffer } = this.#memory as { readonly buffer: ArrayBuffer };
    return [new Uint8Array(buffer, this.#address, this.#size), new DataView(buffer, this.#address, this.#size)];
  }

  /** Whether an event fits into the inbox. */
  takes(event: Posted): boolean {
    return headLength + sizeBound(event) <= this.#size;
  }

  /** Writes an event. The next call into the program has to read it. */
  write(call: number, handle: number, event: Posted): void {
    this.#refresh();
    this.#numbers.setUint32(callAt, call, true);
    this.#numbers.setUint32(handleAt, handle, true);
    writePosted(event, this.#bytes, this.#numbers, headLength);
  }

  /** Whether a step fits into the inbox. */
  takesStep(step: PostedStep): boolean {
    return stepFits(step, this.#size);
  }

  /** Writes a step that is called. */
  writeStep(call: number, step: PostedStep): void {
    this.#refresh();
    writeStep(call, step, this.#bytes, this.#numbers);
  }

  /** Writes bytes, and returns their number: -1 for `undefined`. Returns `undefined` if they do not fit. */
  writeData(data: Uint8Array | undefined): number | undefined {
    if (data === undefined) return -1;
    if (data.byteLength > this.#size) return undefined;
    this.#refresh();
    this.#bytes.set(data);
    return data.byteLength;
  }

  #refresh(): void {
    if (this.#bytes.buffer !== this.#memory.buffer) [this.#bytes, this.#numbers] = this.#look();
  }
}

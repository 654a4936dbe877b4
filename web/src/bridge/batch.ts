import { errorOf, type Failure } from "./failure.js";
import type { Instance } from "./instance.js";
import { type Posted, sizeBound, writePosted } from "./posted.js";

/** A batch of more bytes is full. For a while the program has all of them twice. */
const maxBytes = 2 ** 20;

/** Events of one conversation that cross into the program together. */
export class Batch {
  readonly #events: Posted[];
  #bytes: number;
  #sent = false;

  constructor(first: Posted) {
    this.#events = [first];
    this.#bytes = sizeBound(first);
  }

  /** Adds another event, and returns true, unless the batch is full or was sent. */
  add(event: Posted): boolean {
    if (this.#sent || this.#bytes > maxBytes) return false;
    this.#events.push(event);
    this.#bytes += sizeBound(event);
    return true;
  }

  /** Returns the function that sends the batch. */
  sender(instance: Instance, handle: number): () => void {
    return () => {
      this.#sent = true;
      const [first, second] = this.#events;
      if (first !== undefined && second === undefined && instance.record(handle, first)) return;
      const bytes = this.#encoded();
      instance
        .call<readonly (number | Failure)[]>((bridge, call) => bridge.recordAll(handle, bytes, this.#events.length, call))
        .then(
          (runs) => this.#settle(runs),
          (error: unknown) => this.#events.forEach(({ reject }) => reject(error)),
        );
    };
  }

  #encoded(): Uint8Array {
    const bytes = new Uint8Array(this.#bytes);
    const numbers = new DataView(bytes.buffer);
    let end = 0;
    for (const event of this.#events) end = writePosted(event, bytes, numbers, end);
    return bytes.subarray(0, end);
  }

  #settle(runs: readonly (number | Failure)[]): void {
    let at = 0;
    for (let i = 0; i < runs.length; i += 2) {
      const [count, outcome] = [runs[i] as number, runs[i + 1] as number | Failure];
      for (let place = 0; place < count; place++) {
        const event = this.#events[at++];
        if (typeof outcome === "number") event?.resolve(outcome + place);
        else event?.reject(errorOf(outcome));
      }
    }
  }
}

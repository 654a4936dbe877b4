import type { Failure } from "./bridge.js";
import { atMost, type Draft, writeDraft } from "./draft.js";
import { errorOf, type Instance } from "./instance.js";

/** Bytes of events that cross together, and then a few more: what is in the program twice has to be bounded. */
const maxBytes = 2 ** 20;

/** Events of one conversation that cross into the program together. */
export class Batch {
  readonly #drafts: Draft[];
  #bytes: number;
  #sent = false;

  constructor(first: Draft) {
    this.#drafts = [first];
    this.#bytes = atMost(first);
  }

  /** Takes another event, unless the batch is full or on its way. */
  add(draft: Draft): boolean {
    if (this.#sent || this.#bytes > maxBytes) return false;
    this.#drafts.push(draft);
    this.#bytes += atMost(draft);
    return true;
  }

  /** Makes the function that sends it. */
  sender(instance: Instance, handle: number): () => void {
    return () => {
      this.#sent = true;
      const [first, second] = this.#drafts;
      if (first !== undefined && second === undefined && instance.record(handle, first)) return;
      const events = this.#encoded();
      instance
        .call<readonly (number | Failure)[]>((bridge, call) => bridge.recordAll(handle, events, this.#drafts.length, call))
        .then(
          (runs) => this.#settle(runs),
          (error: unknown) => this.#drafts.forEach(({ reject }) => reject(error)),
        );
    };
  }

  #encoded(): Uint8Array {
    const bytes = new Uint8Array(this.#bytes);
    const numbers = new DataView(bytes.buffer);
    let end = 0;
    for (const draft of this.#drafts) end = writeDraft(draft, bytes, numbers, end);
    return bytes.subarray(0, end);
  }

  #settle(runs: readonly (number | Failure)[]): void {
    let at = 0;
    for (let i = 0; i < runs.length; i += 2) {
      const [count, outcome] = [runs[i] as number, runs[i + 1] as number | Failure];
      for (let place = 0; place < count; place++) {
        const draft = this.#drafts[at++];
        if (typeof outcome === "number") draft?.resolve(outcome + place);
        else draft?.reject(errorOf(outcome));
      }
    }
  }
}

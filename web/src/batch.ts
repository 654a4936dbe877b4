import { encode } from "@msgpack/msgpack";
import type { EventKind, Failure } from "./bridge.js";
import { errorOf, type Instance } from "./instance.js";

/** An event to be recorded, and who waits for it. */
export interface Draft {
  readonly kind: EventKind;
  readonly id: string;
  /** The time of receipt, or the step. */
  readonly number: number;
  /** The body, the output, or the text of an error. */
  readonly data: Uint8Array | string | undefined;
  readonly resolve: (sequence: number) => void;
  readonly reject: (error: unknown) => void;
}

/** Bytes of events that cross together, and then a few more: what is in the program twice has to be bounded. */
const maxBytes = 2 ** 20;

/** Events of one conversation that cross into the program together. */
export class Batch {
  readonly #drafts: Draft[];
  #bytes = 0;
  #sent = false;

  constructor(first: Draft) {
    this.#drafts = [first];
  }

  /** Takes another event, unless the batch is full or on its way. */
  add(draft: Draft): boolean {
    if (this.#sent || this.#bytes > maxBytes) return false;
    this.#drafts.push(draft);
    this.#bytes += draft.data?.length ?? 0;
    return true;
  }

  /** Makes the function that sends it. */
  sender(instance: Instance, handle: number): () => void {
    return () => {
      this.#sent = true;
      const [first, second] = this.#drafts;
      const alone = first !== undefined && second === undefined ? instance.record(handle, first) : undefined;
      if (first !== undefined && alone !== undefined) {
        alone.then(first.resolve, first.reject);
        return;
      }
      const events = encode(this.#drafts.map(({ kind, id, number, data }) => [kind, id, number, data instanceof Uint8Array ? data : null, typeof data === "string" ? data : ""]));
      instance
        .call<readonly (number | Failure)[]>((bridge, call) => bridge.recordAll(handle, events, call))
        .then(
          (runs) => this.#settle(runs),
          (error: unknown) => this.#drafts.forEach(({ reject }) => reject(error)),
        );
    };
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

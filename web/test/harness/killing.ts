// Writers that are killed, and the book that is kept on them outside the browser.
import type { ConversationEvent } from "@holdfast-dev/holdfast";
import type { Page } from "@playwright/test";
import type { Tab } from "./tab.js";

declare global {
  /** Tells the book of an acknowledged append. */
  var note: (conversation: string, sequence: number, event: string) => Promise<void>;
}

/** Pseudo-random numbers in [0, 1) that a seed determines (mulberry32). */
export function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** What the log of a conversation must have. */
class Leaf {
  /** Events that were found in the log, in order. */
  found: readonly string[] = [];
  /** Acknowledged since then: sequence -> event. */
  acknowledged = new Map<number, string>();
}

/** What was acknowledged, and what of it was found. An event is named `<writer>#<number>`, and no name is used twice. */
export class Book {
  readonly #leaves = new Map<string, Leaf>();
  readonly counts = {
    acks: 0,
    lost: 0,
    /** Sequences that are missing, and logs that cannot be read. */
    gaps: 0,
    /** Events more than once in a log, or another one than before in their place. */
    altered: 0,
    /** Events that were found and not acknowledged, beyond the one that each writer may have had under way. */
    surplus: 0,
  };

  #awaited: { readonly acks: number; readonly reached: () => void } | undefined;

  constructor(readonly conversations: readonly string[]) {
    for (const id of conversations) this.#leaves.set(id, new Leaf());
  }

  note(conversation: string, sequence: number, event: string): void {
    this.#leaf(conversation).acknowledged.set(sequence, event);
    this.counts.acks++;
    if (this.counts.acks === this.#awaited?.acks) this.#awaited.reached();
  }

  /** Resolves at the very moment of an acknowledgement: the `count`-th from now. */
  async reach(count: number): Promise<void> {
    await new Promise<void>((reached) => {
      this.#awaited = { acks: this.counts.acks + count, reached };
    });
  }

  /** Compares a log, or why it cannot be read, with what is in the book. */
  check(conversation: string, log: readonly ConversationEvent[] | string): void {
    const leaf = this.#leaf(conversation);
    const { counts } = this;
    if (typeof log === "string") {
      console.error(log);
      counts.gaps++;
      return;
    }
    const events = log.map((event) => (event.kind === "deleted" ? "deleted" : event.messageId));
    counts.gaps += log.filter(({ sequence }, i) => sequence !== i).length;
    counts.altered += events.length - new Set(events).size;
    counts.altered += leaf.found.filter((event, i) => i < events.length && events[i] !== event).length;
    counts.lost += Math.max(0, leaf.found.length - events.length);
    for (const [sequence, event] of leaf.acknowledged) if (events[sequence] !== event) counts.lost++;
    const known = new Set(leaf.acknowledged.values());
    const extra = events.slice(leaf.found.length).filter((event) => !known.has(event));
    counts.surplus += extra.length - new Set(extra.map((event) => event.split("#")[0])).size;
    leaf.found = events;
    leaf.acknowledged = new Map();
  }

  #leaf(conversation: string): Leaf {
    const leaf = this.#leaves.get(conversation);
    if (leaf === undefined) throw new Error(`no conversation ${conversation}`);
    return leaf;
  }
}

/** Appends to all conversations at once, without end: each event when the one before it is in the book. */
export async function write(tab: Tab, writer: string, conversations: readonly string[]): Promise<void> {
  await tab.evaluate(
    async ({ holdfast, Conflict }, [name, ids]) => {
      const fill = async (id: string): Promise<never> => {
        const conversation = await holdfast.recover(id);
        for (let n = 0; ; ) {
          const event = `${name}#${n}`;
          try {
            await globalThis.note(id, await conversation.recordStepCompleted(event, n, { text: event.repeat(20) }), event);
            n++;
          } catch (error) {
            if (!(error instanceof Conflict)) throw error;
            await conversation.refresh();
          }
        }
      };
      await Promise.all(ids.map(fill));
    },
    [writer, conversations] as const,
  );
}

/** Lets a page write into the book. */
export async function lend(book: Book, page: Page): Promise<void> {
  await page.exposeFunction("note", (...entry: Parameters<Book["note"]>) => book.note(...entry));
}

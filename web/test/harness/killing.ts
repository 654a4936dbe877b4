// Writers that are killed, and the book that is kept on them outside the browser.
import type { ConversationEvent, OpenOptions } from "@holdfast-dev/holdfast";
import type { Page } from "@playwright/test";
import type { Server } from "./server.js";
import { attach, recover, type Tab } from "./tab.js";

declare global {
  /** Tells the book of events that were acknowledged together, and their sequences. */
  var note: (conversation: string, sequences: readonly number[], events: readonly string[]) => Promise<void>;
}

/** The output of an event is its name so many times. */
const repeats = 20;

/** What the log of a conversation must have. */
class Leaf {
  /** Events that were found in the log, in order. */
  found: readonly string[] = [];
  /** Acknowledged since then: sequence -> event. */
  acknowledged = new Map<number, string>();
}

/**
 * What was acknowledged, and what of it was found. An event is named `<writer> x<size>#<number>`, where a writer appends so many at
 * once, all or none; no name is used twice.
 */
export class Book {
  readonly #leaves = new Map<string, Leaf>();
  readonly counts = {
    acks: 0,
    lost: 0,
    /** Sequences that are missing, and logs that cannot be read. */
    gaps: 0,
    /** Events more than once in a log, another one than before in their place, or with another output than they were given. */
    altered: 0,
    /** Events that were found and not acknowledged, beyond those that each writer may have had under way. */
    surplus: 0,
    /** Appends of which a part was found. */
    partial: 0,
  };

  #awaited: { readonly acks: number; readonly reached: () => void } | undefined;

  constructor(public conversations: readonly string[]) {
    this.turn(conversations);
  }

  /** Begins a new leaf for each conversation, of which there are others by that name from now on. */
  turn(conversations: readonly string[]): void {
    this.conversations = conversations;
    this.#leaves.clear();
    for (const id of conversations) this.#leaves.set(id, new Leaf());
  }

  note(conversation: string, sequences: readonly number[], events: readonly string[]): void {
    const leaf = this.#leaf(conversation);
    for (const [i, sequence] of sequences.entries()) leaf.acknowledged.set(sequence, events[i] ?? "");
    this.counts.acks += sequences.length;
    if (this.#awaited !== undefined && this.counts.acks >= this.#awaited.acks) this.#awaited.reached();
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
    const events = log.map((event) => ("messageId" in event ? event.messageId : event.kind));
    counts.gaps += log.filter(({ sequence }, i) => sequence !== i).length;
    counts.altered += events.length - new Set(events).size;
    counts.altered += log.filter((event) => event.kind !== "step_completed" || event.output !== event.messageId.repeat(repeats)).length;
    counts.altered += leaf.found.filter((event, i) => i < events.length && events[i] !== event).length;
    counts.lost += Math.max(0, leaf.found.length - events.length);
    for (const [sequence, event] of leaf.acknowledged) if (events[sequence] !== event) counts.lost++;
    const known = new Set(leaf.acknowledged.values());
    const extra = new Map<string, number>(); // by writer
    for (const event of events.slice(leaf.found.length)) {
      const writer = event.slice(0, event.indexOf("#"));
      if (!known.has(event)) extra.set(writer, (extra.get(writer) ?? 0) + 1);
    }
    for (const [writer, count] of extra) {
      const size = Number(/ x(\d+)$/.exec(writer)?.[1] ?? 1);
      if (count % size !== 0) counts.partial++;
      else if (count > size) counts.surplus += count - size;
    }
    leaf.found = events;
    leaf.acknowledged = new Map();
  }

  #leaf(conversation: string): Leaf {
    const leaf = this.#leaves.get(conversation);
    if (leaf === undefined) throw new Error(`no conversation ${conversation}`);
    return leaf;
  }
}

/** Appends to conversations, to all at once, without end: so many events at once, and the next when those are in the book. */
export async function write(tab: Tab, writer: string, conversations: readonly string[], size: number): Promise<void> {
  await tab.evaluate(
    async ({ holdfast, Conflict }, [name, ids, together, times]) => {
      const fill = async (id: string): Promise<never> => {
        const conversation = await holdfast.recover(id);
        for (let n = 0; ; ) {
          const events = Array.from({ length: together }, (_, i) => `${name} x${together}#${n + i}`);
          const appends = events.map((event, i) => conversation.recordStepCompleted(event, n + i, event.repeat(times)));
          try {
            await globalThis.note(id, await Promise.all(appends), events);
            n += together;
          } catch (error) {
            if (!(error instanceof Conflict)) throw error;
            await Promise.allSettled(appends);
            await conversation.refresh();
          }
        }
      };
      await Promise.all(ids.map(fill));
    },
    [writer, conversations, size, repeats] as const,
  );
}

/** Lets a page write into the book. */
export async function lend(book: Book, page: Page): Promise<void> {
  await page.exposeFunction("note", (...entry: Parameters<Book["note"]>) => book.note(...entry));
}

/** Starts a worker in a page to which the book is lent, and lends it to the worker too. */
export async function hire(page: Page, server: Server, id: string, options: OpenOptions): Promise<Tab> {
  server.answer("/worker.js", {
    body: `globalThis.note = (...entry) => new Promise((done) => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => done();
      postMessage(entry, [port2]);
    });`,
  });
  const starting = page.waitForEvent("worker");
  await page.evaluate(() => {
    const worker = new Worker("/worker.js", { type: "module" });
    worker.onmessage = async ({ data, ports: [port] }: MessageEvent<Parameters<typeof note>>) => {
      await globalThis.note(...data);
      port?.postMessage(null);
    };
  });
  return await attach(await starting, id, options, `${server.origin}/bundle/package.js`);
}

/** Compares the logs with the book. */
export async function compare(book: Book, tab: Tab): Promise<void> {
  for (const id of book.conversations) {
    const log = recover(tab, id).then((chat) => chat.evaluate(({ conversation }) => conversation.events({ limit: 1_000_000 })));
    book.check(id, await log.catch((error: unknown) => String(error)));
  }
}

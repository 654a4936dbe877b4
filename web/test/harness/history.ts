// What tabs and workers do against each other, and what they see of it, as `.tools/history` reads it.
import type { Conversation } from "@holdfast-dev/holdfast";
import type { Tab } from "./tab.js";

declare global {
  /** The conversations that a place holds, by their ids. */
  var held: Map<string, Conversation>;
}

/** What a place is told to do. `events` are the ids of what it appends, as one. */
export type Order = { readonly stream: string } & (
  | { readonly op: "append"; readonly events: readonly string[] }
  | { readonly op: "events" | "refresh" | "recover" | "delete" }
  | { readonly op: "heads"; readonly prefix: string; readonly streams: readonly string[] }
);

/** What came of it. */
interface Answer {
  readonly sequences?: readonly number[];
  readonly conflict?: { readonly expected: number; readonly actual: number };
  readonly log?: readonly { readonly sequence: number; readonly id?: string }[];
  readonly state?: readonly string[];
  readonly head?: number;
  readonly failure?: string;
}

/** An answer with the times between which the call happened by the clock of the place. */
interface Timed {
  readonly begin: number;
  readonly end: number;
  /** Of each stream that it is about. */
  readonly answers: Readonly<Record<string, Answer>>;
  /** Nobody knows what came of it. */
  readonly unknown: boolean;
  /** What the place now takes for the head. */
  readonly expects: number;
}

/** Does what is told with the conversation that the place holds; at first, with one that has read nothing. */
export async function perform(tab: Tab, order: Order): Promise<Timed> {
  return await tab.evaluate(async ({ holdfast, Conflict }, order) => {
    const { stream } = order;
    const held = (globalThis.held ??= new Map<string, Conversation>());
    const conversation = held.get(stream) ?? holdfast.create(stream);
    held.set(stream, conversation);
    const known = (conversation: Conversation): Answer => ({ head: conversation.expectedSeq, state: conversation.state.messages.map(({ id }) => id) });
    const act = async (): Promise<Record<string, Answer>> => {
      switch (order.op) {
        case "append":
          return { [stream]: { sequences: await Promise.all(order.events.map((id) => conversation.recordMessageReceived({ id, receivedAt: 1 }))) } };
        case "events": {
          const log = await conversation.events({ limit: 1_000_000 });
          return { [stream]: { log: log.map((event) => ("messageId" in event ? { sequence: event.sequence, id: event.messageId } : { sequence: event.sequence })) } };
        }
        case "refresh":
          await conversation.refresh();
          return { [stream]: known(conversation) };
        case "recover": {
          const recovered = await holdfast.recover(stream);
          held.set(stream, recovered);
          return { [stream]: known(recovered) };
        }
        case "heads": {
          const listed = await holdfast.conversations(order.prefix);
          return Object.fromEntries(order.streams.map((id) => [id, { head: listed.find((info) => info.id === id)?.head ?? 0 }]));
        }
        case "delete":
          await holdfast.delete(stream);
          return { [stream]: {} };
      }
    };
    const begin = performance.now();
    let unknown = false;
    const answers = await act().catch((error: unknown): Record<string, Answer> => {
      if (error instanceof Conflict) return { [stream]: { conflict: { expected: error.expected, actual: error.actual } } };
      const { code, outcome } = error as { code?: string; outcome?: string };
      unknown = outcome === "unknown";
      return { [stream]: unknown ? {} : { failure: code ?? String(error) } };
    });
    return { begin, end: performance.now(), answers, unknown, expects: held.get(stream)?.expectedSeq ?? 0 };
  }, order);
}

/** How far the clock of a page may be off: Chromium rounds it to 100 µs, either way. Once for an offset, once for a time. */
const grain = 0.2;

interface Performed {
  readonly ordered: number;
  readonly arrived: number;
  readonly order: Order;
  readonly expected: number;
  /** Undefined if it was cut off. */
  readonly timed: Timed | undefined;
}

/**
 * What one place does in a history, and sees. Times are those of one clock, that of this process. Those of a place count from
 * some other moment, at the same rate: all are the monotonic clock of the machine. How far apart the two are shows in each call,
 * since all of it happened between the order and the arrival of the answer here. No call tells it exactly, so the
 * earliest moment of the call counts that all of them allow, and the latest of the return: an error
 * makes an operation longer, and never shorter.
 */
export class Witness {
  readonly #performed: Performed[] = [];
  readonly #expects = new Map<string, number>();

  constructor(
    readonly history: number,
    readonly client: number,
    readonly tab: Tab,
  ) {}

  /** Lets the place do something, which may be cut off if it is `doomed`. Returns whether it was a conflict. */
  async order(order: Order, doomed = false): Promise<boolean> {
    const expected = this.#expects.get(order.stream) ?? 0;
    const ordered = performance.now();
    const timed = await perform(this.tab, order).catch((error: unknown) => {
      if (!doomed) throw error;
      return undefined;
    });
    this.#performed.push({ ordered, arrived: performance.now(), order, expected, timed });
    if (timed !== undefined) this.#expects.set(order.stream, timed.expects);
    return timed?.answers[order.stream]?.conflict !== undefined;
  }

  lines(): string[] {
    const seen = this.#performed.flatMap(({ ordered, arrived, timed }) => (timed === undefined ? [] : [{ ordered, arrived, timed }]));
    const earliest = Math.max(...seen.map(({ ordered, timed }) => ordered - timed.begin)) - grain;
    const latest = Math.min(...seen.map(({ arrived, timed }) => arrived - timed.end)) + grain;
    if (earliest > latest) throw new Error("the clocks do not run alike");
    return this.#performed.flatMap(({ ordered, order, expected, timed }) => {
      const { op } = order;
      const answers = timed?.answers ?? { [order.stream]: {} };
      return Object.entries(answers).map(([stream, answer]) =>
        JSON.stringify({
          ...{ history: this.history, client: this.client, stream, op },
          call: Math.floor((timed === undefined ? ordered : timed.begin + earliest) * 1000),
          ...(timed === undefined || timed.unknown ? {} : { return: Math.ceil((timed.end + latest) * 1000) }),
          ...(op === "append" ? { expected, events: order.events } : {}),
          ...answer,
        }),
      );
    });
  }
}

// A tab as the specs about several of them see it: Holdfast is open in it, with one conversation.
import type { Conversation, ConversationEvent, Holdfast, Message, OpenOptions, SequenceConflictError, Step } from "@holdfast-dev/holdfast";
import type * as Package from "@holdfast-dev/holdfast";
import type { JSHandle, Worker } from "@playwright/test";
import { expect } from "./test.js";

export interface Chat {
  readonly holdfast: Holdfast;
  readonly conversation: Conversation;
  readonly Conflict: typeof SequenceConflictError;
}

/** A page's or a worker's chat, in the test's hands. */
export type Tab = JSHandle<Chat>;

/** A page or a worker. */
type Place = Pick<Worker, "evaluateHandle">;

/** How a page imports the package. A worker has no import map: it needs the address of a bundle. */
const byName = "@holdfast-dev/holdfast";

/** Opens Holdfast, where a page or worker is, and recovers a conversation. */
export async function attach(where: Place, id: string, options: OpenOptions = {}, from: string = byName): Promise<Tab> {
  return await where.evaluateHandle(
    async ([module, name, settings]) => {
      const { open, SequenceConflictError } = (await import(module)) as typeof Package;
      const holdfast = await open(settings);
      return { holdfast, conversation: await holdfast.recover(name), Conflict: SequenceConflictError };
    },
    [from, id, options] as const,
  );
}

/** Recovers another conversation with what is open in a tab. */
export async function recover(tab: Tab, id: string): Promise<Tab> {
  return await tab.evaluateHandle(async (chat, name) => ({ ...chat, conversation: await chat.holdfast.recover(name) }), id);
}

/** What became of an append that another tab may have forestalled. */
export type Attempt = { readonly sequence: number } | { readonly expected: number; readonly actual: number };

/** Appends one event; its message id and step say who appended it. */
export async function append(tab: Tab, writer: string, step: number): Promise<Attempt> {
  return await tab.evaluate(
    async ({ conversation, Conflict }, [who, index]) => {
      try {
        return { sequence: await conversation.recordStepCompleted(who, index, `${who} ${index}`) };
      } catch (error) {
        if (error instanceof Conflict) return { expected: error.expected, actual: error.actual };
        throw error;
      }
    },
    [writer, step] as const,
  );
}

export async function refresh(tab: Tab): Promise<number> {
  return await tab.evaluate(({ conversation }) => conversation.refresh());
}

export async function expectedSeq(tab: Tab): Promise<number> {
  return await tab.evaluate(({ conversation }) => conversation.expectedSeq);
}

/** A message that was recorded without a runner. */
export type Recorded = Pick<Message, "id" | "receivedAt" | "body" | "status" | "error"> & { readonly steps: readonly Pick<Step, "index" | "output">[] };

/** What the state tells about its messages. */
export async function messages(tab: Tab): Promise<Recorded[]> {
  return await tab.evaluate(({ conversation }) =>
    conversation.state.messages.map(({ id, receivedAt, body, status, steps, error }) => ({
      ...{ id, receivedAt, body, status, error },
      steps: steps.map(({ index, output }) => ({ index, output })), // getters, which do not travel
    })),
  );
}

/** The whole log, in which no sequence is missing and no event occurs twice. */
export async function log(tab: Tab): Promise<readonly ConversationEvent[]> {
  const events = await tab.evaluate(({ conversation }) => conversation.events({ limit: 1_000_000 }));
  const first = events[0]?.sequence ?? 0;
  expect(events.map(({ sequence }) => sequence), "sequences").toEqual(events.map((_, i) => first + i));
  const ids = events.map((event) => (event.kind === "deleted" ? "deleted" : event.eventId));
  expect(new Set(ids).size, "different event ids").toBe(ids.length);
  return events;
}

/** Calls the listener, here, whenever the state of a tab's conversation changes. Returns the function that unsubscribes. */
export async function subscribe(tab: Tab): Promise<() => Promise<void>> {
  const unsubscribe = await tab.evaluateHandle(({ conversation }) => conversation.subscribe(() => undefined));
  return () => unsubscribe.evaluate((stop) => stop());
}

/** An event in a word: `received`, `started`, `step 0`, `finished`. */
export function brief(event: ConversationEvent): string {
  switch (event.kind) {
    case "step_completed":
      return `step ${event.step}`;
    case "error_occurred":
      return "error";
    default:
      return event.kind.replace(/^\w+_/, "");
  }
}

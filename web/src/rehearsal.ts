import { Delivery, Run } from "./delivery.js";
import { textOf } from "./thrown.js";
import type { Message, RunStep, Work } from "./types.js";
import { encodeOutput } from "./values.js";

/** A handler that knows its conversation, and what was before the message. */
export type BareHandler = (work: Omit<Work, "conversation" | "history" | "notes">) => unknown;

/** Milliseconds that a handler may take between its steps. */
const patience = 10_000;

/** A call of a step by a handler, as a rehearsal finds it again. */
export interface Noted {
  /** `run.after` when it was called. */
  readonly after: number;
  /** The place of its outcome in the log, once it was delivered, and how that is handed on. */
  order?: number;
  hand?: (resolve: (value: unknown) => void, reject: (error: unknown) => void) => void;
}

/** How a handler has ended: the bytes of its result, or the text of its error. */
export type End = Uint8Array | string | undefined;

/** Names a call: its scopes, name, key, and number. */
export function callOf(scopes: string, name: string, key: string, count: number): string {
  return JSON.stringify([scopes, name, key, count]);
}

async function endOf(handler: () => unknown): Promise<End> {
  try {
    return encodeOutput("process", "the result", await handler());
  } catch (error) {
    return textOf(error);
  }
}

/**
 * Calls a handler once more over what it has got from its steps, of which no function is called, and
 * returns what it does otherwise than before, if it does: then it would go another way after a crash.
 */
export async function rehearse(handler: BareHandler, message: Message, notes: ReadonlyMap<string, Noted>, end: End): Promise<string | undefined> {
  const delivery = new Delivery(() => [...notes].map(([path, { after, order }]) => ({ path, scope: "", after, unordered: false, order })));
  const run = new Run(0, "");
  const counts = new Map<string, number>();
  const uncalled = new Set([...notes].filter(([, { order }]) => order !== undefined).map(([call]) => call));
  return new Promise((found) => {
    const call = (scopes: string, name: string, key = ""): Promise<unknown> => {
      const known = callOf(scopes, name, key, 0);
      const count = counts.get(known) ?? 0;
      counts.set(known, count + 1);
      const path = callOf(scopes, name, key, count);
      const noted = notes.get(path);
      if (noted === undefined) found(`it calls step ${name}, which it has not called before`);
      uncalled.delete(path);
      const waiting = delivery.call(run, scopes, key !== "");
      delivery.identify(waiting, path);
      const promise = new Promise((resolve, reject) => {
        const { order, hand } = noted ?? {};
        if (order !== undefined && hand !== undefined) delivery.take(waiting, order, () => hand(resolve, reject));
      });
      promise.catch(() => undefined);
      return promise;
    };
    const stepOf = (scopes: string): RunStep => {
      const step = (name: string, _: unknown, options?: { readonly key?: string }): Promise<unknown> => call(scopes, name, options?.key);
      return Object.assign(step, {
        stream: step,
        sleep: step,
        wait: (name: string, options?: { readonly key?: string }) => call(scopes, name, options?.key),
        scope: (name: string) => stepOf(scopes === "" ? name : `${scopes}\0${name}`),
      }) as unknown as RunStep;
    };
    const again = async (): Promise<void> => {
      const now = await endOf(() => handler({ message, step: stepOf(""), signal: new AbortController().signal }));
      delivery.end();
      const [missing] = uncalled;
      const name = missing === undefined ? undefined : (JSON.parse(missing) as string[])[1];
      if (name !== undefined) found(`it does not call step ${name}, which it has called before`);
      else found(isSame(now, end) ? undefined : "it ends otherwise than before");
    };
    void again();
    setTimeout(() => found("it has not ended after a while"), patience);
  });
}

function isSame(a: End, b: End): boolean {
  if (!(a instanceof Uint8Array) || !(b instanceof Uint8Array)) return a === b;
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

// What works for a test in its page: it calls functions there, keeps what they return, and notes what is to be told.
import type { decode as Decode, encode as Encode, Wire } from "./wire.js";

/** What a page has to tell since it was last asked. */
export interface News {
  /** Calls that have ended. */
  readonly ended: readonly { readonly call: number; readonly value?: Wire; readonly error?: Wire }[];
  /** Calls of functions that the test has exposed. */
  readonly asked: readonly { readonly call: number; readonly name: string; readonly args: Wire }[];
  /** What went wrong unseen: errors that nobody caught, and those of the console. */
  readonly complaints: readonly { readonly kind: "pageerror" | "console"; readonly text: string }[];
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] extends readonly (infer E)[] ? E[] : T[K] };

export interface Agent {
  /** Calls a function; its result goes on the wire, or is held under the number of the call. */
  start(call: number, fn: unknown, args: Wire, hold: boolean): void;
  /** Defines a global function that the test answers. */
  expose(name: string): void;
  answer(call: number, value: Wire): void;
  news(): News;
}

declare global {
  var holdfastAgent: Agent;
}

/** Runs in the page, once in each document. */
export function install(encode: typeof Encode, decode: typeof Decode): void {
  if ("holdfastAgent" in globalThis) return;
  const held = new Map<number, unknown>();
  const waiting = new Map<number, (value: unknown) => void>();
  const quiet = (): Mutable<News> => ({ ended: [], asked: [], complaints: [] });
  let news = quiet();
  const toWire = (value: unknown): Wire => encode(value, () => undefined);
  const complain = (kind: "pageerror" | "console", text: string): void => void news.complaints.push({ kind, text });
  addEventListener("error", (event) => complain("pageerror", String(event.error ?? event.message)));
  addEventListener("unhandledrejection", (event) => complain("pageerror", String(event.reason)));
  const { error } = console;
  console.error = (...args: unknown[]) => {
    complain("console", args.map(String).join(" "));
    error.apply(console, args);
  };
  const agent: Agent = {
    start(call, fn, args, hold) {
      const run = async (): Promise<void> => {
        try {
          const given = decode(args, (number) => held.get(number)) as unknown[];
          const value = await (typeof fn === "function" ? (fn as (...list: unknown[]) => unknown)(...given) : fn);
          if (hold) held.set(call, value);
          news.ended.push({ call, value: hold ? null : toWire(value) });
        } catch (thrown) {
          news.ended.push({ call, error: toWire(thrown) });
        }
      };
      void run();
    },
    expose(name) {
      let calls = 0;
      const ask = (...args: unknown[]): Promise<unknown> =>
        new Promise((resolve) => {
          const call = ++calls;
          waiting.set(call, resolve);
          news.asked.push({ call, name, args: toWire(args) });
        });
      Object.assign(globalThis, { [name]: ask });
    },
    answer(call, value) {
      waiting.get(call)?.(decode(value, () => undefined));
      waiting.delete(call);
    },
    news() {
      const told = news;
      news = quiet();
      return told;
    },
  };
  Object.defineProperty(globalThis, "holdfastAgent", { value: agent });
}

// For specs that tell stories about an open store: it is open in a page, as a handle on which the stories run.
import type { JSHandle, Page } from "@playwright/test";
import type { ConversationState, ErrorCode, Holdfast, Message, OpenOptions, Outcome, Step } from "@holdfast-dev/holdfast";
import { expect, test as base } from "./test.js";

export { expect };

export type Storage = NonNullable<OpenOptions["storage"]>;
export const storages: readonly Storage[] = ["indexeddb", "memory"];

/** What an error says of itself, as plain data. */
export interface Failure {
  readonly name: string;
  readonly code: ErrorCode;
  readonly outcome: Outcome;
  readonly message: string;
  readonly operation: string | undefined;
  readonly stream: string | undefined;
  readonly cause: string | undefined;
  readonly expected: number | undefined;
  readonly actual: number | undefined;
}

/** A message that was recorded without a runner, with its getters read. */
export type PlainMessage = Pick<Message, "id" | "receivedAt" | "body" | "status" | "error"> & { readonly steps: readonly Pick<Step, "index" | "output">[] };

declare global {
  /** What stories can call in the page, where they can import nothing of the spec. */
  var told: {
    /** How a call has failed; undefined if it has not. */
    failure(call: Promise<unknown> | (() => unknown)): Promise<Failure | undefined>;
    /** A state as plain data. */
    messages(state: ConversationState): PlainMessage[];
    /** The result of a request to IndexedDB. */
    idb<T>(request: IDBRequest<T>): Promise<T>;
    /** An object store of a Holdfast database, in a transaction of its own. */
    objectStore(database: string, name: string): Promise<IDBObjectStore>;
    /** Waits for another task. */
    task(): Promise<unknown>;
  };
}

function tell(): void {
  globalThis.told = {
    async failure(call) {
      try {
        await (typeof call === "function" ? call() : call);
        return undefined;
      } catch (error) {
        const { HoldfastError } = await import("@holdfast-dev/holdfast");
        if (!(error instanceof HoldfastError)) throw new Error(`not a HoldfastError: ${String(error)}`, { cause: error });
        if (!(error instanceof Error)) throw new Error("not an Error", { cause: error });
        const { name, code, outcome, message, operation, stream, cause } = error;
        const { expected, actual } = error as { readonly expected?: number; readonly actual?: number };
        return { name, code, outcome, message, operation, stream, cause: cause instanceof Error ? `${cause.name}: ${cause.message}` : (cause as string | undefined), expected, actual };
      }
    },
    messages: (state) =>
      state.messages.map(({ id, receivedAt, body, status, steps, error }) => ({
        id,
        receivedAt,
        body,
        status,
        steps: steps.map(({ index, output }) => ({ index, output })),
        error,
      })),
    idb: (request) =>
      new Promise((resolve, reject) => {
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
      }),
    objectStore: async (database, name) =>
      (await globalThis.told.idb(indexedDB.open(database))).transaction(name, "readwrite").objectStore(name),
    task: () =>
      new Promise((resolve) => {
        const { port1, port2 } = new MessageChannel();
        port1.onmessage = resolve;
        port2.postMessage(null);
      }),
  };
}

export interface Fixtures {
  /** What `holdfast` is opened with. */
  storage: Storage;
  /** A page of a fresh origin that can import the package, with `told`. */
  home: Page;
  /** A store open in `home`. */
  holdfast: JSHandle<Holdfast>;
  /** Errors that nobody caught, and what was written to the console as an error. A test that expects some empties it. */
  complaints: string[];
}

/** Gathers what goes wrong in a page unseen. */
export function listen(page: Page, complaints: string[]): void {
  // Unhandled rejections are among the page's errors.
  page.on("pageerror", (error) => complaints.push(`uncaught: ${String(error).slice(0, 200)}`));
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(`console: ${message.text().slice(0, 200)}`);
  });
}

export const test = base.extend<Fixtures>({
  storage: ["indexeddb", { option: true }],

  complaints: [
    // oxlint-disable-next-line no-empty-pattern -- Playwright reads the names of the fixtures from this pattern.
    async ({}, use) => {
      const complaints: string[] = [];
      await use(complaints);
      expect(complaints, "nothing goes wrong unseen").toEqual([]);
    },
    { auto: true },
  ],

  home: async ({ page, server, complaints }, use) => {
    listen(page, complaints);
    await page.addInitScript(tell);
    await page.goto(server.origin);
    await use(page);
  },

  holdfast: async ({ home, storage }, use) => {
    await use(
      await home.evaluateHandle(async (storage) => {
        const { open } = await import("@holdfast-dev/holdfast");
        return open({ storage });
      }, storage),
    );
  },
});

/** The same tests on each store. */
export function onEachStore(tests: () => void): void {
  for (const storage of storages) {
    test.describe(storage, { tag: `@${storage}` }, () => {
      test.use({ storage });
      tests();
    });
  }
}

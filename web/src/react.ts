/**
 * A conversation in a React component.
 *
 * ```tsx
 * const { holdfast } = useHoldfast();
 * const chat = useConversation(holdfast, "support");
 * useProcess(chat, agent);
 * if (chat.status === "open") return <List messages={chat.state.messages} />;
 * ```
 *
 * @packageDocumentation
 */
import { useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import type { HoldfastError } from "./errors.js";
import { open } from "./open.js";
import type { Conversation, ConversationState, Handler, Holdfast, ListOptions, OpenOptions, Page, Plain, ProcessOptions, Summary } from "./types.js";

/** What {@link useHoldfast} knows. The same object until something changes. */
export type UseHoldfast =
  /** It is being opened; also on the server, and in hydration. */
  | { readonly status: "opening"; readonly holdfast: undefined; readonly error: undefined }
  | { readonly status: "open"; readonly holdfast: Holdfast; readonly error: undefined }
  /** What `open` has rejected with. To try again, mount the component again with another `key`. */
  | { readonly status: "failed"; readonly holdfast: undefined; readonly error: HoldfastError };

const starting: UseHoldfast = Object.freeze({ status: "opening", holdfast: undefined, error: undefined });

/**
 * Opens a store for as long as the component is there, and closes it then; so hot reloading leaves none behind. Call it once, near the root
 * of the application, and hand on what it returns: each call opens a store of its own. `options` are those of
 * the first render.
 */
export function useHoldfast(options?: OpenOptions): UseHoldfast {
  const [source] = useState(() => storeOf(options));
  return useSyncExternalStore(source.subscribe, source.snapshot, () => starting);
}

/** The store of one component. It is opened when React mounts that. */
function storeOf(options: OpenOptions | undefined): Source<UseHoldfast> {
  let known = starting;
  let opened: Promise<Holdfast> | undefined;
  let closing: ReturnType<typeof setTimeout> | undefined;

  const subscribe = (changed: () => void): (() => void) => {
    clearTimeout(closing); // StrictMode subscribes again at once
    let left = false;
    const show = (next: UseHoldfast): void => {
      if (left) return;
      known = next;
      changed();
    };
    (opened ??= open(options)).then(
      (holdfast) => show(known.holdfast === holdfast ? known : { status: "open", holdfast, error: undefined }),
      (error: unknown) => show({ status: "failed", holdfast: undefined, error: error as HoldfastError }),
    );
    return () => {
      left = true;
      closing = setTimeout(() => {
        void opened?.then((holdfast) => holdfast.close()).catch(() => undefined); // it has failed, or has died
        [known, opened] = [starting, undefined];
      });
    };
  };
  return { subscribe, snapshot: () => known };
}

/**
 * Processes the conversation with `handler` for as long as the component is there, see {@link Conversation.process}; it does nothing before
 * `chat`, of {@link useConversation}, is open. Each message gets the handler of the last render. `options` are those
 * with which the conversation was opened.
 */
export function useProcess<Body, Result, R extends Result>(
  chat: UseConversation<Body, Result>,
  handler: Handler<Body, R> & Handler<Body, Plain<R>>,
  options?: ProcessOptions,
): void {
  const conversation = chat.status === "open" ? chat.conversation : undefined;
  const latest = useRef({ handler, options });
  useEffect(() => {
    latest.current = { handler, options };
  });
  useEffect(() => {
    if (conversation === undefined || conversation.closed !== undefined) return undefined; // the next render is of that
    const stop = conversation.process<never>((work) => latest.current.handler(work) as Promise<never>, latest.current.options);
    return () => void stop();
  }, [conversation]);
}

/** What {@link useConversation} knows. The same object until something changes. */
export type UseConversation<Body = unknown, Result = unknown> =
  /** The log is being read, or `holdfast` is `undefined`; also on the server, and in hydration. */
  | { readonly status: "opening" }
  /** `state` is that of `conversation`, a handle for this component, and follows all tabs. */
  | { readonly status: "open"; readonly conversation: Conversation<Body, Result>; readonly state: ConversationState<Body, Result> }
  /**
   * The conversation cannot be read or followed; for example `instance_lost` after the WebAssembly
   * instance has died, or `store_reset` after the storage was emptied. To try again, give another `holdfast`, or mount the component again with
   * another `key`.
   */
  | { readonly status: "failed"; readonly error: HoldfastError };

/** How many rows a page of the list can have. */
const mostRows = 999;

const opening = Object.freeze({ status: "opening" as const });

/**
 * Recovers the conversation `id`, and renders the component again after each change of its state,
 * from any tab. It ends with the component, or when `holdfast` or `id` changes: the result is never
 * of another id.
 *
 * `holdfast` is what `open()` has resolved with, `undefined` until then. The hook never closes it.
 */
export function useConversation<Body = unknown, Result = unknown>(holdfast: Holdfast | undefined, id: string): UseConversation<Body, Result> {
  const source = useMemo(() => sourceOf<Body, Result>(holdfast, id), [holdfast, id]);
  return useSyncExternalStore(source.subscribe, source.snapshot, () => opening);
}

/** What {@link useConversations} knows. The same object until something changes. */
export type UseConversations =
  /** The list is being read, or `holdfast` is `undefined`; also on the server, and in hydration. */
  | { readonly status: "opening" }
  /** A page of the list, see {@link Holdfast.list}. */
  | ({ readonly status: "open" } & Page)
  /** The list cannot be read, for example `closed`. */
  | { readonly status: "failed"; readonly error: HoldfastError };

/**
 * Lists conversations, and renders the component again when the list has changed, from any tab. `options` say which part, as for
 * {@link Holdfast.list}, but `limit` may be any number: raise it to show more. Until a changed list, or one with other `options`, was read the one before is shown.
 */
export function useConversations(holdfast: Holdfast | undefined, options: ListOptions = {}): UseConversations {
  const wanted = JSON.stringify(options);
  const list = useMemo(() => listOf(holdfast), [holdfast]);
  const source = useMemo(() => list(JSON.parse(wanted) as ListOptions), [list, wanted]);
  return useSyncExternalStore(source.subscribe, source.snapshot, () => opening);
}

/** Reads a page of the list after the other, until it has `limit` rows. */
async function pagesOf(holdfast: Holdfast, { limit, ...options }: ListOptions): Promise<Page> {
  if (limit === undefined) return holdfast.list(options);
  const rows: Summary[] = [];
  for (let { after } = options; ; ) {
    const page = await holdfast.list({ ...options, limit: Math.min(limit - rows.length, mostRows), ...(after !== undefined && { after }) });
    rows.push(...page.rows);
    if (page.next === undefined || rows.length >= limit) return { ...page, rows };
    after = page.next;
  }
}

/** The list of one component. What is known is that of all options: it is shown until those of now were read. */
function listOf(holdfast: Holdfast | undefined): (options: ListOptions) => Source<UseConversations> {
  let known: UseConversations = opening;

  const subscribe = (options: ListOptions, changed: () => void): (() => void) => {
    if (holdfast === undefined) return () => undefined;
    let left = false;
    let reading = false;
    let stale = false;
    const read = async (): Promise<void> => {
      stale = true;
      if (reading) return; // it reads once more
      reading = true;
      while (stale) {
        stale = false;
        const next = await pagesOf(holdfast, options).then(
          (page): UseConversations => ({ status: "open", ...page }),
          (error: unknown): UseConversations => ({ status: "failed", error: error as HoldfastError }),
        );
        if (left) return;
        known = next;
        changed();
      }
      reading = false;
    };
    let stop = (): void => undefined;
    try {
      stop = holdfast.subscribe(() => void read());
    } catch {
      // It is closed: read says so.
    }
    void read();
    return () => {
      left = true;
      stop();
    };
  };
  return (options) => ({ subscribe: (changed) => subscribe(options, changed), snapshot: () => known });
}

/** What `useSyncExternalStore` wants. */
interface Source<T> {
  readonly subscribe: (changed: () => void) => () => void;
  readonly snapshot: () => T;
}

/** The conversation of one component. It does nothing before React mounts that and subscribes. */
function sourceOf<Body, Result>(holdfast: Holdfast | undefined, id: string): Source<UseConversation<Body, Result>> {
  let known: UseConversation<Body, Result> = opening;
  // Kept when React unsubscribes: StrictMode and <Activity> subscribe again, and then find it open.
  let recovered: Promise<Conversation<Body, Result>> | undefined;

  const subscribe = (changed: () => void): (() => void) => {
    let stop: (() => void) | undefined;
    let left = false;
    const begin = async (store: Holdfast): Promise<void> => {
      try {
        const conversation = await (recovered ??= store.recover<Body, Result>(id));
        if (left) return;
        stop = conversation.subscribe(() => {
          if (conversation.closed !== undefined) known = { status: "failed", error: conversation.closed };
          changed();
        });
        known = { status: "open", conversation, state: conversation.state };
      } catch (error) {
        recovered = undefined;
        if (left) return;
        known = { status: "failed", error: error as HoldfastError };
      }
      changed();
    };
    if (holdfast !== undefined) void begin(holdfast);
    return () => {
      left = true;
      stop?.();
    };
  };

  const snapshot = (): UseConversation<Body, Result> => {
    if (known.status === "open" && known.state !== known.conversation.state) known = { ...known, state: known.conversation.state };
    return known;
  };

  return { subscribe, snapshot };
}

/**
 * A conversation in a React component.
 *
 * ```tsx
 * const chat = useConversation(holdfast, "support");
 * if (chat.status === "open") return <List messages={chat.state.messages} />;
 * ```
 *
 * @packageDocumentation
 */
import { useMemo, useSyncExternalStore } from "react";
import type { HoldfastError } from "./errors.js";
import type { Conversation, ConversationState, Holdfast } from "./types.js";

/** What {@link useConversation} knows. The same object until something changes. */
export type UseConversation =
  /** The log is being read, or `holdfast` is `undefined`; also on the server, and in hydration. */
  | { readonly status: "opening" }
  /** `state` is that of `conversation`, a handle for this component, and follows all tabs. */
  | { readonly status: "open"; readonly conversation: Conversation; readonly state: ConversationState }
  /**
   * The conversation cannot be read or followed; for example `instance_lost` after the WebAssembly
   * instance has died, or `store_reset` after the storage was emptied. To try again, give another `holdfast`, or mount the component again with
   * another `key`.
   */
  | { readonly status: "failed"; readonly error: HoldfastError };

const opening: UseConversation = Object.freeze({ status: "opening" });

/**
 * Recovers the conversation `id`, and renders the component again after each change of its state,
 * from any tab. It ends with the component, or when `holdfast` or `id` changes: the result is never
 * of another id.
 *
 * `holdfast` is what `open()` has resolved with, `undefined` until then. The hook never closes it.
 */
export function useConversation(holdfast: Holdfast | undefined, id: string): UseConversation {
  const source = useMemo(() => sourceOf(holdfast, id), [holdfast, id]);
  return useSyncExternalStore(source.subscribe, source.snapshot, () => opening);
}

/** What `useSyncExternalStore` wants. */
interface Source {
  readonly subscribe: (changed: () => void) => () => void;
  readonly snapshot: () => UseConversation;
}

/** The conversation of one component. It does nothing before React mounts that and subscribes. */
function sourceOf(holdfast: Holdfast | undefined, id: string): Source {
  let known: UseConversation = opening;
  // Kept when React unsubscribes: StrictMode and <Activity> subscribe again, and then find it open.
  let recovered: Promise<Conversation> | undefined;

  const subscribe = (changed: () => void): (() => void) => {
    let stop: (() => void) | undefined;
    let left = false;
    const begin = async (store: Holdfast): Promise<void> => {
      try {
        const conversation = await (recovered ??= store.recover(id));
        if (left) return;
        stop = conversation.subscribe(() => {
          try {
            conversation.subscribe(changed)(); // throws if the listener was called because all is over
          } catch (error) {
            known = { status: "failed", error: error as HoldfastError };
          }
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

  const snapshot = (): UseConversation => {
    if (known.status === "open" && known.state !== known.conversation.state) known = { ...known, state: known.conversation.state };
    return known;
  };

  return { subscribe, snapshot };
}

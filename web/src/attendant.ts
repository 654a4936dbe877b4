/**
 * By which `process` finds, on a handler, what is to attend the conversation as long as that handler processes it. It is the
 * same for every copy of this package: there may be two in a bundle.
 */
export const attendant: unique symbol = Symbol.for("@holdfast-dev/holdfast/attendant");

/** A conversation, or all that are processed together, as an attendant sees it. */
export interface Attended {
  /** Nothing else that is attended has it, in whichever database. */
  readonly name: string;
  /**
   * When a message can be worked on: -1 for now, 0 for never, or a time in milliseconds since the Unix epoch; `undefined` when
   * that is not known any more.
   */
  readonly pending: () => number | undefined;
  readonly subscribe: (listener: () => void) => () => void;
}

/** Begins to attend, and returns what ends that. */
export type Attendant = (conversation: Attended) => () => void;

/**
 * Has what a handler has brought along attend the conversation, and returns what ends that, if there is anything. To look at
 * the handler may throw: it may be a proxy.
 */
export function attend(handler: unknown, conversation: Attended): (() => void) | undefined {
  try {
    return (Reflect.get(handler as object, attendant) as Attendant | undefined)?.(conversation);
  } catch {
    return undefined;
  }
}

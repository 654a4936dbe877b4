/**
 * Holdfast in a browser extension, whose service worker the browser ends when it is idle.
 *
 * ```ts
 * const handler = keepAwake(agent); // at once when the worker starts, not after an await
 *
 * async function start(): Promise<void> {
 *   const holdfast = await open();
 *   const chat = await holdfast.recover("agent");
 *   chat.process(handler);
 * }
 * void start();
 * ```
 *
 * @packageDocumentation
 */
import { attendant, type Attended } from "./attendant.js";
import * as check from "./check.js";
import type { Handler } from "./types.js";

/**
 * How often an extension API is called while there is work. Chromium ends the worker 30 s after the last event or
 * such a call, see https://developer.chrome.com/docs/extensions/develop/concepts/service-workers/lifecycle.
 */
const beatInterval = 20_000;

/**
 * How often an alarm fires, in minutes. Chromium allows no shorter time, see
 * https://developer.chrome.com/docs/extensions/reference/api/alarms.
 */
const alarmPeriod = 0.5;

/** The extension APIs that are used here: an application needs no types of them. */
interface Extension {
  readonly runtime: { readonly id?: string; readonly onStartup: ExtensionEvent; getPlatformInfo(): Promise<unknown> };
  readonly alarms: {
    readonly onAlarm: ExtensionEvent;
    create(name: string, alarm: { readonly when?: number; readonly periodInMinutes: number }): Promise<void>;
    clear(name: string): Promise<boolean>;
  };
}

interface ExtensionEvent {
  addListener(listener: () => void): void;
}

/**
 * Makes a handler for {@link Conversation.process} or {@link Holdfast.process} in the service worker or a page of a browser extension. While a
 * message of the conversation, or of one of all, can be worked on, the browser does not take this service worker for idle, and an alarm of the extension fires
 * every 30 seconds, so that a worker which was ended all the same starts again and goes on. If a message waits for a time, the
 * alarm fires then, and the worker may be ended. If nothing goes on by itself, there is no alarm.
 *
 * Call it in the task in which the service worker starts: the browser wakes it for what it has listened to by then. What
 * it returns is given to `process` itself. Names of its alarms begin with `holdfast:`.
 *
 * Throws `invalid_argument` where there are no alarms: the manifest lacks the permission `"alarms"`, or this is no place for
 * it. See docs/extension.md.
 */
export function keepAwake<H extends Handler>(handler: H): H {
  const operation = "keepAwake";
  if (typeof handler !== "function") throw check.refuse(operation, `the handler must be a function, not ${check.kindOf(handler)}`);
  const extension = extensionHere(operation);
  // To be started is enough: the script of the worker calls process.
  extension.alarms.onAlarm.addListener(started);
  extension.runtime.onStartup.addListener(started);
  let attended = false;
  const awake: Handler = (work) => {
    if (!attended) throw check.refuse(operation, "give process what keepAwake returns, not a function that calls it");
    return handler(work);
  };
  const attend = (conversation: Attended): (() => void) => {
    attended = true;
    return watch(extension, conversation);
  };
  return Object.assign(awake, { [attendant]: attend }) as Handler as H;
}

function started(): void {}

function extensionHere(operation: string): Extension {
  const { chrome: { runtime, alarms } = {} } = globalThis as { readonly chrome?: Partial<Extension> };
  if (runtime?.id === undefined) {
    const text = "there is no chrome.runtime here: it is for the service worker and the pages of a browser extension";
    throw check.refuse(operation, `${text}; elsewhere give process the handler itself`);
  }
  if (alarms === undefined) {
    const text = 'there is no chrome.alarms here: add "alarms" to the "permissions" in manifest.json';
    throw check.refuse(operation, `${text}; an offscreen document needs none: give process the handler itself; in a content script do not process at all`);
  }
  return { runtime, alarms };
}

/** Keeps this place awake, and the alarm of the conversation set, as its messages need it. Returns what ends that. */
function watch({ runtime, alarms }: Extension, { name: attended, pending, subscribe }: Attended): () => void {
  const name = `holdfast:${attended}`;
  let beat: ReturnType<typeof setInterval> | undefined;
  let known: number | undefined;
  const rest = (): void => {
    clearInterval(beat);
    beat = undefined;
  };
  const look = (): void => {
    const due = pending();
    if (due === undefined) return rest();
    if (due === known) return;
    known = due;
    if (due === 0) {
      rest();
      attempt(() => alarms.clear(name));
      return;
    }
    // This is a call of an extension API, too. The period is for a worker that is ended before it has set the next alarm.
    attempt(() => alarms.create(name, { ...(due > 0 ? { when: due } : {}), periodInMinutes: alarmPeriod }));
    if (due > 0) rest();
    else beat ??= setInterval(() => attempt(() => runtime.getPlatformInfo()), beatInterval);
  };
  const unsubscribe = subscribe(look);
  look();
  return () => {
    unsubscribe();
    rest();
  };
}

/** Calls an extension API. When the extension has been reloaded, its old pages cannot: then new ones work. */
function attempt(call: () => Promise<unknown>): void {
  const called = async (): Promise<unknown> => call();
  called().catch(() => undefined);
}

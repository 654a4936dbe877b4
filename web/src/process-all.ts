import { attend } from "./attendant.js";
import { errorOf } from "./bridge/failure.js";
import * as check from "./check.js";
import { nextTask, type Registry } from "./conversation.js";
import { newNumber, processOptions, type Settings, settingsOf, stopWith } from "./runner.js";
import type { ProcessAllOptions } from "./types.js";

// Which conversation is next is decided in Go, see core/runner/all.go.

/** {@link Holdfast.process}. */
export class ProcessAll {
  readonly #registry: Registry;
  /** Those of the calls that were not stopped, by their number. */
  readonly #prefixes = new Map<number, string>();

  constructor(registry: Registry) {
    this.#registry = registry;
  }

  process(handler: unknown, options: ProcessAllOptions): () => Promise<void> {
    const given = check.options("process", "options", options, { ...processOptions, prefix: true, concurrency: true });
    const settings = settingsOf(handler, given);
    const prefix = check.name("process", "prefix", given.prefix ?? "");
    // The program would say so too late to throw.
    if (prefix.includes("\0") || new TextEncoder().encode(prefix).length > check.maxNameBytes) {
      throw check.refuse("process", `prefix must have at most ${check.maxNameBytes} bytes, and no NUL`);
    }
    const concurrency = given.concurrency === undefined ? 0 : check.integer("process", "concurrency", given.concurrency, 1, 1000);
    for (const other of this.#prefixes.values()) {
      if (other.startsWith(prefix) || prefix.startsWith(other)) {
        throw check.refuse("process", `conversations with the prefix ${JSON.stringify(other)} are processed already; stop that first`);
      }
    }
    const { handler: whole } = settings;
    const one: Settings = { ...settings, handler: (work) => whole(work), signal: undefined }; // what it has brought along attends all
    const { database, instance } = this.#registry;
    instance.callNow((bridge) => bridge.health()); // throws if the store is no longer open
    const number = newNumber();
    const report = (error: Error): void => queueMicrotask(() => settings.onError.call(undefined, error));
    let due: number | undefined;
    const listeners = new Set<() => void>();
    this.#prefixes.set(number, prefix);
    const running = instance.call<null>((bridge, call) =>
      bridge.processAll(
        number,
        prefix,
        concurrency,
        (turn, id) => void this.#take(turn, id, one),
        (failure) => report(errorOf(failure)),
        (next) => {
          due = next;
          for (const listener of listeners) listener();
        },
        call,
      ),
    );
    const free = (): void => void this.#prefixes.delete(number);
    const ended = running.catch((error: unknown) => report(error as Error)).then(free);
    const leave = attend(settings.handler, {
      name: JSON.stringify([database, "all", prefix]),
      pending: () => due,
      subscribe: (listener) => {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    });
    if (leave !== undefined) void ended.then(leave);
    this.#registry.run({ number, ended, crash: () => undefined });
    const stop = (): Promise<void> => {
      free(); // the next one may begin: a lock keeps the two apart
      instance.callIfOpen((bridge) => bridge.stop(number));
      return ended;
    };
    stopWith(settings.signal, () => void stop(), ended);
    return stop;
  }

  async #take(turn: number, id: string, settings: Settings): Promise<void> {
    try {
      await nextTask(); // with a store in memory nothing else of a turn waits for one
      const conversation = await this.#registry.recover(id, turn);
      await conversation.run(settings, turn).ended;
    } catch {
      // The program has told already what is wrong.
    }
    this.#registry.instance.callIfOpen((bridge) => bridge.pass(turn)); // unless it has ended the turn
  }
}

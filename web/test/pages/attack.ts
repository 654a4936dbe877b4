// Calls every public function with every hostile value at every argument, and tells what came of it.
import * as holdfastPackage from "@holdfast-dev/holdfast";
import { type Conversation, type ConversationState, errorCodes, type Holdfast, HoldfastError, open, type OpenOptions } from "@holdfast-dev/holdfast";
import { type HostileValue, hostileValues } from "./hostile.js";

/** One place to put a value at. */
export interface Position {
  readonly name: string;
  readonly call: (value: never) => unknown;
  /** Whether success appends an event to the conversation `target`. */
  readonly appends?: boolean;
}

export interface Report {
  readonly calls: number;
  readonly accepted: number;
  /** What should not have happened. */
  readonly faults: readonly string[];
}

export type Storage = NonNullable<OpenOptions["storage"]>;

const deadline = 20_000;

/** The names of what can be called on an object, its getters too. */
export function membersOf(object: object): string[] {
  const prototype = Object.getPrototypeOf(object) as object;
  return [...new Set([...Object.getOwnPropertyNames(object), ...Object.getOwnPropertyNames(prototype)])].filter((name) => name !== "constructor").sort();
}

/** Every argument of every public function, by the object it belongs to. A method that is missing here fails a test. */
export function positionsOf(store: Holdfast, c: Conversation, state: ConversationState): Readonly<Record<string, readonly Position[]>> {
  const of = (name: string, ...calls: ((value: never) => unknown)[]): Position[] => calls.map((call, i) => ({ name: `${name} #${i}`, call }));
  const appending = (name: string, ...calls: ((value: never) => unknown)[]): Position[] =>
    of(name, ...calls).map((position) => ({ ...position, appends: true }));
  // A conversation of its own: what is processed is not to touch the one under attack.
  const worked = store.create("processed");
  const processing = (...args: Parameters<Conversation["process"]>): Promise<void> => worked.process(...args)();
  const bodies = (name: "receiveMessage" | "recordMessageReceived" | "send"): Position[] => {
    let n = 0;
    return appending(
      name,
      (value) => c[name](value),
      (id) => c[name]({ id }),
      (body) => c[name]({ id: `${name} ${n++}`, body }),
      (body) => c[name]({ id: `${name} ${n++}`, body: [{ nested: body }] }),
      (receivedAt) => c[name]({ id: `${name} ${n++}`, receivedAt }),
    );
  };
  return {
    holdfast: [
      ...of("create", (id) => store.create(id)),
      ...of("recover", (id) => store.recover(id)),
      ...of("conversations", (prefix) => store.conversations(prefix)),
      ...of(
        "list",
        (options) => store.list(options),
        (prefix) => store.list({ prefix }),
        (order) => store.list({ order }),
        (limit) => store.list({ limit }),
        (after) => store.list({ after }),
        (ids) => store.list({ ids }),
        (id) => store.list({ ids: [id] }),
      ),
      ...of("subscribe", (listener) => store.subscribe(listener)(), (extra) => (store.subscribe(() => undefined) as (extra: unknown) => void)(extra)),
      ...of(
        "process",
        (handler) => store.process(handler, { prefix: "processed" })(),
        (options) => store.process(() => 1, options)(),
        (prefix) => store.process(() => 1, { prefix })(),
        (concurrency) => store.process(() => 1, { concurrency, prefix: "processed" })(),
        (signal) => store.process(() => 1, { signal, prefix: "processed" })(),
      ),
      // Not of the conversation under attack.
      ...of("delete", (id) => (id === "target" ? undefined : store.delete(id))),
      ...of("verify", (id) => store.verify(id)),
      ...of("health", (extra) => (store.health as (extra: unknown) => unknown).call(store, extra)),
      ...of("persist", (extra) => (store.persist as (extra: unknown) => unknown).call(store, extra)),
      { name: "close, attacked by itself", call: () => undefined },
    ],
    conversation: [
      ...bodies("receiveMessage"),
      ...bodies("recordMessageReceived"),
      ...bodies("send"),
      ...appending("send, only if", (onlyIf) => c.send({ onlyIf }), (after) => c.send({ after }), (interrupt) => c.send({ interrupt: interrupt === true ? false : interrupt })),
      ...of("ended", (id) => briefly(c.ended(id))),
      ...of(
        "process",
        (handler) => processing(handler),
        (options) => processing(() => 1, options),
        (maxAttempts) => processing(() => 1, { maxAttempts }),
        (backoff) => processing(() => 1, { backoff }),
        (initial) => processing(() => 1, { backoff: { initial } }),
        (max) => processing(() => 1, { backoff: { max } }),
        (timeout) => processing(() => 1, { timeout }),
        (maxStarts) => processing(() => 1, { maxStarts }),
        (onError) => processing(() => 1, { onError }),
        (rehearse) => processing(() => 1, { rehearse }),
        (signal) => processing(() => 1, { signal }),
      ),
      ...appending(
        "note",
        (type) => c.note(type, 1),
        (data) => c.note("type", data),
        (options) => c.note("type", 1, options),
        (id) => c.note("type", 1, { id }),
        (ifLast) => c.note("type", 1, { ifLast }),
      ),
      ...appending("setMetadata", (patch) => c.setMetadata(patch), (value) => c.setMetadata({ key: value }), (options) => c.setMetadata({}, options), (onlyIf) => c.setMetadata({}, { onlyIf })),
      ...appending("cancel", (id) => c.cancel(id)),
      ...appending("retry", (id) => c.retry(id), (options) => c.retry("m", options), (from) => c.retry("m", { from })),
      ...appending("answer", (id) => c.answer(id, 0), (step) => c.answer("m", step), (value) => c.answer("m", 0, value)),
      ...appending("resolveStep", (id) => c.resolveStep(id, 0, "skip"), (step) => c.resolveStep("m", step, "skip"), (choice) => c.resolveStep("m", 0, choice)),
      ...appending("recordProcessingStarted", (id) => c.recordProcessingStarted(id)),
      ...appending(
        "recordStepCompleted",
        (id) => c.recordStepCompleted(id, 0),
        (step) => c.recordStepCompleted("m", step),
        (output) => c.recordStepCompleted("m", 0, output),
        (output) => c.recordStepCompleted("m", 0, [{ nested: [output] }]),
      ),
      ...appending("recordProcessingFinished", (id) => c.recordProcessingFinished(id)),
      ...appending("recordError", (id) => c.recordError(id, "text"), (text) => c.recordError("m", text)),
      ...of("runner", (extra) => (c.runner as (extra: unknown) => unknown).call(c, extra)),
      ...of("refresh", (extra) => (c.refresh as (extra: unknown) => unknown).call(c, extra)),
      ...of("clone", (extra) => (c.clone as (extra: unknown) => unknown).call(c, extra)),
      ...of("events", (range) => c.events(range), (from) => c.events({ from, limit: 3 }), (limit) => c.events({ from: 2 ** 53 - 1, limit })),
      ...of("subscribe", (listener) => c.subscribe(listener)(), (extra) => (c.subscribe(() => undefined) as (extra: unknown) => void)(extra)),
      ...of("snapshot", (extra) => (c.snapshot as (extra: unknown) => unknown)(extra)),
      ...of("run", () => undefined), // the package calls it
      ...of("changed", () => undefined), // the bridge calls it
      ...of("notify", () => undefined), // the package calls it
    ],
    state: [
      ...of("message", (id) => state.message(id)),
      ...of("isReceived", (id) => state.isReceived(id)),
      ...of("isInProgress", (id) => state.isInProgress(id)),
      ...of("isFullyProcessed", (id) => state.isFullyProcessed(id)),
      ...of("lastCompletedStep", (id) => state.lastCompletedStep(id)),
      ...of("completedStep", (id) => state.completedStep(id, 0), (index) => state.completedStep("m", index)),
      ...of("error", (id) => state.error(id)),
      ...of("notes", (type) => state.notes(type)),
      ...of("branch", (id) => state.branch(id)),
      ...of("siblings", (id) => state.siblings(id)),
      ...of("history", () => undefined), // the package calls it, and the next two
      ...of("notesAtStart", () => undefined),
      ...of("after", () => undefined), // the package calls it
      ...of("stored", (id) => (state as unknown as { stored(id: unknown): unknown }).stored(id)),
    ],
  };
}

/** Members and exports that no position covers; the ones listed hold values. */
export async function uncovered(): Promise<string[]> {
  const store = await open({ storage: "memory" });
  const c = store.create("c");
  const objects: Readonly<Record<string, object>> = { holdfast: store, conversation: c, state: c.state };
  const values: Readonly<Record<string, readonly string[]>> = { holdfast: [], conversation: ["id", "state", "expectedSeq", "closed", "metadata"], state: ["messages", "received", "metadata"] };
  const positions = positionsOf(store, c, c.state);
  const missing = Object.entries(objects).flatMap(([of, object]) => {
    const covered = new Set([...(values[of] ?? []), ...(positions[of] ?? []).map(({ name }) => name.replace(/[ ,].*/, ""))]);
    return membersOf(object).filter((name) => !covered.has(name)).map((name) => `${of}.${name}`);
  });
  const exports = new Set(["open", "errorCodes", "HoldfastError", "SequenceConflictError", "StepError", "TerminalError"]);
  return [...missing, ...Object.keys(holdfastPackage).filter((name) => !exports.has(name))];
}

/** Settles as a promise does, or once a task is over if that still waits: for the end of a message, which nobody processes. */
async function briefly(promise: Promise<unknown>): Promise<unknown> {
  promise.catch(() => undefined); // when the store is closed
  return await Promise.race([promise, new Promise((resolve) => setTimeout(resolve))]);
}

/** Attacks all positions of an open store. */
export async function attackStore(storage: Storage): Promise<Report> {
  const store = await open({ storage });
  const [target, probe] = [store.create("target"), store.create("probe")];
  await target.recordMessageReceived({ id: "first", receivedAt: 1 });
  await target.recordProcessingFinished("first"); // else holdfast.process works on it
  const report = newReport();
  let appended = 2;
  for (const position of Object.values(positionsOf(store, target, target.state)).flat()) {
    for (const value of hostileValues) {
      const before = target.expectedSeq;
      const accepted = await tryOut(report, position, value);
      // A delivery may be accepted without an event, if the message is known.
      const moved = target.expectedSeq - before;
      if (moved !== 0 && !(accepted && position.appends === true && moved === 1)) report.faults.push(`${position.name}(${value.name}) moved the head by ${moved}`);
      appended += moved;
    }
    const probed = await probe.recordProcessingStarted(position.name).catch(String);
    if (typeof probed !== "number") report.faults.push(`after ${position.name} the probe fails: ${probed}`);
    const events = await target.events({ limit: 1_000_000 });
    if (events.length !== appended) report.faults.push(`after ${position.name} there are ${events.length} events, not ${appended}`);
  }
  const replayed = await store.recover("target");
  if (replayed.expectedSeq !== appended) report.faults.push(`replay: ${replayed.expectedSeq} events, not ${appended}`);
  for (const message of replayed.state.messages) void [message.body, message.steps.map(({ output }) => output)]; // all can be decoded
  await store.close();
  return report;
}

/** Attacks the options of `open`; what opens must work. */
export async function attackOpen(storage: Storage): Promise<Report> {
  const wasm = await WebAssembly.compileStreaming(fetch("/dist/holdfast.wasm"));
  const works = async (options: unknown): Promise<void> => {
    const store = await open(options as OpenOptions);
    await store.create(`probe ${Math.random()}`).recordProcessingStarted("m");
    await store.close();
  };
  const positions: readonly Position[] = [
    { name: "open", call: works },
    { name: "open database", call: (database) => works({ wasm, storage, database }) },
    { name: "open storage", call: (other) => works({ wasm, storage: other }) },
    { name: "open durability", call: (durability) => works({ wasm, storage, durability }) },
    { name: "open timeout", call: (timeout) => works({ wasm, storage, timeout }) },
    { name: "open wasm", call: (other) => works({ wasm: other, storage }) },
  ];
  const report = newReport();
  for (const position of positions) {
    for (const value of hostileValues) {
      // What the caller promises and never gives is waited for.
      if (position.name === "open wasm" && value.name === "a thenable that never settles") continue;
      await tryOut(report, position, value);
    }
  }
  return report;
}

/** Closes stores with hostile arguments, and in the middle of a call that reads its argument. */
export async function attackClose(storage: Storage): Promise<Report> {
  const report = newReport();
  const wasm = await WebAssembly.compileStreaming(fetch("/dist/holdfast.wasm"));
  for (const value of hostileValues.filter((_, i) => i % 10 === 0)) {
    const store = await open({ storage, wasm });
    await tryOut(report, { name: "close", call: (extra: unknown) => (store.close as (extra: unknown) => unknown).call(store, extra) }, value);
  }
  const store = await open({ storage, wasm });
  let closing: Promise<void> | undefined;
  const closesItself = {
    get id() {
      closing = store.close();
      return "m";
    },
  };
  const c = store.create("closed");
  const refused = await tryOut(report, { name: "receiveMessage", call: () => c.receiveMessage(closesItself) }, { name: "closes the store", make: () => 0 });
  if (refused) report.faults.push("an append after close was accepted");
  await closing;
  return report;
}

interface Writable {
  calls: number;
  accepted: number;
  faults: string[];
}

function newReport(): Writable {
  return { calls: 0, accepted: 0, faults: [] };
}

/** Makes one call, which must succeed, or fail as a HoldfastError of the closed list, in time. */
async function tryOut(report: Writable, { name, call }: Position, value: HostileValue): Promise<boolean> {
  report.calls++;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<"late">((resolve) => {
    timer = setTimeout(resolve, deadline, "late");
  });
  try {
    // In an array, because what is awaited may be a thenable.
    const settled = await Promise.race([Promise.resolve((call as (value: unknown) => unknown)(value.make())).then(() => "in time" as const), late]);
    if (settled === "late") report.faults.push(`${name}(${value.name}) has not settled`);
    else report.accepted++;
    return settled !== "late";
  } catch (error) {
    if (!(error instanceof HoldfastError && errorCodes.includes(error.code))) report.faults.push(`${name}(${value.name}): ${describe(error)}`);
    else if (error.code === "instance_lost" && name !== "open" && name !== "open wasm") report.faults.push(`${name}(${value.name}) killed the instance`);
    return false;
  } finally {
    clearTimeout(timer);
  }
}

function describe(error: unknown): string {
  try {
    return error instanceof Error ? (error.stack ?? error.message) : String(error);
  } catch {
    return "what was thrown cannot be looked at";
  }
}

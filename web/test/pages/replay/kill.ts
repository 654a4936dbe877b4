// Kills a handler after each event of its log, and compares what it does then with what it had done.
import type { ConversationEvent, Holdfast } from "@holdfast-dev/holdfast";
import type * as Package from "@holdfast-dev/holdfast";
import { readLog, writeLog } from "./log.js";
import { id, type Life, live, type Seen } from "./run.js";
import type { Shape } from "./shape.js";
import { World } from "./world.js";

const database = "holdfast";

/** How many lives there are at a time. */
const crowd = 16;

export interface Report {
  readonly lives: number;
  readonly events: number;
  readonly faults: readonly string[];
}

/** Where a handler is killed: after how many events of its log, and then of that which the next life has left. */
export type Kills = (length: number) => readonly (readonly number[])[];

/** After each event, and for each of these once more. */
export function everywhere(next: () => number): Kills {
  return (length) => Array.from({ length: length - 1 }, (_, i) => [i + 1, i + 2 + Math.floor(next() * 4)]);
}

/** What a life has left. */
interface Lived {
  readonly shape: Shape;
  readonly life: Life;
  readonly world: World;
  readonly log: readonly Uint8Array[];
}

export class Killer {
  readonly #holdfast: Holdfast;
  readonly #package: typeof Package;
  readonly #faults: string[] = [];
  #lives = 0;
  #events = 0;
  #free = crowd;
  readonly #queue: (() => void)[] = [];

  constructor(holdfast: Holdfast, module: typeof Package) {
    this.#holdfast = holdfast;
    this.#package = module;
  }

  get report(): Report {
    return { lives: this.#lives, events: this.#events, faults: this.#faults };
  }

  /** Lets a shape live once, and once more after each of the kills; `later` is what another release has made of it. */
  async judge(shape: Shape, kills: Kills, later: Shape = shape): Promise<void> {
    const first = await this.#live(shape, new World(this.#package), undefined, shape.name);
    await Promise.all(kills(first.log.length).map((at) => this.#kill(first, at, later, at[0] ?? 0)));
  }

  async #kill(before: Lived, [at = 0, ...more]: readonly number[], shape: Shape, where: string | number): Promise<void> {
    if (at >= before.log.length) return;
    const { life } = before;
    const told = `${shape.name}, killed after ${where}`;
    const after = await this.#live(shape, before.world.after(at), before.log.slice(0, at), told);
    const had = life.events.slice(0, at);
    const retried = after.life.events.slice(at).filter(({ kind }) => kind === "message_retried");
    for (const label of ended([...had, ...retried], shape.resumes === true)) {
      if (after.world.hasCalled(label) && shape.again?.test(label) !== true) this.#faults.push(`${told}: ${label} is called again`);
    }
    if (shape === before.shape) {
      this.#compare(shape, had, life.seen, after.life.seen, told);
      if (shape.varies !== true && kinds(life.events) !== kinds(after.life.events)) this.#faults.push(`${told}: the log has ${kinds(after.life.events)}, not ${kinds(life.events)}`);
    }
    if (more.length > 0) await this.#kill(after, more, shape, `${where}, ${more[0]}`);
  }

  /** A life on a conversation of its own, which begins with a log. */
  async #live(shape: Shape, world: World, log: readonly Uint8Array[] | undefined, told: string): Promise<Lived> {
    while (this.#free === 0) await new Promise<void>((resolve) => void this.#queue.push(resolve));
    this.#free--;
    try {
      const name = `${shape.name} ${this.#lives++}`;
      if (log === undefined) await this.#holdfast.create(name).send({ id });
      else await writeLog(database, name, log);
      const life = await live(await this.#holdfast.recover(name), shape, world);
      this.#events += life.events.length;
      this.#check(shape, life, world, told);
      return { shape, life, world, log: await readLog(database, name) };
    } finally {
      this.#free++;
      this.#queue.shift()?.();
    }
  }

  #check({ ends, careful }: Shape, { end, events, faults }: Life, world: World, told: string): void {
    for (const fault of faults) this.#faults.push(`${told}: ${fault}`);
    if (!ends.some((one) => (typeof one === "string" ? one === end : one.test(end)))) this.#faults.push(`${told}: it ends with ${end}`);
    const outcomes = new Set<number>();
    let allowed = 1;
    for (const event of events) {
      if (event.kind === "step_resolved") allowed++;
      if (event.kind === "message_retried") for (const step of event.steps) outcomes.delete(step);
      if (event.kind !== "step_completed" && event.kind !== "step_failed") continue;
      if (outcomes.has(event.step)) this.#faults.push(`${told}: step ${event.step} ends twice`);
      outcomes.add(event.step);
    }
    const calls = careful === undefined ? 0 : (world.calls().get(careful) ?? 0);
    if (calls > allowed) this.#faults.push(`${told}: ${careful} is called ${calls} times, and ${allowed - 1} times people have said so`);
  }

  /** What the handler had seen is the beginning of what it sees now. */
  #compare(shape: Shape, had: readonly ConversationEvent[], before: readonly Seen[], after: readonly Seen[], told: string): void {
    const begin = before.findLast(({ what, at }) => what === "begin" && at <= had.length);
    // A message that is over, or was retried, begins again.
    const over = had.findLastIndex(({ kind }) => kind === "error_occurred" || kind === "message_retried");
    if (begin === undefined || over >= begin.at) return;
    const counts = (one: Seen): boolean => shape.foreign !== true || !one.what.startsWith("call ");
    const was = before.filter((one) => one.handling === begin.handling && one.at <= had.length && counts(one));
    const is = after.filter((one) => one.handling === 0 && counts(one));
    const differs = was.findIndex(({ what }, i) => what !== is[i]?.what);
    if (differs >= 0) this.#faults.push(`${told}: at ${differs} it saw "${was[differs]?.what}", and now "${is[differs]?.what}" (after "${was[differs - 1]?.what}")`);
  }
}

/** The labels of the steps that have an outcome and, perhaps, of what has been streamed. */
function ended(events: readonly ConversationEvent[], streamed: boolean): Iterable<string> {
  const labels = new Map<string, string>();
  for (const event of events) {
    if (event.kind === "step_completed") labels.set(`${event.step}`, typeof event.output === "string" ? event.output : JSON.stringify(event.output));
    if (event.kind === "step_failed") labels.set(`${event.step}`, event.error.replace(/^\w+: /, ""));
    if (event.kind === "message_retried") for (const step of event.steps) labels.delete(`${step}`);
    if (event.kind === "step_streamed" && streamed) for (const chunk of event.chunks) labels.set(`${event.step} ${String(chunk)}`, String(chunk));
  }
  return labels.values();
}

/** The events in any order, without those that each start adds. */
function kinds(events: readonly ConversationEvent[]): string {
  return events
    .filter(({ kind }) => kind !== "processing_started" && kind !== "processing_stopped" && kind !== "step_streamed")
    .map((event) => ("name" in event ? `${event.name} ${event.kind}` : event.kind))
    .sort()
    .join(", ");
}

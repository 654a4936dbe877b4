// Kills a handler after each event of its log, or stops it, and judges what it does then.
import type { Holdfast } from "@holdfast-dev/holdfast";
import type * as Package from "@holdfast-dev/holdfast";
import type * as Bundle from "../package.js";
import { differencesOf, faultsOf, goings, kindsOf } from "./judge.js";
import { readLog, writeLog } from "./log.js";
import { id, type Life, live } from "./run.js";
import type { Shape } from "./shape.js";
import { pause, World } from "./world.js";

const database = "holdfast";

/** How many lives there are at a time. */
const crowd = 16;

export interface Report {
  readonly lives: number;
  readonly events: number;
  /** Shapes that may go another way, and were found out. */
  readonly told: number;
  readonly faults: readonly string[];
}

/** Where a handler is killed: after how many events of its log, and then of that which the next life has left. */
export type Kills = (length: number) => readonly (readonly number[])[];

/** After each event, and then once more. */
export function everywhere(next: () => number): Kills {
  return (length) => Array.from({ length: length - 1 }, (_, i) => [i + 1, i + 2 + Math.floor(next() * 4)]);
}

/** After some of the events, and each other time once more. */
export function here(next: () => number, most: number): Kills {
  return (length) => {
    const at = (): number => 1 + Math.floor(next() * (length - 1));
    return Array.from({ length: Math.min(most, length - 1) }, at).map((first) => (next() < 0.5 ? [first] : [first, first + 1 + Math.floor(next() * 6)]));
  };
}

/** What a life has left. */
interface Lived {
  readonly life: Life;
  readonly world: World;
  readonly log: readonly Uint8Array[];
}

export class Killer {
  readonly #holdfast: Holdfast;
  readonly #package: typeof Package;
  readonly #faults: string[] = [];
  readonly #told = new Set<string>();
  #lives = 0;
  #events = 0;
  #free = crowd;
  readonly #queue: (() => void)[] = [];

  constructor(holdfast: Holdfast, module: typeof Package) {
    this.#holdfast = holdfast;
    this.#package = module;
    (module as typeof Bundle).patience.unordered = 2000; // milliseconds: there are many lives
  }

  get report(): Report {
    return { lives: this.#lives, events: this.#events, told: this.#told.size, faults: this.#faults };
  }

  /** Lets a shape live once, and once more after each of the kills; `later` is what another release has made of it. */
  async judge(shape: Shape, kills: Kills, later: Shape = shape): Promise<void> {
    const found: string[] = [];
    const first = await this.#live(shape, new World(this.#package), undefined, shape.name, found);
    await Promise.all(kills(first.log.length).map((at) => this.#kill(first, at, later, at[0] ?? 0, found)));
    this.#note(shape, found);
  }

  async #kill(before: Lived, [at = 0, ...more]: readonly number[], shape: Shape, where: string | number, found: string[]): Promise<void> {
    if (at >= before.log.length) return;
    const told = `${shape.name}, killed after ${where}`;
    const after = await this.#live(shape, before.world.after(at), before.log.slice(0, at), told, found);
    found.push(...differencesOf(shape, before.life, at, after.life, after.world).map((fault) => `${told}: ${fault}`));
    const [was, is] = [before, after].map(({ life }) => kindsOf(life.events));
    if (shape.varies !== true && was !== is) found.push(`${told}: the log has ${is}, not ${was}`);
    if (more.length > 0) await this.#kill(after, more, shape, `${where}, ${more[0]}`, found);
  }

  /** A life on a conversation of its own, which begins with a log. */
  async #live(shape: Shape, world: World, log: readonly Uint8Array[] | undefined, told: string, found: string[]): Promise<Lived> {
    return this.#inTurn(async () => {
      const name = `${shape.name} ${this.#lives++}`;
      if (log === undefined) await this.#holdfast.create(name).send({ id });
      else await writeLog(database, name, log);
      const life = await live(await this.#holdfast.recover(name), shape, world);
      this.#count(shape, life);
      found.push(...faultsOf(shape, life, world).map((fault) => `${told}: ${fault}`));
      return { life, world, log: await readLog(database, name) };
    });
  }

  /** Lets a shape live in one conversation, and stops it again and again, after some events each time. */
  async stops(shape: Shape, next: () => number): Promise<void> {
    await this.#inTurn(async () => {
      const found: string[] = [];
      const conversation = this.#holdfast.create(`${shape.name} ${this.#lives}`);
      await conversation.send({ id });
      let world = new World(this.#package);
      let before: Life | undefined;
      for (const isOver = (): boolean => ["finished", "failed"].includes(conversation.state.message(id)?.status ?? ""); !isOver(); world = world.after(Infinity)) {
        this.#lives++;
        const left = conversation.expectedSeq;
        const life = await live(conversation, shape, world, left + 1 + Math.floor(next() * 6));
        this.#count(shape, life);
        const told = `${shape.name}, stopped after ${left}`;
        found.push(...faultsOf(isOver() ? shape : { ...shape, ends: [/./] }, life, world).map((fault) => `${told}: ${fault}`));
        if (before !== undefined && isOver()) found.push(...differencesOf(shape, before, left, life, world).map((fault) => `${told}: ${fault}`));
        if (before === undefined || life.seen.length >= before.seen.length) before = life; // the others have not come as far
      }
      this.#note(shape, found);
    });
  }

  /** Lets a shape live in one conversation, in which its message is cancelled now and then, and retried soon. */
  async cancels(shape: Shape, next: () => number): Promise<void> {
    await this.#inTurn(async () => {
      const conversation = this.#holdfast.create(`${shape.name} ${this.#lives++}`);
      await conversation.send({ id });
      const world = new World(this.#package);
      let cancelled = 0;
      let at = 0;
      const later = (): void => void (at = conversation.expectedSeq + 1 + Math.floor(next() * 6));
      later();
      const cancel = async (): Promise<void> => {
        cancelled++;
        if (next() < 0.5) await pause(next() * 20);
        if (await conversation.cancel(id)) {
          if (next() < 0.3) await pause(next() * 20);
          await conversation.retry(id);
        }
        later();
      };
      const people: Shape["people"] = (...args) => {
        shape.people?.(...args);
        const [{ expectedSeq }, { status }, act] = args;
        if (cancelled < 8 && expectedSeq >= at && status !== "finished" && status !== "failed") act("cancel", cancel);
      };
      const life = await live(conversation, { ...shape, people }, world);
      this.#count(shape, life);
      const found = [...faultsOf(shape, life, world), ...goings(life)];
      this.#note(shape, found.map((fault) => `${shape.name}, cancelled ${cancelled} times: ${fault}`));
    });
  }

  /** Lets a shape live in one conversation, and retries it while it fails, perhaps from any of its steps. */
  async retries(shape: Shape, next: () => number, from: boolean): Promise<void> {
    await this.#inTurn(async () => {
      const found: string[] = [];
      const conversation = this.#holdfast.create(`${shape.name} ${this.#lives}`);
      await conversation.send({ id });
      let world = new World(this.#package);
      let before: Life | undefined;
      for (let retried = 0; retried < 5; retried++, world = world.after(Infinity)) {
        this.#lives++;
        const left = before?.events.length ?? 0;
        const life = await live(conversation, shape, world);
        this.#count(shape, life);
        const faults = [...faultsOf(shape, life, world), ...(before === undefined ? [] : differencesOf(shape, before, left, life, world))];
        found.push(...faults.map((fault) => `${shape.name}, retried ${retried} times: ${fault}`));
        before = life;
        const { status, steps = [] } = conversation.state.message(id) ?? {};
        if (status !== "failed") break;
        const step = steps[Math.floor(next() * steps.length)];
        await conversation.retry(id, from && step !== undefined ? { from: step.index } : {});
      }
      this.#note(shape, found);
    });
  }

  #count(shape: Shape, life: Life): void {
    this.#events += life.events.length;
    if (shape.unsure !== undefined && (life.reported.length > 0 || life.end.includes("step_mismatch"))) this.#told.add(shape.name);
  }

  /** Of a shape that may go another way nothing else counts than what must never happen. */
  #note({ name, unsure }: Shape, found: readonly string[]): void {
    const excused = unsure === "silent" || this.#told.has(name);
    this.#faults.push(...found.filter((fault) => !excused || /is stuck|twice/.test(fault)));
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    while (this.#free === 0) await new Promise<void>((resolve) => void this.#queue.push(resolve));
    this.#free--;
    try {
      return await work();
    } finally {
      this.#free++;
      this.#queue.shift()?.();
    }
  }
}

// What is measured, and how often. The environment makes it shorter, longer, or only a part of it.
import type { Task } from "./page/page.js";
import type { Durability } from "./peers/peer.js";

/** A row of the tables that several peers compete for. */
export interface Discipline {
  readonly workload: string;
  readonly unit: string;
  readonly task: Task;
  /** Whether Holdfast competes once for each way in which its log was written. */
  readonly variants?: boolean;
  /** Peers that do not take part, and why. */
  readonly without?: Readonly<Record<string, string>>;
}

/** How many rounds a workload has, as a part of what it has by default. */
export const scale: number = number("BENCH_ROUNDS", 100) / 100;
const rounds = (normally: number): number => Math.max(1, Math.round(normally * scale));

export const durabilities: readonly Durability[] = list("BENCH_DURABILITY", ["strict", "default"]);

/** Only workloads whose name contains this. */
const wanted = process.env["BENCH_ONLY"] ?? "";

/** The web/dist of another commit, which takes part beside this build; empty if there is none. */
export const otherDist: string = process.env["BENCH_OTHER"] ?? "";

/** Whether all is measured, of this build alone. Only then the results replace those of the last run. */
export const complete: boolean = wanted === "" && otherDist === "";

export function isWanted(workload: string): boolean {
  return workload.includes(wanted);
}

export const starts: number = rounds(7);
export const instances: number = rounds(15);
/** Messages of six steps, in a cross-origin isolated page. */
export const isolatedRounds: number = rounds(10);
/** Of the workload `memory`. */
export const held = { events: 50_000, appends: 100_000 } as const;
export const counted = 200;
/** What the longest tasks are measured with: messages that another tab sends, characters of a body, chunks of one task. */
export const busy = { messages: 1_000, body: 4_000_000, chunks: 5_000 } as const;
/** Appends whose time is taken apart. */
export const profiled: number = rounds(2000);
/** Bursts whose time is, of so many calls, recoveries from a snapshot, and starts. */
export const bursts: number = rounds(10);
export const burstCalls = 10_000;
export const recovered: number = rounds(10);
export const started: number = rounds(50);

const libraries = ["idb", "Dexie", "RxDB", "PouchDB", "y-indexeddb", "SQLite on OPFS"];
const slow = "its log takes too long to fill";

/** Writing. */
export const writing: readonly Discipline[] = [
  { workload: "append one by one", unit: "ms", task: { contest: "oneByOne", given: [rounds(40), 50] } },
  { workload: "the first appends of a page", unit: "ms", task: { contest: "oneByOne", given: [rounds(15), 2] } },
  {
    workload: "send one by one",
    unit: "ms",
    task: { contest: "oneByOne", given: [rounds(40), 50, "messages"] },
    without: Object.fromEntries(libraries.map((name) => [name, "see append one by one"])),
  },
  { workload: "agent message, 6 steps", unit: "ms", task: { contest: "agentMessage", given: [rounds(10)] } },
  { workload: "burst of 1,000 calls", unit: "ms", task: { contest: "burst", given: [rounds(3), 1_000] } },
  {
    workload: "burst of 10,000 calls",
    unit: "ms",
    task: { contest: "burst", given: [rounds(2), 10_000] },
    without: Object.fromEntries(libraries.map((name) => [name, "see the burst of 1,000"])),
  },
  { workload: "batch of 10,000 events", unit: "ms", task: { contest: "batch", given: [rounds(3), 10_000] } },
];

/** Does not depend on the durability: the logs are written with the default one, which is faster. */
export const reading: readonly Discipline[] = [
  {
    workload: "append at sequence",
    unit: "ms",
    task: { contest: "atSequence", given: [rounds(20), [100, 100_000]] },
    without: { RxDB: slow, PouchDB: slow },
  },
  recovery(1_000, 10),
  recovery(10_000, 7),
  recovery(50_000, 3),
  {
    workload: "replay of 50 stored steps",
    unit: "ms",
    task: { contest: "replay", given: [rounds(30), 50] },
    without: Object.fromEntries(["by hand", ...libraries].map((name) => [name, "has no handlers"])),
  },
  {
    workload: "list 10,000 conversations",
    unit: "ms",
    task: { contest: "list", given: [rounds(10), 10_000] },
    without: Object.fromEntries(libraries.map((name) => [name, "compared by hand only"])),
  },
];

function recovery(length: number, normally: number): Discipline {
  return {
    workload: `recover ${length.toLocaleString("en-US")} events`,
    unit: "ms",
    task: { contest: "recover", given: [rounds(normally), length] },
    variants: true,
  };
}

function number(variable: string, otherwise: number): number {
  const value = Number(process.env[variable] ?? otherwise);
  if (!(value > 0)) throw new Error(`${variable} must be a number of more than 0`);
  return value;
}

function list<T extends string>(variable: string, all: readonly T[]): readonly T[] {
  const given = process.env[variable];
  if (given === undefined) return all;
  const found = all.find((one) => one === given);
  if (found === undefined) throw new Error(`${variable} must be one of ${all.join(", ")}`);
  return [found];
}

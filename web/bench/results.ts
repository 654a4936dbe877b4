// results.json: for each backend and durability the last run that was made.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import type { Backend } from "../test/harness/browser.js";
import { type Durability, otherName, ourName } from "./peers/peer.js";
import { ratios, type Spread, spread } from "./statistics.js";

const file = fileURLToPath(new URL("results.json", import.meta.url));

/** What is compared with. */
export const floorName = "by hand";

export interface Entry {
  readonly name: string;
  readonly rounds: number;
  readonly value?: Spread;
  /** To the floor, or to whom the row names. */
  readonly ratio?: Spread;
  /** Of this build, where another one takes part. */
  readonly beside?: Comparison;
  /** Why it has fewer rounds than the others, or none; or what it has promised less. */
  readonly remark?: string;
}

/** This build in relation to the other one. */
export interface Comparison {
  readonly ofMedians: number;
  readonly byRound: Spread;
}

export interface Row {
  readonly workload: string;
  readonly unit: string;
  /** To whom the ratios are; empty if there is nobody. */
  readonly base: string;
  readonly entries: readonly Entry[];
}

export interface Run {
  readonly backend: Backend;
  readonly durability: Durability;
  readonly chromium: string;
  readonly machine: string;
  readonly date: string;
  /** Rounds, as a part of those of a full run. */
  readonly scale: number;
  readonly rows: readonly Row[];
}

/** What a contestant has measured, one value for each round. */
export interface Series {
  readonly name: string;
  readonly values: readonly number[];
  readonly remark?: string | undefined;
}

export function row(workload: string, unit: string, series: readonly Series[], base = floorName): Row {
  const floor = series.find(({ name }) => name === base)?.values ?? [];
  const entries = series.map(({ name, values, remark }): Entry => {
    const value = spread(values);
    const ratio = spread(ratios(values, floor));
    const other = name.startsWith(ourName) ? series.find((one) => one.name === name.replace(ourName, otherName)) : undefined;
    const beside = compare(values, other?.values ?? []);
    return {
      name,
      rounds: values.length,
      ...(value === undefined ? {} : { value: round(value) }),
      ...(ratio === undefined ? {} : { ratio: round(ratio) }),
      ...(beside === undefined ? {} : { beside }),
      ...(remark === undefined ? {} : { remark }),
    };
  });
  return { workload, unit, base, entries };
}

function compare(values: readonly number[], others: readonly number[]): Comparison | undefined {
  const [median, other, byRound] = [spread(values)?.median, spread(others)?.median, spread(ratios(values, others))];
  return median === undefined || byRound === undefined || !other ? undefined : { ofMedians: median / other, byRound };
}

/** To four digits, which is more than the measurement has. */
function round({ low, median, high }: Spread): Spread {
  const four = (value: number): number => Number(value.toPrecision(4));
  return { low: four(low), median: four(median), high: four(high) };
}

export function machine(): string {
  return `${cpus().length} cores, ${cpus()[0]?.model.trim() ?? "unknown"}`;
}

export function load(): readonly Run[] {
  return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as { readonly runs: readonly Run[] }).runs : [];
}

/** Puts a run in place of the one before of the same backend and durability. Returns all. */
export function keep(run: Run): readonly Run[] {
  const others = load().filter(({ backend, durability }) => backend !== run.backend || durability !== run.durability);
  const order = ({ backend, durability }: Run): string => `${backend} ${durability === "strict" ? 0 : 1}`;
  const runs = [...others, run].toSorted((a, b) => order(a).localeCompare(order(b)));
  writeFileSync(file, `${JSON.stringify({ runs }, undefined, 1)}\n`);
  return runs;
}

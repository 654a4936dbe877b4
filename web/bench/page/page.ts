// What runs in the page of the benchmarks. Node calls it by `globalThis.bench`.
import { builds, peers } from "../peers/all.js";
import type { Durability, Peer } from "../peers/peer.js";
import { agentMessage } from "../workloads/agent.js";
import { appendOnly, atSequence, batch, burst, burstOnly, oneByOne } from "../workloads/append.js";
import { crossings } from "../workloads/crossings.js";
import { instanceStarts } from "../workloads/instance.js";
import { list } from "../workloads/list.js";
import { memory } from "../workloads/memory.js";
import { prepareRecovery, recover, recoverOnly } from "../workloads/recover.js";
import { replay } from "../workloads/replay.js";
import { longestTask, sendLarge, sendToMany, showList, streamMany } from "../workloads/tasks.js";
import { type Contestant, hold, type Result } from "./contest.js";

const contests = { agentMessage, atSequence, batch, burst, list, oneByOne, recover, replay };

/** One workload: its function, and what that is given. */
export type Task = { [Name in keyof typeof contests]: { readonly contest: Name; readonly given: Parameters<(typeof contests)[Name]> } }[keyof typeof contests];

export const bench = {
  peers: peers.map(({ name, check, strict, note }) => ({ name, check, strict, note })),
  /** Holds a contest of the peers named. With `each`, a build enters once for each way of writing logs. */
  contest(task: Task, names: readonly string[], each: boolean, durability: Durability): Promise<Result[]> {
    const make = contests[task.contest] as (...given: readonly unknown[]) => ReturnType<typeof oneByOne>;
    return hold(make(...task.given), contestants(peers.filter(({ name }) => names.includes(name)), each), durability);
  },
  appendOnly,
  burstOnly,
  crossings,
  instanceStarts,
  longestTask,
  memory,
  prepareRecovery,
  recoverOnly,
  sendLarge,
  sendToMany,
  showList,
  streamMany,
};

/** The ways in which a log of Holdfast can have been written, which matters to who reads it. */
const variants = ["one by one", "in bursts", "with a snapshot"] as const;

/** Two builds form a group, so that they run one right after the other. */
function contestants(entered: readonly Peer[], each: boolean): readonly (readonly Contestant[])[] {
  const others = entered.filter((peer) => !builds.includes(peer)).map((peer) => [{ name: peer.name, peer }]);
  if (!each) return [builds.map((peer) => ({ name: peer.name, peer })), ...others];
  return [...variants.map((written) => builds.map((peer) => ({ name: `${peer.name}, ${written}`, peer, written }))), ...others];
}

export type Bench = typeof bench;

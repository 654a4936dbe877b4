// What runs in a cross-origin isolated page: a contest with peers that need one.
import { durably } from "../peers/durably.js";
import { floor } from "../peers/floor.js";
import { holdfast } from "../peers/holdfast.js";
import type { Durability } from "../peers/peer.js";
import { agentMessage } from "../workloads/agent.js";
import { hold, type Result } from "./contest.js";

export const isolated = (rounds: number, durability: Durability): Promise<Result[]> =>
  hold(agentMessage(rounds), [holdfast, floor, durably].map((peer) => [{ name: peer.name, peer }]), durability);

export type Isolated = typeof isolated;

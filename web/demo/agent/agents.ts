// Which agents there are, and which one answers a message.
import type { Storable } from "@holdfast-dev/holdfast";
import { field } from "../message.js";
import type { Agent } from "./agent.js";
import { builtin } from "./builtin.js";
import { endpoint } from "./endpoint.js";
import { research } from "./research.js";

export type AgentName = "research" | "endpoint" | "builtin";

export const agents: Readonly<Record<AgentName, Agent>> = { research, endpoint, builtin };

/** Returns the body of a message: the text, and the agent that answers it, in any tab. */
export function bodyOf(text: string, agent: AgentName): Storable {
  return { text, agent };
}

/** Returns the agent that answers a stored message. */
export function agentOf(body: unknown): Agent {
  const name = field(body, "agent");
  return name !== undefined && Object.hasOwn(agents, name) ? agents[name as AgentName] : research;
}

// What an agent is here, and which there are.
import type { Storable, Work } from "@holdfast-dev/holdfast";
import { field } from "../message.js";
import { builtin } from "./builtin.js";
import { endpoint, type Connection } from "./endpoint.js";
import { research } from "./research.js";
import type { Found } from "./search.js";

/** Answers messages in steps. After a crash it is called again, and the steps that had completed are not run again. */
export interface Agent {
  readonly label: string;
  /** The names of its steps, in order. The output of the last one is the answer. */
  readonly steps: readonly string[];
  answer(work: Work, tools: Tools): Promise<unknown>;
}

/** What agents may use. All of it varies, so they use it within steps. */
export interface Tools {
  /** The passages of the user's files that fit a query best, and how many files there are. */
  search(query: string): Promise<{ readonly files: number; readonly passages: readonly Found[] }>;
  /** What was said in the conversation before the message that is answered, oldest first. */
  history(): readonly Turn[];
  /** Where the language model is; waits until the user has said so. */
  connection(signal: AbortSignal): Promise<Connection>;
}

export interface Turn {
  readonly question: string;
  readonly answer: string;
}

export type AgentName = "research" | "endpoint" | "builtin";

export const agents: Readonly<Record<AgentName, Agent>> = { research, endpoint, builtin };

/** The body of a message: what was typed, and who is to answer it, in whichever tab and after however many crashes. */
export function bodyOf(text: string, agent: AgentName): Storable {
  return { text, agent };
}

/** Who is to answer a stored message. */
export function agentOf(body: unknown): Agent {
  const name = field(body, "agent");
  return name !== undefined && Object.hasOwn(agents, name) ? agents[name as AgentName] : research;
}

// What a page says about what it has found in the log.
import type { ConversationState, Message } from "@holdfast-dev/holdfast";
import { excerpt, isUnfinished, textOf } from "./message.js";
import type { AgentStep } from "./process.js";
import type { Role } from "./turns.js";

/** What was found when the page was opened. */
export interface Recovery {
  readonly events: number;
  readonly milliseconds: number;
}

/** One sentence per line. */
export function describeRecovery(recovery: Recovery, state: ConversationState, role: Role, steps: readonly AgentStep[]): string[] {
  const found = `Recovered ${count(recovery.events, "event")} in ${duration(recovery.milliseconds)}`;
  const pending = state.messages.filter((message) => message.status !== "finished" && message.status !== "cancelled");
  const [first, ...others] = pending;
  if (first === undefined) return [`${found}, nothing left to do.`];
  const lines = [`${found}.`, describeMessage(first, role, steps)];
  if (others.length > 0) lines.push(`${count(others.length, "more message")} ${others.length === 1 ? "waits its turn" : "wait their turn"}.`);
  return lines;
}

/** What this tab says when it becomes the one that answers. */
export function describeTakeover(state: ConversationState, steps: readonly AgentStep[]): string[] {
  const first = state.messages.find(isUnfinished);
  const took = "The other tab is gone. This one runs the agent now.";
  return first === undefined ? [took] : [took, describeMessage(first, "agent", steps)];
}

function describeMessage(message: Message, role: Role, steps: readonly AgentStep[]): string {
  const subject = `Message “${excerpt(textOf(message.body), 40)}”`;
  const next = (message.steps.at(-1)?.index ?? -1) + 1;
  const step = steps[next];
  if (role === "follower") return `${subject} has completed ${next} of ${steps.length} steps; another tab is working on it.`;
  if (step === undefined) return `${subject} had completed all ${steps.length} steps; only the end was missing.`;
  return `${subject} had completed ${next} of ${steps.length} steps; going on with step ${next + 1} (${step.name}).`;
}

function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? "" : "s"}`;
}

function duration(milliseconds: number): string {
  return milliseconds < 1 ? "under 1 ms" : `${Math.round(milliseconds)} ms`;
}

// What a page says about what it has found in the log.
import type { Message } from "@holdfast-dev/holdfast";
import { agentOf } from "./agent/agents.js";
import type { Role } from "./chats.js";
import { count, excerpt, isUnfinished, textOf } from "./message.js";

/** What was found when the page was opened, in all conversations. */
export interface Recovery {
  readonly events: number;
  readonly milliseconds: number;
}

/** One sentence per line. */
export function describeRecovery(recovery: Recovery, messages: readonly Message[], role: Role): string[] {
  const found = `Recovered ${count(recovery.events, "event")} in ${duration(recovery.milliseconds)}`;
  const pending = messages.filter((message) => message.status !== "finished" && message.status !== "cancelled");
  const [first, ...others] = pending;
  if (first === undefined) return [`${found}, nothing left to do.`];
  const lines = [`${found}.`, describeMessage(first, role)];
  if (others.length > 0) lines.push(`${count(others.length, "more message")} ${others.length === 1 ? "waits its turn" : "wait their turn"}.`);
  return lines;
}

/** What this tab says when it becomes the one that answers. */
export function describeTakeover(messages: readonly Message[]): string[] {
  const first = messages.find(isUnfinished);
  const took = "The other tab is gone. This one goes on.";
  return first === undefined ? [took] : [took, describeMessage(first, "here")];
}

function describeMessage(message: Message, role: Role): string {
  const { steps } = agentOf(message.body);
  const subject = `Message “${excerpt(textOf(message.body), 40)}”`;
  const next = (message.steps.at(-1)?.index ?? -1) + 1;
  const step = steps[next];
  if (role === "elsewhere") return `${subject} has completed ${next} of ${steps.length} steps; another tab is working on it.`;
  if (step === undefined) return `${subject} had completed all ${steps.length} steps; only the end was missing.`;
  if (message.status === "failed") return `${subject} has failed in step ${next + 1} (${step}), and can be tried again.`;
  return `${subject} had completed ${next} of ${steps.length} steps; going on with step ${next + 1} (${step}).`;
}

function duration(milliseconds: number): string {
  return milliseconds < 1 ? "under 1 ms" : `${Math.round(milliseconds)} ms`;
}

// What a page says about what it has found in the log.
import type { Message } from "@holdfast-dev/holdfast";
import { agentOf } from "./agent/agents.js";
import type { Role } from "./chat.js";
import { count, excerpt, isUnfinished, textOf } from "./message.js";
import { partsOf, passedOf } from "./progress.js";

/** What was found in the conversation that the page was opened with. */
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
  const subject = `Message “${excerpt(textOf(message.body), 40)}”`;
  if (message.status === "failed") return `${subject} has failed, and can be tried again.`;
  const parts = partsOf(message, agentOf(message.body).steps);
  const passed = passedOf(parts);
  const part = parts[passed];
  if (part === undefined) return `${subject} had passed all ${parts.length} steps; only the end was missing.`;
  const place = `${passed} of ${parts.length} steps`;
  if (role === "elsewhere") return `${subject} has passed ${place}; another tab is working on it.`;
  if (part.state === "asking") return `${subject} has passed ${place}, and waits for your answer.`;
  return `${subject} had passed ${place}; going on with step ${passed + 1} (${part.name}).`;
}

function duration(milliseconds: number): string {
  return milliseconds < 1 ? "under 1 ms" : `${Math.round(milliseconds)} ms`;
}

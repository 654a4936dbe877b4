// How far a message has come in the steps of its agent.
import type { Message } from "@holdfast-dev/holdfast";
import type { Planned } from "./agent/agent.js";
import { lineOf, questionOf } from "./message.js";

/**
 * `"next"`: it runs if anybody works on the message. `"asking"`: it waits for the user. `"failed"`: for good.
 * `"skipped"`: there was no need of it.
 */
export type State = "done" | "failed" | "skipped" | "asking" | "next" | "later";

export interface Part {
  readonly name: string;
  readonly state: State;
  /** What it has come to, in a line. */
  readonly line: string;
}

/** Returns the parts of a plan, as the log has them. Steps that are not planned belong to others. */
export function partsOf(message: Message, plan: readonly Planned[]): readonly Part[] {
  const known = plan.map((planned) => ({
    planned,
    // Whoever records a step without a name means the one in its place.
    ended: message.steps.find(({ name, index }) => (name ?? plan[index]?.name) === planned.name),
    open: message.openSteps.find(({ name }) => name === planned.name),
  }));
  const reached = known.findLastIndex(({ ended, open }) => ended !== undefined || open !== undefined);
  const failed = (name: string | undefined): boolean => known.some(({ planned, ended }) => planned.name === name && ended?.error !== undefined);
  const isNeeded = ({ insteadOf, asks }: Planned): boolean => (insteadOf === undefined || failed(insteadOf)) && asks !== true;
  const next = known.findIndex(({ planned, open }, i) => open !== undefined || (i > reached && isNeeded(planned)));

  return known.map(({ planned: { name }, ended, open }, i) => {
    if (open?.waiting !== undefined) return { name, state: "asking", line: questionOf(open).text };
    if (open !== undefined) return { name, state: "next", line: open.error === undefined ? "" : `try ${open.attempts} failed: ${open.error.message}` };
    if (ended?.error !== undefined) {
      const fallback = plan.find((other) => other.insteadOf === name)?.name;
      return { name, state: "failed", line: `${ended.error.message}${fallback === undefined ? "" : `; ${fallback} in its place`}` };
    }
    if (ended !== undefined) return { name, state: "done", line: lineOf(ended.output) };
    if (i < reached || message.status === "finished") return { name, state: "skipped", line: "not needed" };
    return { name, state: i === next ? "next" : "later", line: "" };
  });
}

/** Returns how many parts have been passed: the index of the one that is next, or asks. */
export function passedOf(parts: readonly Part[]): number {
  const next = parts.findIndex(({ state }) => state === "next" || state === "asking");
  return next < 0 ? parts.length : next;
}

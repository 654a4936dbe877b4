// Whether a life was right, and whether it went on where the life before it was cut off.
import type { ConversationEvent } from "@holdfast-dev/holdfast";
import type { Life } from "./run.js";
import type { Shape } from "./shape.js";
import type { World } from "./world.js";

/** What is wrong with a life. */
export function faultsOf({ ends, careful }: Shape, { end, events, faults }: Life, world: World): string[] {
  const found = [...faults];
  if (!ends.some((one) => (typeof one === "string" ? one === end : one.test(end)))) found.push(`it ends with ${end}`);
  const outcomes = new Set<number>();
  let allowed = 1;
  for (const event of events) {
    if (event.kind === "step_resolved") allowed++;
    if (event.kind === "message_retried") for (const step of event.steps) outcomes.delete(step);
    if (event.kind !== "step_completed" && event.kind !== "step_failed") continue;
    if (outcomes.has(event.step)) found.push(`step ${event.step} ends twice`);
    outcomes.add(event.step);
  }
  const calls = careful === undefined ? 0 : (world.calls().get(careful) ?? 0);
  if (calls > allowed) found.push(`${careful} is called ${calls} times, and ${allowed - 1} times people have said so`);
  return found;
}

/** What is wrong with a life that began with the first events of another one: so many are left. */
export function differencesOf(shape: Shape, before: Life, left: number, after: Life, world: World): string[] {
  const had = before.events.slice(0, left);
  // One that is refused sees nothing more, if it may end so.
  const found = shape.changed === true || after.end.includes("step_mismatch") ? [] : saw(shape, before, had, after);
  const retried = after.events.slice(left).filter(({ kind }) => kind === "message_retried");
  for (const label of ended([...had, ...retried], shape.resumes === true)) {
    if (world.hasCalled(label) && shape.again?.test(label) !== true) found.push(`${label} is called again`);
  }
  return found;
}

/** What the handler had seen is the beginning of what it sees now. */
function saw(shape: Shape, before: Life, had: readonly ConversationEvent[], after: Life): string[] {
  const begin = before.seen.findLast(({ what, at }) => what === "begin" && at <= had.length);
  // A message that is over, or was retried, begins again.
  const over = had.findLastIndex(({ kind }) => kind === "error_occurred" || kind === "message_retried");
  if (begin === undefined || over >= begin.at) return [];
  const order = (life: Life, handling: number): readonly Life["seen"][number][] =>
    life.seen.filter((one) => one.handling === handling && (shape.foreign !== true || !one.what.startsWith("call ")));
  const was = order(before, begin.handling).filter(({ at }) => at <= had.length);
  const is = order(after, 0);
  const differs = was.findIndex(({ what }, i) => what !== is[i]?.what);
  return differs < 0 ? [] : [`at ${differs} it saw "${was[differs]?.what}", and now "${is[differs]?.what}" (after "${was[differs - 1]?.what}")`];
}

/** Where a call of the handler has not gone the way of one before, as far as both have come. */
export function goings({ seen }: Life): string[] {
  const found: string[] = [];
  let longest: readonly string[] = [];
  for (const [handling, own] of Map.groupBy(seen, (one) => one.handling)) {
    const whats = own.map(({ what }) => what);
    const differs = whats.findIndex((what, i) => i < longest.length && what !== longest[i]);
    if (differs >= 0) found.push(`call ${handling} of the handler, at ${differs}, sees "${whats[differs]}", not "${longest[differs]}"`);
    if (whats.length > longest.length) longest = whats;
  }
  return found;
}

/** The labels of the steps that have an outcome and, perhaps, of what has been streamed. */
function ended(events: readonly ConversationEvent[], streamed: boolean): Iterable<string> {
  const labels = new Map<string, string>();
  for (const event of events) {
    if (event.kind === "step_completed") labels.set(`${event.step}`, labelOf(event.output));
    if (event.kind === "step_failed") labels.set(`${event.step}`, event.error.replace(/^\w+: /, ""));
    if (event.kind === "message_retried") for (const step of event.steps) labels.delete(`${step}`);
    if (event.kind === "step_streamed" && streamed) for (const chunk of event.chunks) labels.set(`${event.step} ${String(chunk)}`, String(chunk));
  }
  return labels.values();
}

/** An output is the label of what has made it, or has that. */
function labelOf(output: unknown): string {
  return typeof output === "object" && output !== null && "by" in output ? String(output.by) : String(output);
}

/** The events in any order, without those that each start adds. */
export function kindsOf(events: readonly ConversationEvent[]): string {
  return events
    .filter(({ kind }) => kind !== "processing_started" && kind !== "processing_stopped" && kind !== "step_streamed")
    .map((event) => ("name" in event ? `${event.name} ${event.kind}` : event.kind))
    .sort()
    .join(", ");
}

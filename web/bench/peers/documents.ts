// What peers store that keep JSON documents: one for each event, whose id tells its place.
import type { AgentEvent, Messages } from "./peer.js";

export interface Fields {
  readonly event: string;
  readonly message: string;
  readonly step: number;
  readonly output: string;
}

/** Sorts by stream, then by sequence. */
export function place(stream: string, sequence: number): string {
  return `${stream}/${String(sequence).padStart(10, "0")}`;
}

export function fields({ id, message, step, output }: AgentEvent): Fields {
  return { event: Array.from(id, (byte) => byte.toString(16).padStart(2, "0")).join(""), message, step, output };
}

export function addFields(state: Messages, document: Fields): void {
  state.add(document.message, document);
}

import { StepError } from "../errors.js";
import type { ConversationEvent } from "../types.js";
import { decodeValue, decodeValues } from "../values.js";
import { decode } from "./decode.js";
import { withDecoded } from "./lazy.js";

/** See wasm/rows_js.go. What `number` is depends on the kind. */
type Row = readonly [sequence: number, timestamp: number, kind: string, id: Uint8Array, messageId: string, number: number, data: Uint8Array | null, text: string, offset: number, more: readonly (string | number)[]];

/** Decodes what `events` of the bridge resolves with. */
export function decodeEvents(bytes: Uint8Array): ConversationEvent[] {
  return (decode(bytes) as readonly Row[]).map(([sequence, timestamp, kind, id, messageId, number, data, text, offset, more]) => {
    if (kind === "") return { sequence, timestamp, kind: "deleted" };
    const noted = { sequence, timestamp, eventId: hex(id) };
    if (kind === "note") return withDecoded({ ...noted, kind, type: text, noteId: messageId }, "data", data, decodeValue);
    if (kind === "metadata_set") return withDecoded({ ...noted, kind, key: messageId }, "value", data, decodeValue);
    const common = { ...noted, messageId };
    switch (kind) {
      case "message_received":
        return withDecoded({ ...common, kind, receivedAt: number, after: more.length === 0 ? undefined : text || null }, "body", data, decodeValue);
      case "processing_started":
        return { ...common, kind, runner: data === null ? undefined : hex(data) };
      case "step_completed":
        return withDecoded({ ...common, kind, step: number, name: text === "" ? undefined : text }, "output", data, decodeValue);
      case "processing_finished":
        return withDecoded({ ...common, kind }, "result", data, decodeValue);
      case "error_occurred":
        return { ...common, kind, error: text, steps: more as number[] };
      case "step_started":
        return { ...common, kind, step: number, name: text };
      case "step_streamed":
        return withDecoded({ ...common, kind, step: number, name: text, offset }, "chunks", data, decodeValues);
      case "step_failed":
        return { ...common, kind, step: number, name: text, error: failureText(more), attempts: more[0] as number };
      case "attempt_failed":
        return { ...common, kind, step: number, name: text, error: failureText(more), attempt: more[0] as number, due: timeOf(more[1]) };
      case "step_waiting":
        return withDecoded({ ...common, kind, step: number, name: text, for: more[1] === 1 ? "time" : "answer", due: timeOf(more[0]) } as const, "prompt", data, decodeValue);
      case "step_resolved":
        return { ...common, kind, step: number };
      case "message_retried":
        return { ...common, kind, steps: more as number[] };
      case "processing_stopped":
        return { ...common, kind, waiting: more.length > 0, due: timeOf(more[0]) };
      default:
        return { ...common, kind: kind as "message_cancelled" };
    }
  });
}

function failureText([, , ...texts]: readonly (string | number)[]): string {
  return String(new StepError("", 0, 0, texts as string[]));
}

function timeOf(ms: string | number | undefined): number | undefined {
  return typeof ms === "number" && ms > 0 ? ms : undefined;
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

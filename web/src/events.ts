import { decode } from "./decode.js";
import type { ConversationEvent } from "./types.js";
import { decodeValue, decodeValues } from "./values.js";

/** `[sequence, timestamp, kind, id, messageId, number, bytes, text, offset]`, see wasm/view_js.go. */
type Row = readonly [number, number, string, Uint8Array, string, number, Uint8Array | null, string, number];

/** Reads what the bridge returns for `events`. */
export function decodeEvents(bytes: Uint8Array): ConversationEvent[] {
  return (decode(bytes) as readonly Row[]).map(([sequence, timestamp, kind, id, messageId, number, data, text, offset]) => {
    if (kind === "") return { sequence, timestamp, kind: "deleted" };
    const common = { sequence, timestamp, eventId: hex(id), messageId };
    switch (kind) {
      case "message_received":
        return { ...common, kind, receivedAt: number, body: decodeValue(data) };
      case "processing_started":
        return { ...common, kind, runner: data === null ? undefined : hex(data) };
      case "step_completed":
        return { ...common, kind, step: number, name: text === "" ? undefined : text, output: decodeValue(data) };
      case "processing_finished":
        return { ...common, kind, result: decodeValue(data) };
      case "error_occurred":
        return { ...common, kind, error: text };
      case "step_started":
        return { ...common, kind, step: number, name: text };
      case "step_streamed":
        return { ...common, kind, step: number, name: text, offset, chunks: decodeValues(data) };
      default:
        return { ...common, kind: kind as "message_cancelled" | "message_retried" | "processing_stopped" };
    }
  });
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

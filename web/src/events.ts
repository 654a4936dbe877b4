import { decode } from "@msgpack/msgpack";
import type { ConversationEvent } from "./types.js";
import { decodeValue } from "./values.js";

/** `[sequence, timestamp, kind, id, messageId, number, bytes, error]`, see wasm/view_js.go. */
type Row = readonly [number, number, string, Uint8Array, string, number, Uint8Array | null, string];

/** Reads what the bridge returns for `events`. */
export function decodeEvents(bytes: Uint8Array): ConversationEvent[] {
  return (decode(bytes) as readonly Row[]).map(([sequence, timestamp, kind, id, messageId, number, data, error]) => {
    if (kind === "") return { sequence, timestamp, kind: "deleted" };
    const common = { sequence, timestamp, eventId: hex(id), messageId };
    switch (kind) {
      case "message_received":
        return { ...common, kind, receivedAt: number, body: decodeValue(data) };
      case "step_completed":
        return { ...common, kind, step: number, output: decodeValue(data) };
      case "error_occurred":
        return { ...common, kind, error };
      default:
        return { ...common, kind: kind as "processing_started" | "processing_finished" };
    }
  });
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

import type { ConversationEvent } from "../types.js";
import { decodeValue, decodeValues } from "../values.js";
import { decode } from "./decode.js";
import { Lazy } from "./lazy.js";

/** See wasm/rows_js.go. What `number` is depends on the kind. */
type Row = readonly [sequence: number, timestamp: number, kind: string, id: Uint8Array, messageId: string, number: number, data: Uint8Array | null, text: string, offset: number];

/** Decodes what `events` of the bridge resolves with. */
export function decodeEvents(bytes: Uint8Array): ConversationEvent[] {
  return (decode(bytes) as readonly Row[]).map(([sequence, timestamp, kind, id, messageId, number, data, text, offset]) => {
    if (kind === "") return { sequence, timestamp, kind: "deleted" };
    const common = { sequence, timestamp, eventId: hex(id), messageId };
    switch (kind) {
      case "message_received":
        return withDecoded({ ...common, kind, receivedAt: number }, "body", data, decodeValue);
      case "processing_started":
        return { ...common, kind, runner: data === null ? undefined : hex(data) };
      case "step_completed":
        return withDecoded({ ...common, kind, step: number, name: text === "" ? undefined : text }, "output", data, decodeValue);
      case "processing_finished":
        return withDecoded({ ...common, kind }, "result", data, decodeValue);
      case "error_occurred":
        return { ...common, kind, error: text };
      case "step_started":
        return { ...common, kind, step: number, name: text };
      case "step_streamed":
        return withDecoded({ ...common, kind, step: number, name: text, offset }, "chunks", data, decodeValues);
      default:
        return { ...common, kind: kind as "message_cancelled" | "message_retried" | "processing_stopped" };
    }
  });
}

/** Adds a property that is decoded when it is read: a damaged one must not hide other events. */
function withDecoded<E extends object, K extends string, T>(event: E, key: K, data: Uint8Array | null, decoding: (data: Uint8Array | null) => T): E & Readonly<Record<K, T>> {
  const lazy = new Lazy(data, decoding);
  return Object.defineProperty(event, key, { get: () => lazy.value, enumerable: true }) as E & Readonly<Record<K, T>>;
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

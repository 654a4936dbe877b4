// The bytes that those peers store who can store bytes.
import { decode, encode } from "@msgpack/msgpack";
import type { AgentEvent, Messages } from "./peer.js";

export function toBytes({ id, message, step, output }: AgentEvent): Uint8Array<ArrayBuffer> {
  return encode([3, id, message, step, encode(output)]);
}

export function addBytes(state: Messages, bytes: Uint8Array): void {
  const event = decode(bytes) as [number, Uint8Array, string, number, Uint8Array];
  state.add(event[2], event);
}

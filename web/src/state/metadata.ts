import { decodeValue, frozen } from "../values.js";
import { decodeMulti } from "./decode.js";

/** What an application has set on a conversation. */
export type Metadata = Readonly<Record<string, unknown>>;

/** Decodes metadata, as core/metadata.go writes them. Null is none. */
export function decodeMetadata(bytes: Uint8Array | null): Metadata {
  const parts = bytes === null ? [] : ([...decodeMulti(bytes)] as (string | Uint8Array)[]);
  const entries: [string, unknown][] = [];
  for (let i = 0; i < parts.length; i += 2) entries.push([parts[i] as string, decodeValue(parts[i + 1] as Uint8Array)]);
  return frozen(Object.fromEntries(entries));
}

// The bytes of idbstore/record.go and core/event_codec.go, to put into the database what Holdfast would not.
import { encode } from "@msgpack/msgpack";
import type { Page } from "@playwright/test";

/** The key of a record: the name, NUL, and the sequence behind it. */
export function recordKey(stream: string, end: number): Uint8Array<ArrayBuffer> {
  const tail = new Uint8Array(9);
  new DataView(tail.buffer).setBigUint64(1, BigInt(end));
  return joined(new TextEncoder().encode(stream), tail);
}

/** A record of events that were taken at once, the first of which has this sequence. */
export function record(stream: string, sequence: number, now: number, events: readonly Uint8Array[]): Uint8Array {
  const head = [Uint8Array.of(1, 0), uvarint(sequence), uvarint(events.length), uvarint(now)];
  const content = joined(...head, ...events.flatMap((event) => [Uint8Array.of(0), uvarint(event.length), event]));
  const sum = new Uint8Array(4);
  new DataView(sum.buffer).setUint32(0, crc32c(joined(new TextEncoder().encode(stream), Uint8Array.of(0), content)), true);
  return joined(content, sum);
}

/** A record of one event, a message that was received with this body, which may be no msgpack. */
export function messageRecord(stream: string, sequence: number, id: string, body: Uint8Array): Uint8Array {
  return record(stream, sequence, 0, [encode([1, new Uint8Array(16).fill(sequence), id, 0, body])]);
}

/** Puts an event at a sequence of a log by hand, and announces it to the other tabs. `damage` changes its record. */
export async function appendByHand(page: Page, stream: string, sequence: number, event: readonly unknown[], damage = (bytes: Uint8Array): void => void bytes): Promise<void> {
  const bytes = record(stream, sequence, 0, [encode([event[0], new Uint8Array(16).fill(sequence), ...event.slice(1)])]);
  damage(bytes);
  await page.evaluate(
    async ([key, value]) => {
      const database = await new Promise<IDBDatabase>((resolve) => {
        const opening = indexedDB.open("holdfast");
        opening.onsuccess = () => resolve(opening.result);
      });
      const tx = database.transaction("records", "readwrite");
      tx.objectStore("records").put(Uint8Array.from(value), Uint8Array.from(key).buffer);
      await new Promise((resolve) => (tx.oncomplete = resolve));
      database.close();
      new BroadcastChannel("holdfast:holdfast").postMessage(Uint8Array.from([0, ...key])); // 0: with the same summary
    },
    [[...recordKey(stream, sequence + 1)], [...bytes]] as const,
  );
}

/** The events of a record. */
export function eventsOf(bytes: Uint8Array): Uint8Array[] {
  let at = 2;
  const next = (): number => {
    for (let n = 0, scale = 1; ; scale *= 128) {
      const byte = bytes[at++] ?? 0;
      n += (byte % 128) * scale;
      if (byte < 128) return n;
    }
  };
  next();
  const count = next();
  next();
  return Array.from({ length: count }, () => {
    next();
    const size = next();
    return bytes.slice(at, (at += size));
  });
}

function joined(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

function uvarint(n: number): Uint8Array {
  const bytes: number[] = [];
  for (; n >= 128; n = Math.floor(n / 128)) bytes.push((n % 128) + 128);
  return Uint8Array.of(...bytes, n);
}

/** RFC 3720, appendix B.4, bit by bit. */
function crc32c(bytes: Uint8Array): number {
  let sum = ~0;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (sum & 1 ? 0x82f63b78 : 0);
  }
  return ~sum >>> 0;
}

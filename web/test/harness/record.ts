// The bytes of idbstore/record.go and core/event_codec.go, to put into the database what Holdfast would not.
import { encode } from "@msgpack/msgpack";

/** The key of a record: the name, NUL, and the sequence behind it. */
export function recordKey(stream: string, end: number): Buffer {
  const tail = Buffer.alloc(9);
  tail.writeBigUInt64BE(BigInt(end), 1);
  return Buffer.concat([Buffer.from(stream), tail]);
}

/** A record of one event, a message that was received with this body, which may be no msgpack. */
export function messageRecord(stream: string, sequence: number, id: string, body: Uint8Array): Buffer {
  const event = encode([1, new Uint8Array(16).fill(sequence), id, 0, body]);
  const content = Buffer.concat([Buffer.from([1, 0, sequence, 1, 0, 0]), varint(event.length), event]);
  const sum = Buffer.alloc(4);
  sum.writeUInt32LE(crc32c(Buffer.concat([Buffer.from(stream), Buffer.from([0]), content])));
  return Buffer.concat([content, sum]);
}

function varint(n: number): Buffer {
  return n < 128 ? Buffer.from([n]) : Buffer.concat([Buffer.from([(n % 128) + 128]), varint(Math.floor(n / 128))]);
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

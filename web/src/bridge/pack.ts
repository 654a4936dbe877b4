const lengthBytes = 4;

/**
 * What the Go program finds as `holdfastPack`, and reads the answers of IndexedDB with: byte strings in a row, each behind its
 * length as a little-endian uint32. One by one, each would cost as much as a kilobyte. `undefined` if one is none.
 */
export function pack(items: readonly unknown[]): Uint8Array | undefined {
  const parts: Uint8Array[] = [];
  let size = 0;
  for (const item of items) {
    const part = item instanceof ArrayBuffer ? new Uint8Array(item) : item;
    if (!(part instanceof Uint8Array)) return undefined;
    parts.push(part);
    size += lengthBytes + part.byteLength;
  }
  const packed = new Uint8Array(size);
  const lengths = new DataView(packed.buffer);
  let at = 0;
  for (const part of parts) {
    lengths.setUint32(at, part.byteLength, true);
    packed.set(part, at + lengthBytes);
    at += lengthBytes + part.byteLength;
  }
  return packed;
}

const lengthBytes = 4;

/**
 * The global `holdfastPack` of the Go program, with which it reads the results of IndexedDB. Puts
 * byte strings in a row, each after its length as a little-endian uint32. Read one by one each
 * would cost as much as a kilobyte. If names are given it takes these properties of objects; what is missing
 * is empty. Returns `undefined` if something is no byte string.
 */
export function pack(items: readonly unknown[], ...names: readonly string[]): Uint8Array | undefined {
  const strings = names.length === 0 ? items : items.flatMap((item) => names.map((name) => property(item, name) ?? new Uint8Array()));
  const parts: Uint8Array[] = [];
  let size = 0;
  for (const item of strings) {
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

const property = (item: unknown, name: string): unknown => (item as Readonly<Record<string, unknown>> | null | undefined)?.[name];

import { Decoder } from "@msgpack/msgpack";

/** The class with private members. Its version is pinned, and a test fails if they are gone. */
interface Insides extends Pick<Decoder, "decode" | "decodeMulti"> {
  readonly bytes: Uint8Array;
  readonly pos: number;
  decodeUtf8String(byteLength: number, headerOffset: number): string;
  decodeBinary(byteLength: number, headerOffset: number): Uint8Array;
}

/** Keeps U+FEFF at the beginning of a text. For longer texts the library leaves it out. */
class ExactDecoder extends (Decoder as unknown as new () => Insides) {
  override decodeUtf8String(byteLength: number, headerOffset: number): string {
    const { bytes } = this;
    const at = this.pos + headerOffset;
    const text = super.decodeUtf8String(byteLength, headerOffset);
    if (byteLength < 3 || bytes[at] !== 0xef || bytes[at + 1] !== 0xbb || bytes[at + 2] !== 0xbf) return text;
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes.subarray(at, at + byteLength));
  }
}

/** Gives bytes a memory of their own: whoever gets them may transfer it, and what else was decoded stays. */
class OwnDecoder extends ExactDecoder {
  override decodeBinary(byteLength: number, headerOffset: number): Uint8Array {
    return super.decodeBinary(byteLength, headerOffset).slice();
  }
}

/** Decodes one value, with bytes of its own. */
export function decodeOwn(bytes: Uint8Array): unknown {
  return new OwnDecoder().decode(bytes);
}

/** Decodes values that follow one another, with bytes of their own. */
export function decodeOwnMulti(bytes: Uint8Array): Iterable<unknown> {
  return new OwnDecoder().decodeMulti(bytes);
}

/** Decodes one value. Bytes in it are views of those that are given, as in `decodeMulti`. */
export function decode(bytes: Uint8Array): unknown {
  return new ExactDecoder().decode(bytes);
}

/** Decodes values that follow one another. */
export function decodeMulti(bytes: Uint8Array): Iterable<unknown> {
  return new ExactDecoder().decodeMulti(bytes);
}
